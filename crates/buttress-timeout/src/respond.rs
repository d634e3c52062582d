//! HTTP and gRPC.

use std::time::Duration;

use buttress_http::{
    GrpcAnswer, HttpAnswer, HttpAnswerAnyBody, HttpAnswerWith, Refusal, TimeoutField,
};
use http::Response;

use crate::body::ThroughBody;
use crate::deadline::PassOn;
use crate::layer::TimeoutLayer;

impl<D, W, R> TimeoutLayer<D, W, R> {
    /// Bounds the time from the call to the end of the response's body. The response's body becomes a
    /// [`TimedBody`](crate::TimedBody).
    #[must_use]
    pub fn to_body_end(mut self, limit: Duration) -> TimeoutLayer<D, ThroughBody, R> {
        self.settings.limits.to_body_end = Some(limit);
        self.through_body()
    }

    /// Lets the deadline also end bodies, and not only calls whose head has not come. The response's body
    /// becomes a [`TimedBody`](crate::TimedBody).
    #[must_use]
    pub fn through_body(self) -> TimeoutLayer<D, ThroughBody, R> {
        self.watching(ThroughBody::default())
    }

    /// Answers with a response, so that the error type stays the inner service's: 504 and a problem
    /// document (RFC 9457).
    ///
    /// For bodies that can be made from `Bytes`, which those of axum, tonic and reqwest can; for others
    /// there is [`respond_http_any_body`](Self::respond_http_any_body). A body that is cut off after its
    /// head still ends with an error, as nothing else can be said then.
    #[must_use]
    pub fn respond_http(self) -> TimeoutLayer<D, W, HttpAnswer<()>> {
        self.answer(HttpAnswer::new(()), false)
    }

    /// As [`respond_http`](Self::respond_http), for any body: the response's body becomes a
    /// [`buttress_http::AnswerBody`].
    #[must_use]
    pub fn respond_http_any_body(self) -> TimeoutLayer<D, W, HttpAnswerAnyBody<()>> {
        self.answer(HttpAnswerAnyBody::new(()), false)
    }

    /// As [`respond_http`](Self::respond_http), in your own words.
    #[must_use]
    pub fn respond_http_with<F, B>(self, function: F) -> TimeoutLayer<D, W, HttpAnswerWith<(), F>>
    where
        F: Fn(&Refusal<'_>) -> Response<B>,
    {
        self.answer(HttpAnswerWith::new((), function), false)
    }

    /// Answers with a trailers-only gRPC response: `DEADLINE_EXCEEDED` and a message, and nothing about
    /// retrying. A body that is cut off after its head ends with trailers that say the same.
    #[must_use]
    pub fn respond_grpc(self) -> TimeoutLayer<D, W, GrpcAnswer<()>> {
        self.answer(GrpcAnswer::new(()), true)
    }
}

impl<W, R> TimeoutLayer<(), W, R> {
    /// Takes the deadline that layers further out left in the request's extensions
    /// ([`CallDeadline`](buttress_http::CallDeadline)), and leaves the earliest of all there for those
    /// further in: of that one, of the layer's own deadline, and of the time to the end of the body.
    ///
    /// Say [`trust`](TimeoutLayer::trust) and [`send`](TimeoutLayer::send) for what comes and goes over the
    /// network.
    #[must_use]
    pub fn pass_on(self) -> TimeoutLayer<PassOn, W, R> {
        self.with_deadlines(PassOn::default())
    }
}

impl<W, R> TimeoutLayer<PassOn, W, R> {
    /// Takes the deadline from a field of the request too. Its sender can so make a call end sooner, and
    /// never later. Saying it again adds a field; of several the earliest counts.
    #[must_use]
    pub fn trust(mut self, field: TimeoutField) -> Self {
        self.settings.deadlines.trusted.push(field);
        self
    }

    /// Tells the upstream in a field of the request how much time is left. Saying it again adds a field.
    #[must_use]
    pub fn send(mut self, field: TimeoutField) -> Self {
        self.settings.deadlines.sent.push(field);
        self
    }
}
