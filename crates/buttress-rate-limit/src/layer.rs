//! The layer and its builder.

use std::fmt;
use std::time::Duration;

use buttress_core::{
    Admit, AdmitLayer, AsBoxError, AsError, AtHead, Gate, Observe, Observed, Path, Rejection, With,
};
use buttress_quota::Quota;
use tower_layer::Layer;

use crate::ask::RateAsk;
use crate::limiter::RateLimiter;
use crate::limits::Limits;
use crate::wait::Waiting;

/// Limits the rate of requests to a service.
///
/// Without more words it keeps one limit for all requests, and answers what is over it with
/// [`Error::Rejected`](buttress_core::Error::Rejected), at once. Every word adds to that:
///
/// - what the limit is kept by and what a request costs: [`by`](Self::by), [`cost`](Self::cost),
///   [`unless`](Self::unless);
/// - further quotas in the same decision: [`and`](Self::and), [`global`](Self::global);
/// - other quotas for some keys: [`tier`](Self::tier), [`quota_for`](Self::quota_for);
/// - how many instances share it: [`share_of`](Self::share_of);
/// - what becomes of what does not fit: [`wait`](Self::wait), [`shadow`](Self::shadow),
///   [`as_box_error`](Self::as_box_error), [`on_reject`](Self::on_reject), and with feature `http`
///   `respond_http` and its relatives;
/// - what repeated refusals lead to: [`penalty`](Self::penalty);
/// - which requests count: [`charge_if`](Self::charge_if), [`charge_if_response`](Self::charge_if_response),
///   and with feature `http` `charge_if_status`;
/// - who hears of it: [`observe`](Self::observe).
///
/// Under axum say `respond_http()`: without it a refusal is an error, axum's routes cannot fail, and the
/// compiler says that `Infallible: From<Error<Infallible>>` is not satisfied.
///
/// The state lives in the layer: all services that it makes, and all its clones, share one limit.
/// [`limiter`](Self::limiter) is the handle to inspect and change it.
#[derive(Clone)]
pub struct RateLimitLayer<Q = RateAsk, A = RateLimiter, C = AtHead, R = AsError> {
    pub(crate) limiter: RateLimiter,
    pub(crate) ask: Q,
    pub(crate) admission: A,
    pub(crate) settle: C,
    pub(crate) on_reject: R,
}

/// A rate-limited service.
pub type RateLimit<S, Q = RateAsk, A = RateLimiter, C = AtHead, R = AsError> = Admit<S, Q, A, C, R>;

impl RateLimitLayer {
    /// Limits to a quota.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self::from(RateLimiter::new(quota))
    }
}

/// Limits by a limiter that was built elsewhere, or that others use too.
impl From<RateLimiter> for RateLimitLayer {
    fn from(limiter: RateLimiter) -> Self {
        Self {
            ask: RateAsk::new(limiter.seed().clone()),
            admission: limiter.clone(),
            limiter,
            settle: AtHead::default(),
            on_reject: AsError,
        }
    }
}

impl<Q, A, C, R> RateLimitLayer<Q, A, C, R> {
    /// The limiter, to inspect and change it while it works.
    #[must_use]
    pub fn limiter(&self) -> &RateLimiter {
        &self.limiter
    }

    /// Adds a quota that is kept per key. All quotas are one decision: a request spends of all of them or
    /// of none.
    ///
    /// # Panics
    ///
    /// If that makes more than sixteen.
    #[must_use]
    pub fn and(self, quota: Quota) -> Self {
        self.change(|limits| limits.quotas.push(quota))
    }

    /// Adds a quota that is kept for all keys together, in the same decision.
    ///
    /// # Panics
    ///
    /// If that makes more than sixteen.
    #[must_use]
    pub fn global(self, quota: Quota) -> Self {
        self.change(|limits| limits.global.push(quota))
    }

    /// Counts what would be refused, and refuses nothing: to try a limit out.
    #[must_use]
    pub fn shadow(self) -> Self {
        self.limiter.set_shadow(true);
        self
    }

    /// Answers a rejection with a boxed error, for stacks with tower's Buffer, Timeout or LoadShed.
    #[must_use]
    pub fn as_box_error(self) -> RateLimitLayer<Q, A, C, AsBoxError> {
        self.answer(AsBoxError)
    }

    /// Answers a rejection with what `f` makes of it: a response or an error of the inner service's types.
    #[must_use]
    pub fn on_reject<F, Res, E>(self, f: F) -> RateLimitLayer<Q, A, C, With<F>>
    where
        F: Fn(Rejection) -> Result<Res, E>,
    {
        self.answer(With(f))
    }

    /// Tells an observer what is admitted, refused, queued and settled.
    ///
    /// Say [`wait`](RateLimitLayer::wait) before.
    #[must_use]
    pub fn observe<O>(self, observer: O) -> RateLimitLayer<Q, Observed<A, O>, C, R>
    where
        O: Observe + Clone,
    {
        RateLimitLayer {
            limiter: self.limiter,
            ask: self.ask,
            admission: Observed::new(self.admission, observer),
            settle: self.settle,
            on_reject: self.on_reject,
        }
    }

    pub(crate) fn change(self, change: impl FnOnce(&mut Limits)) -> Self {
        if let Err(error) = self.limiter.change_limits(change) {
            panic!("{error}");
        }
        self
    }

    pub(crate) fn answer<R2>(self, on_reject: R2) -> RateLimitLayer<Q, A, C, R2> {
        RateLimitLayer {
            limiter: self.limiter,
            ask: self.ask,
            admission: self.admission,
            settle: self.settle,
            on_reject,
        }
    }

    pub(crate) fn asking<Q2>(self, ask: impl FnOnce(Q) -> Q2) -> RateLimitLayer<Q2, A, C, R> {
        RateLimitLayer {
            limiter: self.limiter,
            ask: ask(self.ask),
            admission: self.admission,
            settle: self.settle,
            on_reject: self.on_reject,
        }
    }
}

impl<K, U, X, D, T, A, C, R> RateLimitLayer<RateAsk<K, U, X, D, T>, A, C, R> {
    /// Keeps the limit per key: a closure (`|call: &Call| Some(call.tenant)`), a ready key such as
    /// `ClientIp::peer()`, or a tuple of keys. A request without its key is refused, and the refusal says
    /// what is missing.
    #[must_use]
    pub fn by<K2>(self, key: K2) -> RateLimitLayer<RateAsk<K2, U, X, D, T>, A, C, R> {
        self.asking(|ask| ask.with_key(key))
    }

    /// What a request costs in units, if not one: a number or a closure (`|call: &Call| call.pages`).
    #[must_use]
    pub fn cost<U2>(self, cost: U2) -> RateLimitLayer<RateAsk<K, U2, X, D, T>, A, C, R> {
        self.asking(|ask| ask.with_cost(cost))
    }

    /// Which requests the limit does not concern: a closure (`|call: &Call| call.is_probe`), a ready
    /// exemption, or a tuple of them. They go straight to the inner service. Saying it again replaces what
    /// was said before.
    #[must_use]
    pub fn unless<X2>(self, exempt: X2) -> RateLimitLayer<RateAsk<K, U, X2, D, T>, A, C, R> {
        self.asking(|ask| ask.with_exempt(exempt))
    }

    /// From when on an answer is worthless: a closure that reads it from the request. A request that would
    /// wait past it is refused at once.
    #[must_use]
    pub fn deadline<D2>(self, deadline: D2) -> RateLimitLayer<RateAsk<K, U, X, D2, T>, A, C, R> {
        self.asking(|ask| ask.with_deadline(deadline))
    }
}

impl<Q, C, R> RateLimitLayer<Q, RateLimiter, C, R> {
    /// Paces instead of refusing: what does not fit waits in order of arrival, for at most `max`. What
    /// would wait longer is refused at once.
    #[must_use]
    pub fn wait(self, max: Duration) -> RateLimitLayer<Q, Waiting, C, R> {
        RateLimitLayer {
            admission: Waiting::new(self.limiter.clone(), max),
            limiter: self.limiter,
            ask: self.ask,
            settle: self.settle,
            on_reject: self.on_reject,
        }
    }
}

impl<S, Q, A, C, R> Layer<S> for RateLimitLayer<Q, A, C, R>
where
    Q: Clone,
    A: Clone,
    C: Clone,
    R: Clone,
{
    type Service = RateLimit<S, Q, A, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        let path = Path {
            ask: self.ask.clone(),
            admission: self.admission.clone(),
            settle: self.settle.clone(),
            on_reject: self.on_reject.clone(),
        };
        AdmitLayer::from_path(path).layer(inner)
    }
}

/// A queue in front of the limit asks it before it hands out a place.
impl<Q, C, R> Gate for RateLimitLayer<Q, RateLimiter, C, R> {
    type Ask = Q;
    type Policy = RateLimiter;

    fn into_parts(self) -> (Q, RateLimiter) {
        (self.ask, self.limiter)
    }
}

impl<Q, A, C, R> fmt::Debug for RateLimitLayer<Q, A, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}
