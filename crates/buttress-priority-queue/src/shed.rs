//! The layer of a concurrency limit without a queue.

use std::fmt;

use buttress_core::{
    Admit, AdmitLayer, AsBoxError, AsError, AtHead, ByError, Gate, Observe, Observed, Path,
    Rejection, With,
};
use tower_layer::Layer;

use crate::concurrency::ConcurrencyLimit;
use crate::limit::Limit;

/// Limits how many requests are in flight, and refuses what is more at once.
///
/// A place is taken in `call` and given back when the call has ended: a service that is idle, and one that was
/// refused, holds none, so that it keeps nobody out. With feature `http` it is held until the response's body
/// has ended.
///
/// The state lives in the layer: all services that it makes, and all its clones, share one limit.
#[derive(Clone)]
pub struct ConcurrencyLimitLayer<A = ConcurrencyLimit, C = AtHead<ByError>, R = AsError> {
    pub(crate) limit: ConcurrencyLimit,
    pub(crate) admission: A,
    pub(crate) settle: C,
    pub(crate) on_reject: R,
}

/// A service behind a concurrency limit.
pub type ConcurrencyLimited<S, A = ConcurrencyLimit, C = AtHead<ByError>, R = AsError> =
    Admit<S, (), A, C, R>;

impl ConcurrencyLimitLayer {
    /// Lets so many go at once: a number, or an adaptive limit such as [`Vegas`](crate::limit::Vegas).
    #[must_use]
    pub fn new(limit: impl Into<Limit>) -> Self {
        Self::from(ConcurrencyLimit::new(limit))
    }
}

/// A layer on a limit that was built elsewhere, or that others use too.
impl From<ConcurrencyLimit> for ConcurrencyLimitLayer {
    fn from(limit: ConcurrencyLimit) -> Self {
        Self {
            admission: limit.clone(),
            limit,
            settle: AtHead(ByError),
            on_reject: AsError,
        }
    }
}

impl<A, C, R> ConcurrencyLimitLayer<A, C, R> {
    /// The limit, to look at it and to change it while it works.
    #[must_use]
    pub const fn limit(&self) -> &ConcurrencyLimit {
        &self.limit
    }

    /// Answers a rejection with a boxed error, for stacks with tower's Buffer, Timeout or LoadShed.
    #[must_use]
    pub fn as_box_error(self) -> ConcurrencyLimitLayer<A, C, AsBoxError> {
        self.answer(AsBoxError)
    }

    /// Answers a rejection with what `f` makes of it: a response or an error of the inner service's types.
    #[must_use]
    pub fn on_reject<F, Res, E>(self, f: F) -> ConcurrencyLimitLayer<A, C, With<F>>
    where
        F: Fn(Rejection) -> Result<Res, E>,
    {
        self.answer(With(f))
    }

    /// Says how a call went, for adaptive limits: any [`Classify`](buttress_core::Classify). Without it that
    /// is [`ByError`], which needs an error that is a `std::error::Error`; over boxed errors say
    /// [`ByBoxError`](buttress_core::ByBoxError), over any others [`ByResult`](buttress_core::ByResult).
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> ConcurrencyLimitLayer<A, AtHead<C2>, R> {
        self.settling(AtHead(classify))
    }

    /// Settles permits in another way.
    #[must_use]
    pub fn settling<C2>(self, settle: C2) -> ConcurrencyLimitLayer<A, C2, R> {
        ConcurrencyLimitLayer {
            limit: self.limit,
            admission: self.admission,
            settle,
            on_reject: self.on_reject,
        }
    }

    /// Tells an observer what is admitted, refused and settled.
    #[must_use]
    pub fn observe<O>(self, observer: O) -> ConcurrencyLimitLayer<Observed<A, O>, C, R>
    where
        O: Observe + Clone,
    {
        ConcurrencyLimitLayer {
            limit: self.limit,
            admission: Observed::new(self.admission, observer),
            settle: self.settle,
            on_reject: self.on_reject,
        }
    }

    pub(crate) fn answer<R2>(self, on_reject: R2) -> ConcurrencyLimitLayer<A, C, R2> {
        ConcurrencyLimitLayer {
            limit: self.limit,
            admission: self.admission,
            settle: self.settle,
            on_reject,
        }
    }
}

/// A queue in front of the limit asks it before it hands out a place.
impl<C, R> Gate for ConcurrencyLimitLayer<ConcurrencyLimit, C, R> {
    type Ask = ();
    type Policy = ConcurrencyLimit;

    fn into_parts(self) -> ((), ConcurrencyLimit) {
        ((), self.limit)
    }
}

impl<S, A, C, R> Layer<S> for ConcurrencyLimitLayer<A, C, R>
where
    A: Clone,
    C: Clone,
    R: Clone,
{
    type Service = ConcurrencyLimited<S, A, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        let path = Path {
            ask: (),
            admission: self.admission.clone(),
            settle: self.settle.clone(),
            on_reject: self.on_reject.clone(),
        };
        AdmitLayer::from_path(path).layer(inner)
    }
}

impl<A, C, R> fmt::Debug for ConcurrencyLimitLayer<A, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimitLayer")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
