//! The layer and its builder.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use buttress_core::{AsBoxError, AsError, Rejection, With};
use tower_layer::Layer;

use crate::backoff::{Backoff, Jitter};
use crate::budget::RetryBudget;
use crate::judge::OnError;
use crate::policy::RetryPolicy;
use crate::random::Random;
use crate::replay::{Cloned, CopiedBy};
use crate::service::Retry;
use crate::setting::SettingError;

/// Sends a request again when an attempt failed.
///
/// Without more words it makes three attempts of every request that can be cloned, after errors but not
/// after refusals of layers further in, with pauses of exponential backoff and full jitter, and with a
/// [`RetryBudget`]. Every word changes that:
///
/// - how often and when: [`attempts`](Self::attempts), [`multiplier`](Self::multiplier),
///   [`jitter`](Self::jitter), [`max_retry_after`](Self::max_retry_after), [`budget`](Self::budget);
/// - how long: [`attempt_timeout`](Self::attempt_timeout), [`deadline`](Self::deadline);
/// - after what: [`retry_if`](Self::retry_if), [`retry_refused`](Self::retry_refused);
/// - what: [`replay`](Self::replay), [`copy_with`](Self::copy_with), and with feature `http` `http` and
///   `grpc`;
/// - what becomes of a call that the layer itself ends: [`as_box_error`](Self::as_box_error),
///   [`on_reject`](Self::on_reject), and with feature `http` `respond_http` and its relatives;
/// - who hears of it: [`observe`](Self::observe).
///
/// The layer answers for itself only where a timeout or a deadline ended the call; else the caller gets
/// the last answer of the inner service. Put it above breakers, limits and queues: every attempt goes
/// through them anew.
///
/// The budget and the jitter's generator live in the layer: all services that it makes, and all its
/// clones, share them. What belongs to one call is kept with that call.
#[derive(Clone)]
pub struct RetryLayer<W = Cloned, J = OnError, R = AsError, O = ()> {
    pub(crate) policy: RetryPolicy,
    pub(crate) budget: RetryBudget,
    pub(crate) random: Arc<Random>,
    pub(crate) replay: W,
    pub(crate) judge: J,
    pub(crate) on_reject: R,
    pub(crate) observer: O,
}

/// What all services of a layer share.
pub(crate) struct Parts<W, J, R, O> {
    pub(crate) policy: RetryPolicy,
    pub(crate) budget: RetryBudget,
    pub(crate) random: Arc<Random>,
    pub(crate) replay: W,
    pub(crate) judge: J,
    pub(crate) on_reject: R,
    pub(crate) observer: O,
}

/// All that a [`RetryLayer`] was told, for services that are to do otherwise while they work: see
/// [`Retry::set`].
#[expect(
    missing_debug_implementations,
    reason = "what users gave need not be `Debug`"
)]
pub struct RetryParts<W = Cloned, J = OnError, R = AsError, O = ()>(
    pub(crate) Arc<Parts<W, J, R, O>>,
);

// Derived, this would demand `Clone` of what is behind the `Arc`.
impl<W, J, R, O> Clone for RetryParts<W, J, R, O> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl RetryLayer {
    /// Retries with exponential backoff: from the first pause to the longest.
    ///
    /// # Panics
    ///
    /// If the first is above the last, or the last above 10^10 s.
    #[must_use]
    pub fn exponential(pauses: RangeInclusive<Duration>) -> Self {
        let (base, max) = pauses.into_inner();
        let backoff = valid(Backoff::exponential(base, max));
        Self::new(RetryPolicy::default().with_backoff(backoff))
    }

    /// Retries as a policy says.
    #[must_use]
    pub fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            budget: RetryBudget::default(),
            random: Arc::new(Random::from_the_system()),
            replay: Cloned,
            judge: OnError,
            on_reject: AsError,
            observer: (),
        }
    }
}

impl<W, J, R, O> RetryLayer<W, J, R, O> {
    /// The budget, to inspect and reset it while it works.
    #[must_use]
    pub const fn retry_budget(&self) -> &RetryBudget {
        &self.budget
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> RetryPolicy {
        self.policy
    }

    /// Does all that a policy says, in place of what was said before.
    #[must_use]
    pub fn with_policy(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// At most so many attempts, the first included. Three if nothing is said.
    ///
    /// # Panics
    ///
    /// If there are none.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        self.change(|policy| policy.with_attempts(attempts))
    }

    /// By how much pauses grow, if they do not double.
    ///
    /// # Panics
    ///
    /// If it is below 1 or no number.
    #[must_use]
    pub fn multiplier(self, multiplier: f64) -> Self {
        self.change(|policy| Ok(policy.with_backoff(policy.backoff.with_multiplier(multiplier)?)))
    }

    /// How pauses are spread; [`Jitter::Full`] if nothing is said.
    ///
    /// # Panics
    ///
    /// If the share of [`Jitter::Spread`] is not between 0 and 1.
    #[must_use]
    pub fn jitter(self, jitter: Jitter) -> Self {
        self.change(|policy| Ok(policy.with_backoff(policy.backoff.with_jitter(jitter)?)))
    }

    /// How long one attempt may take, from its entry into the inner service to the head of the response.
    /// What is cut off counts as timed out for the layers further in, and may be tried again.
    ///
    /// # Panics
    ///
    /// If it is zero or above 10^10 s.
    #[must_use]
    pub fn attempt_timeout(self, timeout: Duration) -> Self {
        self.change(|policy| policy.with_attempt_timeout(timeout))
    }

    /// How long a call may take in all, pauses included. An attempt that would begin at or after it is not
    /// made: the caller gets the last answer at once.
    ///
    /// # Panics
    ///
    /// If it is zero or above 10^10 s.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        self.change(|policy| policy.with_deadline(deadline))
    }

    /// Up to how long to wait because the upstream said so; a minute if nothing is said. If it said more,
    /// there is no retry: coming back earlier than told is what it asked not to do.
    ///
    /// # Panics
    ///
    /// If it is above 10^10 s.
    #[must_use]
    pub fn max_retry_after(self, max: Duration) -> Self {
        self.change(|policy| policy.with_max_retry_after(max))
    }

    /// Also tries again after a refusal by a layer further in, which otherwise ends the call. Such a retry
    /// waits as long as the refusal says, and costs no budget.
    #[must_use]
    pub fn retry_refused(mut self) -> Self {
        self.policy.repeats_refused = true;
        self
    }

    /// Retries as far as a budget allows: a [`BudgetRule`](crate::BudgetRule), or a [`RetryBudget`] that
    /// others use too.
    #[must_use]
    pub fn budget(mut self, budget: impl Into<RetryBudget>) -> Self {
        self.budget = budget.into();
        self
    }

    /// Makes the jitter repeat itself: the same seed and the same calls give the same pauses.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.random = Arc::new(Random::seeded(seed));
        self
    }

    /// What the end of an attempt means: a closure over `Result<&Response, &Error>` that returns a
    /// [`Judgement`](crate::Judgement), an [`Outcome`](buttress_core::Outcome) or a `bool` (true: try
    /// again), or any other [`Judge`](crate::Judge).
    #[must_use]
    pub fn retry_if<J2>(self, judge: J2) -> RetryLayer<W, J2, R, O> {
        self.judging(|_| judge)
    }

    /// How a request is sent again: any [`Replay`](crate::Replay).
    #[must_use]
    pub fn replay<W2>(self, replay: W2) -> RetryLayer<W2, J, R, O> {
        self.replaying(|_| replay)
    }

    /// Copies requests by a function, which returns nothing for one that is not to be sent again, such as
    /// `|request: &reqwest::Request| request.try_clone()`.
    #[must_use]
    pub fn copy_with<F>(self, copy: F) -> RetryLayer<CopiedBy<F>, J, R, O> {
        self.replay(CopiedBy(copy))
    }

    /// Answers a call that a timeout or a deadline ended with a boxed error, for stacks with tower's
    /// Buffer, Timeout or LoadShed. The inner service's errors are boxed as well.
    #[must_use]
    pub fn as_box_error(self) -> RetryLayer<W, J, AsBoxError, O> {
        self.answer(AsBoxError)
    }

    /// Answers a call that a timeout or a deadline ended with what `f` makes of it: a response or an error
    /// of the inner service's types.
    #[must_use]
    pub fn on_reject<F, Res, E>(self, f: F) -> RetryLayer<W, J, With<F>, O>
    where
        F: Fn(Rejection) -> Result<Res, E>,
    {
        self.answer(With(f))
    }

    /// Tells an observer of attempts that are repeated or given up, and of calls that a timeout or a
    /// deadline ended.
    #[must_use]
    pub fn observe<O2>(self, observer: O2) -> RetryLayer<W, J, R, O2> {
        RetryLayer {
            policy: self.policy,
            budget: self.budget,
            random: self.random,
            replay: self.replay,
            judge: self.judge,
            on_reject: self.on_reject,
            observer,
        }
    }

    pub(crate) fn judging<J2>(self, judge: impl FnOnce(J) -> J2) -> RetryLayer<W, J2, R, O> {
        RetryLayer {
            policy: self.policy,
            budget: self.budget,
            random: self.random,
            replay: self.replay,
            judge: judge(self.judge),
            on_reject: self.on_reject,
            observer: self.observer,
        }
    }

    pub(crate) fn replaying<W2>(self, replay: impl FnOnce(W) -> W2) -> RetryLayer<W2, J, R, O> {
        RetryLayer {
            policy: self.policy,
            budget: self.budget,
            random: self.random,
            replay: replay(self.replay),
            judge: self.judge,
            on_reject: self.on_reject,
            observer: self.observer,
        }
    }

    pub(crate) fn answer<R2>(self, on_reject: R2) -> RetryLayer<W, J, R2, O> {
        RetryLayer {
            policy: self.policy,
            budget: self.budget,
            random: self.random,
            replay: self.replay,
            judge: self.judge,
            on_reject,
            observer: self.observer,
        }
    }

    fn change(
        mut self,
        change: impl FnOnce(RetryPolicy) -> Result<RetryPolicy, SettingError>,
    ) -> Self {
        self.policy = valid(change(self.policy));
        self
    }
}

/// A value that the program itself says.
fn valid<T>(value: Result<T, SettingError>) -> T {
    value.unwrap_or_else(|error| panic!("{error}"))
}

impl<S, W, J, R, O> Layer<S> for RetryLayer<W, J, R, O>
where
    W: Clone,
    J: Clone,
    R: Clone,
    O: Clone,
{
    type Service = Retry<S, W, J, R, O>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry::new(inner, self.parts().0)
    }
}

impl<W, J, R, O> RetryLayer<W, J, R, O>
where
    W: Clone,
    J: Clone,
    R: Clone,
    O: Clone,
{
    /// All that the layer was told, for services that it made and that are to do otherwise now: see
    /// [`Retry::set`].
    #[must_use]
    pub fn parts(&self) -> RetryParts<W, J, R, O> {
        RetryParts(Arc::new(Parts {
            policy: self.policy,
            budget: self.budget.clone(),
            random: Arc::clone(&self.random),
            replay: self.replay.clone(),
            judge: self.judge.clone(),
            on_reject: self.on_reject.clone(),
            observer: self.observer.clone(),
        }))
    }
}

impl<W, J, R, O> fmt::Debug for RetryLayer<W, J, R, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer")
            .field("policy", &self.policy)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
