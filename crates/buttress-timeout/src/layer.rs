//! The layer and its builder.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use buttress_core::time::Instant;
use buttress_core::{AsBoxError, AsError, Rejection, With};
use tower_layer::Layer;

use crate::limits::Limits;
use crate::service::Timeout;
use crate::watch::ToHead;

/// Cuts calls off that take too long.
///
/// Without more words it bounds the time to the head of the response and answers with
/// [`Error::Rejected`](buttress_core::Error::Rejected). Every word adds to that:
///
/// - a deadline for the call, its own ([`deadline`](Self::deadline)) or the request's
///   ([`deadline_of`](TimeoutLayer::deadline_of), and with feature `http` `pass_on`, which also tells
///   those further in);
/// - with feature `http`, the time to the end of the body: `to_body_end`, `through_body`;
/// - how it answers: [`as_box_error`](Self::as_box_error), [`on_reject`](Self::on_reject), and with
///   feature `http` `respond_http` and its relatives.
///
/// A call that is cut off ends below as timed out, not as cancelled; a caller who goes away before the
/// time still cancels.
#[derive(Clone)]
pub struct TimeoutLayer<D = (), W = ToHead, R = AsError> {
    pub(crate) settings: Settings<D, W, R>,
}

/// All that is set.
#[derive(Clone)]
pub(crate) struct Settings<D, W, R> {
    pub(crate) limits: Limits,
    pub(crate) deadlines: D,
    pub(crate) watch: W,
    pub(crate) on_reject: R,
    /// Whether a body that is cut off ends with a status of gRPC.
    pub(crate) grpc: bool,
}

impl TimeoutLayer {
    /// Bounds the time from the call to the head of the response. It includes all waiting further in.
    #[must_use]
    pub fn new(to_head: Duration) -> Self {
        Self::from(Limits {
            to_head: Some(to_head),
            ..Limits::default()
        })
    }
}

/// A layer that bounds nothing yet, for deadlines alone.
impl Default for TimeoutLayer {
    fn default() -> Self {
        Self::from(Limits::default())
    }
}

/// [`Limits::to_body_end`] bounds the head only, unless bodies are watched.
impl From<Limits> for TimeoutLayer {
    fn from(limits: Limits) -> Self {
        Self {
            settings: Settings {
                limits,
                deadlines: (),
                watch: ToHead,
                on_reject: AsError,
                grpc: false,
            },
        }
    }
}

impl<D, W, R> TimeoutLayer<D, W, R> {
    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// Sets when an answer is worthless, counted from the call. It differs from a timeout in that it is
    /// passed on, and in that a request's own deadline may only be earlier.
    #[must_use]
    pub fn deadline(mut self, after: Duration) -> Self {
        self.settings.limits.deadline = Some(after);
        self
    }

    /// Answers with a boxed error, for stacks with tower's Buffer, Timeout or LoadShed.
    #[must_use]
    pub fn as_box_error(self) -> TimeoutLayer<D, W, AsBoxError> {
        self.answer(AsBoxError, false)
    }

    /// Answers with what `f` makes of the rejection: a response or an error of the inner service's types.
    #[must_use]
    pub fn on_reject<F, Res, E>(self, f: F) -> TimeoutLayer<D, W, With<F>>
    where
        F: Fn(Rejection) -> Result<Res, E>,
    {
        self.answer(With(f), false)
    }

    pub(crate) fn answer<R2>(self, on_reject: R2, grpc: bool) -> TimeoutLayer<D, W, R2> {
        let settings = self.settings;
        TimeoutLayer {
            settings: Settings {
                limits: settings.limits,
                deadlines: settings.deadlines,
                watch: settings.watch,
                on_reject,
                grpc,
            },
        }
    }

    pub(crate) fn with_deadlines<D2>(self, deadlines: D2) -> TimeoutLayer<D2, W, R> {
        let settings = self.settings;
        TimeoutLayer {
            settings: Settings {
                limits: settings.limits,
                deadlines,
                watch: settings.watch,
                on_reject: settings.on_reject,
                grpc: settings.grpc,
            },
        }
    }

    #[cfg(feature = "http")]
    pub(crate) fn watching<W2>(self, watch: W2) -> TimeoutLayer<D, W2, R> {
        let settings = self.settings;
        TimeoutLayer {
            settings: Settings {
                limits: settings.limits,
                deadlines: settings.deadlines,
                watch,
                on_reject: settings.on_reject,
                grpc: settings.grpc,
            },
        }
    }
}

impl<W, R> TimeoutLayer<(), W, R> {
    /// Takes a call's deadline from its request, with a closure
    /// (`|call: &Call| call.deadline`). A request whose deadline has come is refused, and nothing is sent.
    #[must_use]
    pub fn deadline_of<F, Req>(self, deadline: F) -> TimeoutLayer<F, W, R>
    where
        F: Fn(&Req) -> Option<Instant>,
    {
        self.with_deadlines(deadline)
    }
}

impl<S, D, W, R> Layer<S> for TimeoutLayer<D, W, R>
where
    D: Clone,
    W: Clone,
    R: Clone,
{
    type Service = Timeout<S, D, W, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Timeout::new(inner, Arc::new(self.settings.clone()))
    }
}

impl<D, W, R> fmt::Debug for TimeoutLayer<D, W, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutLayer")
            .field("limits", &self.settings.limits)
            .finish_non_exhaustive()
    }
}
