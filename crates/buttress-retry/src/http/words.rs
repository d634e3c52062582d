//! The words of the layer that are about HTTP.

use buttress_http::{GrpcAnswer, Hints, HttpAnswer, HttpAnswerAnyBody};
use http::HeaderName;

use super::judge::{OnGrpcStatus, OnStatus};
use super::replay::{HttpReplay, WrappedBy};
use crate::judge::OnBoxError;
use crate::layer::RetryLayer;
use crate::methods::Methods;

/// A [`RetryLayer`] over HTTP.
pub type HttpRetryLayer<R, O> = RetryLayer<HttpReplay, OnStatus, R, O>;

/// The field that tells an attempt's number if asked to without a name.
const NUMBER_FIELD: HeaderName = HeaderName::from_static("x-buttress-attempt");

impl<W, J, R, O> RetryLayer<W, J, R, O> {
    /// Retries requests of HTTP: idempotent methods and requests with an `Idempotency-Key`, after the
    /// statuses of [`OnStatus`], with their bodies, as long as the server said; and any request whose
    /// connection could not be made.
    ///
    /// The inner service gets a [`ReplayBody`](buttress_http::ReplayBody); see
    /// [`wrap_bodies`](RetryLayer::wrap_bodies) for one that takes only its own.
    #[must_use]
    pub fn http(self) -> HttpRetryLayer<R, O> {
        self.retry_if(OnStatus::default())
            .replay(HttpReplay::default())
    }

    /// Retries gRPC calls, whatever they do, after the statuses of [`OnGrpcStatus`]. Both statuses say
    /// that the call was not served; for calls that must never be made twice leave the layer out.
    #[must_use]
    pub fn grpc(self) -> RetryLayer<HttpReplay, OnGrpcStatus, R, O> {
        let replay = HttpReplay {
            methods: Methods::any(),
            ..HttpReplay::default()
        };
        self.retry_if(OnGrpcStatus::default()).replay(replay)
    }

    /// Answers a call that a timeout or a deadline ended with 504 and a problem document (RFC 9457), so
    /// that the error type stays the inner service's. For bodies that can be made from `Bytes`.
    #[must_use]
    pub fn respond_http(self) -> RetryLayer<W, J, HttpAnswer<()>, O> {
        self.answer(HttpAnswer::new(()))
    }

    /// As [`respond_http`](Self::respond_http), for any body: the response's body becomes a
    /// [`buttress_http::AnswerBody`].
    #[must_use]
    pub fn respond_http_any_body(self) -> RetryLayer<W, J, HttpAnswerAnyBody<()>, O> {
        self.answer(HttpAnswerAnyBody::new(()))
    }

    /// Answers a call that a timeout or a deadline ended with a trailers-only `DEADLINE_EXCEEDED`.
    #[must_use]
    pub fn respond_grpc(self) -> RetryLayer<W, J, GrpcAnswer<()>, O> {
        self.answer(GrpcAnswer::new(()))
    }
}

impl<F, J, R, O> RetryLayer<HttpReplay<F>, J, R, O> {
    /// Which methods may be repeated: [`Methods`], or a list such as `[Method::GET, Method::POST]`.
    #[must_use]
    pub fn on(mut self, methods: impl Into<Methods>) -> Self {
        self.replay = self.replay.on(methods);
        self
    }

    /// Never sends a request again whose method may not be repeated, also if its connection could not be
    /// made. Then nothing is kept of it.
    #[must_use]
    pub fn only_repeatable(mut self) -> Self {
        self.replay.only_repeatable = true;
        self
    }

    /// How many bytes of a body are kept; 64 KiB if nothing is said. A longer body is sent once.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.replay = self.replay.max_body(bytes);
        self
    }

    /// Tells the upstream the number of the attempt in the field `x-buttress-attempt`.
    #[must_use]
    pub fn number_attempts(self) -> Self {
        self.number_attempts_in(NUMBER_FIELD)
    }

    /// Tells the upstream the number of the attempt in a field of this name.
    #[must_use]
    pub fn number_attempts_in(mut self, name: HeaderName) -> Self {
        self.replay.number_field = Some(name);
        self
    }

    /// Keeps the inner service's body type: a function such as `Body::new` of axum and tonic, or
    /// `Body::wrap` of reqwest makes it. Only bodies that may be sent again go through it.
    #[must_use]
    pub fn wrap_bodies<G>(self, wrap: G) -> RetryLayer<HttpReplay<WrappedBy<G>>, J, R, O> {
        self.replaying(|replay| replay.wrap_bodies(wrap))
    }
}

/// A judge of responses of HTTP that has another judge for errors.
pub trait HttpErrors {
    /// The same with another judge for errors.
    type With<Y>;

    /// Judges errors in another way.
    fn with_errors<Y>(self, errors: Y) -> Self::With<Y>;

    /// Hears other hints.
    #[must_use]
    fn with_hints(self, hints: Hints) -> Self;
}

impl<W, J: HttpErrors, R, O> RetryLayer<W, J, R, O> {
    /// Which hints of the server are heard; those of the standards if nothing is said.
    #[must_use]
    pub fn hints(mut self, hints: Hints) -> Self {
        self.judge = self.judge.with_hints(hints);
        self
    }

    /// For inner services that fail with boxed errors, such as tower's Buffer.
    #[must_use]
    pub fn boxed_errors(self) -> RetryLayer<W, J::With<OnBoxError>, R, O> {
        self.retry_if_error(OnBoxError)
    }

    /// What an error means: a closure over `Result<&(), &Error>`, or any other judge of errors.
    #[must_use]
    pub fn retry_if_error<Y>(self, errors: Y) -> RetryLayer<W, J::With<Y>, R, O> {
        self.judging(|judge| judge.with_errors(errors))
    }
}

impl<const N: usize> From<[http::Method; N]> for Methods {
    fn from(methods: [http::Method; N]) -> Self {
        Self::these(methods.iter().map(|method| method.as_str().into()))
    }
}
