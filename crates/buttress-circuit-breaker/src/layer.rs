//! The layer and its builder.

use std::fmt;
use std::time::Duration;

use buttress_core::{
    Admit, AdmitLayer, AsBoxError, AsError, AtHead, ByError, Gate, Observe, Observed, Path,
    Rejection, With,
};
use tower_layer::Layer;

use crate::ask::CircuitAsk;
use crate::breaker::CircuitBreaker;
use crate::pending::PendingWhileOpenLayer;
use crate::settings::{Settings, Window};
use crate::settings_error::SettingsError;

/// Refuses calls to a service that keeps failing, until it has had time to recover.
///
/// It trips on a run of failures, on a rate of failures or on a rate of slow calls; then it refuses for a
/// time, lets a few probes through, and closes when they do well. Without more words a refusal is
/// [`Error::Rejected`](buttress_core::Error::Rejected), at once, with the time until the next probe; a
/// call that ends with an error is a failure, unless a layer further in refused it. Every word adds to
/// that:
///
/// - what trips it, how long it stays open, how it closes: the words of [`Settings`], or a preset such as
///   [`resilience4j`](CircuitBreakerLayer::resilience4j);
/// - whose circuit a call needs: [`by`](Self::by), [`unless`](Self::unless);
/// - what counts as a failure: [`classify`](Self::classify);
/// - what becomes of a refusal: [`as_box_error`](Self::as_box_error), [`on_reject`](Self::on_reject), and
///   with feature `http` `respond_http` and its relatives;
/// - who hears of it: [`observe`](Self::observe).
///
/// **It belongs below everything that waits.** Above a queue it would measure our own waiting, and a queue
/// that was full when it tripped would empty itself onto the failing service. Below a retry it sees every
/// attempt, and its refusals cost the retry nothing.
///
/// A refusal is an answer of `call`, never of `poll_ready`; a balancer that must see it there says
/// [`pending_while_open`](Self::pending_while_open).
///
/// The state lives in the layer: all services that it makes, and all its clones, share it.
/// [`breaker`](Self::breaker) is the handle to look at it and to take it over.
#[derive(Clone)]
pub struct CircuitBreakerLayer<Q = CircuitAsk, A = CircuitBreaker, C = AtHead<ByError>, R = AsError>
{
    pub(crate) breaker: CircuitBreaker,
    pub(crate) ask: Q,
    pub(crate) admission: A,
    pub(crate) settle: C,
    pub(crate) on_reject: R,
}

/// A service behind a circuit breaker.
pub type CircuitBroken<S, Q = CircuitAsk, A = CircuitBreaker, C = AtHead<ByError>, R = AsError> =
    Admit<S, Q, A, C, R>;

impl CircuitBreakerLayer {
    /// Breaks as the settings say.
    ///
    /// # Errors
    ///
    /// If the settings make no sense: which one, and what it may be.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        CircuitBreaker::new(settings).map(Self::from)
    }

    /// Trips at so many failures in a row.
    ///
    /// # Panics
    ///
    /// If `count` is 0 or above 536,870,911.
    #[must_use]
    pub fn consecutive_failures(count: u32) -> Self {
        Self::of(Settings::consecutive_failures(count))
    }

    /// Trips when this share of the calls in the window failed, or more of them.
    ///
    /// # Panics
    ///
    /// If the rate is not above 0 and at most 1.
    #[must_use]
    pub fn failure_rate(rate: f64) -> Self {
        Self::of(Settings::failure_rate(rate))
    }

    /// Trips when this share of the calls in the window, or more of them, took longer than `slow_call` to
    /// the head of their response.
    ///
    /// # Panics
    ///
    /// If the rate is not above 0 and at most 1, or the time not above zero.
    #[must_use]
    pub fn slow_call_rate(rate: f64, slow_call: Duration) -> Self {
        Self::of(Settings::slow_call_rate(rate, slow_call))
    }

    /// [`Settings::resilience4j`].
    #[must_use]
    pub fn resilience4j() -> Self {
        Self::of(Settings::resilience4j())
    }

    /// [`Settings::polly`].
    #[must_use]
    pub fn polly() -> Self {
        Self::of(Settings::polly())
    }

    /// [`Settings::finagle`].
    #[must_use]
    pub fn finagle() -> Self {
        Self::of(Settings::finagle())
    }

    /// [`Settings::gobreaker`].
    #[must_use]
    pub fn gobreaker() -> Self {
        Self::of(Settings::gobreaker())
    }

    /// [`Settings::envoy_outlier`].
    #[must_use]
    pub fn envoy_outlier() -> Self {
        Self::of(Settings::envoy_outlier())
    }

    fn of(settings: Settings) -> Self {
        match Self::new(settings) {
            Ok(layer) => layer,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Breaks by a breaker that was built elsewhere, or that others use too.
impl From<CircuitBreaker> for CircuitBreakerLayer {
    fn from(breaker: CircuitBreaker) -> Self {
        Self {
            ask: CircuitAsk::new(breaker.seed().clone()),
            admission: breaker.clone(),
            breaker,
            settle: AtHead(ByError),
            on_reject: AsError,
        }
    }
}

/// The words of [`Settings`], on the layer. They panic where [`Settings::check`] would fail.
impl<Q, A, C, R> CircuitBreakerLayer<Q, A, C, R> {
    /// [`Settings::or_consecutive_failures`].
    #[must_use]
    pub fn or_consecutive_failures(self, count: u32) -> Self {
        self.change(|settings| settings.or_consecutive_failures(count))
    }

    /// [`Settings::or_failure_rate`].
    #[must_use]
    pub fn or_failure_rate(self, rate: f64) -> Self {
        self.change(|settings| settings.or_failure_rate(rate))
    }

    /// [`Settings::or_slow_call_rate`].
    #[must_use]
    pub fn or_slow_call_rate(self, rate: f64, slow_call: Duration) -> Self {
        self.change(|settings| settings.or_slow_call_rate(rate, slow_call))
    }

    /// [`Settings::slow_call`].
    #[must_use]
    pub fn slow_call(self, longer_than: Duration) -> Self {
        self.change(|settings| settings.slow_call(longer_than))
    }

    /// [`Settings::window`].
    #[must_use]
    pub fn window(self, window: impl Into<Window>) -> Self {
        self.change(|settings| settings.window(window))
    }

    /// [`Settings::minimum_calls`].
    #[must_use]
    pub fn minimum_calls(self, calls: u32) -> Self {
        self.change(|settings| settings.minimum_calls(calls))
    }

    /// [`Settings::open_for`].
    #[must_use]
    pub fn open_for(self, time: Duration) -> Self {
        self.change(|settings| settings.open_for(time))
    }

    /// [`Settings::open_growth`].
    #[must_use]
    pub fn open_growth(self, factor: f64) -> Self {
        self.change(|settings| settings.open_growth(factor))
    }

    /// [`Settings::open_max`].
    #[must_use]
    pub fn open_max(self, time: Duration) -> Self {
        self.change(|settings| settings.open_max(time))
    }

    /// [`Settings::jitter`].
    #[must_use]
    pub fn jitter(self, share: f64) -> Self {
        self.change(|settings| settings.jitter(share))
    }

    /// [`Settings::probes`].
    #[must_use]
    pub fn probes(self, at_once: u32) -> Self {
        self.change(|settings| settings.probes(at_once))
    }

    /// [`Settings::close_after`].
    #[must_use]
    pub fn close_after(self, successes: u32) -> Self {
        self.change(|settings| settings.close_after(successes))
    }

    /// [`Settings::probe_timeout`].
    #[must_use]
    pub fn probe_timeout(self, time: Duration) -> Self {
        self.change(|settings| settings.probe_timeout(time))
    }

    fn change(self, change: impl FnOnce(Settings) -> Settings) -> Self {
        if let Err(error) = self.breaker.set(change(self.breaker.settings())) {
            panic!("{error}");
        }
        self
    }
}

impl<Q, A, C, R> CircuitBreakerLayer<Q, A, C, R> {
    /// The breaker, to look at it and to take it over while it works.
    #[must_use]
    pub fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }

    /// Says how a call counts: a closure over `Result<&Response, &Error>`, or any
    /// [`Classify`](buttress_core::Classify). Say it after `respond_http`, which has its own.
    ///
    /// Without it, and without HTTP, that is [`ByError`], which needs an error that is a
    /// `std::error::Error`. Over boxed errors say
    /// [`ByBoxError`](buttress_core::ByBoxError), over any others [`ByResult`](buttress_core::ByResult).
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> CircuitBreakerLayer<Q, A, C::Settle, R>
    where
        C: Reclassify<C2>,
    {
        CircuitBreakerLayer {
            breaker: self.breaker,
            ask: self.ask,
            admission: self.admission,
            settle: self.settle.reclassify(classify),
            on_reject: self.on_reject,
        }
    }

    /// Answers a rejection with a boxed error, for stacks with tower's Buffer, Timeout or LoadShed.
    #[must_use]
    pub fn as_box_error(self) -> CircuitBreakerLayer<Q, A, C, AsBoxError> {
        self.answer(AsBoxError)
    }

    /// Answers a rejection with what `f` makes of it: a response or an error of the inner service's types.
    #[must_use]
    pub fn on_reject<F, Res, E>(self, f: F) -> CircuitBreakerLayer<Q, A, C, With<F>>
    where
        F: Fn(Rejection) -> Result<Res, E>,
    {
        self.answer(With(f))
    }

    /// Tells an observer what is admitted, refused and settled, and of every change of state.
    #[must_use]
    pub fn observe<O>(self, observer: O) -> CircuitBreakerLayer<Q, Observed<A, O>, C, R>
    where
        O: Observe + Clone + Send + Sync + 'static,
    {
        self.breaker.observe(observer.clone());
        CircuitBreakerLayer {
            breaker: self.breaker,
            ask: self.ask,
            admission: Observed::new(self.admission, observer),
            settle: self.settle,
            on_reject: self.on_reject,
        }
    }

    /// Is not ready while it would refuse, instead of refusing: for balancers, which then pass the service
    /// over. Only the circuit that all calls share is looked at, because no call is known yet.
    ///
    /// A refusal is still possible, where somebody else took the last probe in between.
    #[must_use]
    pub fn pending_while_open(self) -> PendingWhileOpenLayer<Self> {
        let breaker = self.breaker.clone();
        PendingWhileOpenLayer::new(self, breaker)
    }

    pub(crate) fn answer<R2>(self, on_reject: R2) -> CircuitBreakerLayer<Q, A, C, R2> {
        CircuitBreakerLayer {
            breaker: self.breaker,
            ask: self.ask,
            admission: self.admission,
            settle: self.settle,
            on_reject,
        }
    }

    fn asking<Q2>(self, ask: impl FnOnce(Q) -> Q2) -> CircuitBreakerLayer<Q2, A, C, R> {
        CircuitBreakerLayer {
            breaker: self.breaker,
            ask: ask(self.ask),
            admission: self.admission,
            settle: self.settle,
            on_reject: self.on_reject,
        }
    }
}

impl<K, X, A, C, R> CircuitBreakerLayer<CircuitAsk<K, X>, A, C, R> {
    /// Keeps a circuit per key: a closure (`|call: &Call| Some(call.host)`), a ready key such as
    /// `buttress_http::by_head(..)`, or a tuple of keys. A request without its key is refused, and the
    /// refusal says what is missing.
    #[must_use]
    pub fn by<K2>(self, key: K2) -> CircuitBreakerLayer<CircuitAsk<K2, X>, A, C, R> {
        self.asking(|ask| ask.with_key(key))
    }

    /// Which requests the breaker does not concern: a closure (`|call: &Call| call.is_health_check`), a
    /// ready exemption, or a tuple of them. They go straight to the inner service, and nothing of them is
    /// recorded. Saying it again replaces what was said before.
    #[must_use]
    pub fn unless<X2>(self, exempt: X2) -> CircuitBreakerLayer<CircuitAsk<K, X2>, A, C, R> {
        self.asking(|ask| ask.with_exempt(exempt))
    }
}

/// A way to settle that can classify by something else.
pub trait Reclassify<C> {
    /// The same way to settle, with the other classifier.
    type Settle;

    /// Classifies by `classify` from now on.
    fn reclassify(self, classify: C) -> Self::Settle;
}

impl<Old, C> Reclassify<C> for AtHead<Old> {
    type Settle = AtHead<C>;

    fn reclassify(self, classify: C) -> AtHead<C> {
        AtHead(classify)
    }
}

impl<S, Q, A, C, R> Layer<S> for CircuitBreakerLayer<Q, A, C, R>
where
    Q: Clone,
    A: Clone,
    C: Clone,
    R: Clone,
{
    type Service = CircuitBroken<S, Q, A, C, R>;

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

/// A queue in front of the breaker asks it before it hands out a place.
impl<Q, C, R> Gate for CircuitBreakerLayer<Q, CircuitBreaker, C, R> {
    type Ask = Q;
    type Policy = CircuitBreaker;

    fn into_parts(self) -> (Q, CircuitBreaker) {
        (self.ask, self.breaker)
    }
}

impl<Q, A, C, R> fmt::Debug for CircuitBreakerLayer<Q, A, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerLayer")
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}
