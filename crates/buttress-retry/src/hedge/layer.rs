use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::delay::Delay;
use super::service::Hedge;
use crate::budget::RetryBudget;
use crate::judge::OnError;
use crate::replay::Cloned;
use crate::rule::BudgetRule;

/// Sends a second attempt beside one that takes long, and takes the answer that comes first (Dean and
/// Barroso, "The Tail at Scale", 2013). The other is cancelled.
///
/// Only requests that can be repeated freely get a second attempt; over HTTP those with an idempotent
/// method or an `Idempotency-Key`, once all of their body was read. It costs a retry of the budget. An
/// attempt that failed loses against one that still runs; if both fail, the later failure is the answer.
///
/// It is no retry: put a [`RetryLayer`](crate::RetryLayer) around it for failures, and let both spend from
/// one budget with [`sharing`](Self::sharing).
#[derive(Clone)]
pub struct HedgeLayer<W = Cloned, J = OnError, O = ()> {
    delay: Delay,
    budget: RetryBudget,
    pays_in: bool,
    pub(crate) replay: W,
    judge: J,
    observer: O,
}

/// What all services of a layer share.
pub(super) struct Parts<W, J, O> {
    pub(super) delay: Delay,
    pub(super) budget: RetryBudget,
    pub(super) pays_in: bool,
    pub(super) replay: W,
    pub(super) judge: J,
    pub(super) observer: O,
}

impl HedgeLayer {
    /// A second attempt after so long.
    #[must_use]
    pub fn after(delay: Duration) -> Self {
        Self::with_delay(Delay::fixed(delay))
    }

    /// A second attempt when the first takes longer than this share of the answers of the last half
    /// minute; 0.95 sends one for every twentieth call. While fewer than a hundred answers are known there
    /// is none.
    ///
    /// # Panics
    ///
    /// If the share is not between 0 and 1.
    #[cfg(feature = "hdrhistogram")]
    #[must_use]
    pub fn at_percentile(share: f64) -> Self {
        assert!(
            share > 0.0 && share < 1.0,
            "the percentile is {share}; expected a share between 0 and 1, such as 0.95"
        );
        Self::with_delay(Delay::percentile(share))
    }

    fn with_delay(delay: Delay) -> Self {
        Self {
            delay,
            budget: RetryBudget::default(),
            pays_in: true,
            replay: Cloned,
            judge: OnError,
            observer: (),
        }
    }
}

impl<W, J, O> HedgeLayer<W, J, O> {
    /// After how long a second attempt is sent.
    #[must_use]
    pub const fn delay(&self) -> &Delay {
        &self.delay
    }

    /// The budget, to inspect and reset it while it works.
    #[must_use]
    pub const fn retry_budget(&self) -> &RetryBudget {
        &self.budget
    }

    /// A budget of its own, which requests pay into.
    #[must_use]
    pub fn budget(mut self, rule: BudgetRule) -> Self {
        self.budget = rule.into();
        self.pays_in = true;
        self
    }

    /// Spends from the budget of a retry layer around it, which requests pay into there.
    #[must_use]
    pub fn sharing(mut self, budget: &RetryBudget) -> Self {
        self.budget = budget.clone();
        self.pays_in = false;
        self
    }

    /// What counts as a failure, which loses against an attempt that still runs: as
    /// [`RetryLayer::retry_if`](crate::RetryLayer::retry_if).
    #[must_use]
    pub fn retry_if<J2>(self, judge: J2) -> HedgeLayer<W, J2, O> {
        HedgeLayer {
            delay: self.delay,
            budget: self.budget,
            pays_in: self.pays_in,
            replay: self.replay,
            judge,
            observer: self.observer,
        }
    }

    /// How a request is sent a second time: any [`Replay`](crate::Replay).
    #[must_use]
    pub fn replay<W2>(self, replay: W2) -> HedgeLayer<W2, J, O> {
        HedgeLayer {
            delay: self.delay,
            budget: self.budget,
            pays_in: self.pays_in,
            replay,
            judge: self.judge,
            observer: self.observer,
        }
    }

    /// Tells an observer of second attempts.
    #[must_use]
    pub fn observe<O2>(self, observer: O2) -> HedgeLayer<W, J, O2> {
        HedgeLayer {
            delay: self.delay,
            budget: self.budget,
            pays_in: self.pays_in,
            replay: self.replay,
            judge: self.judge,
            observer,
        }
    }
}

#[cfg(feature = "http")]
impl<W, J, O> HedgeLayer<W, J, O> {
    /// Requests of HTTP, as [`RetryLayer::http`](crate::RetryLayer::http) takes them. For other methods
    /// and bodies say [`replay`](Self::replay) with an [`HttpReplay`](crate::HttpReplay).
    #[must_use]
    pub fn http(self) -> HedgeLayer<crate::HttpReplay, crate::OnStatus, O> {
        self.retry_if(crate::OnStatus::default())
            .replay(crate::HttpReplay::default())
    }
}

impl<S, W, J, O> Layer<S> for HedgeLayer<W, J, O>
where
    W: Clone,
    J: Clone,
    O: Clone,
{
    type Service = Hedge<S, W, J, O>;

    fn layer(&self, inner: S) -> Self::Service {
        Hedge::new(
            inner,
            Arc::new(Parts {
                delay: self.delay.clone(),
                budget: self.budget.clone(),
                pays_in: self.pays_in,
                replay: self.replay.clone(),
                judge: self.judge.clone(),
                observer: self.observer.clone(),
            }),
        )
    }
}

impl<W, J, O> fmt::Debug for HedgeLayer<W, J, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeLayer")
            .field("delay", &self.delay)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
