//! Answers in HTTP and gRPC, and places that are held until bodies end.

use buttress_core::{AtHead, ByError, Describe, KeyHash, Now, Policy, Standing};
use buttress_http::{
    ByGrpcStatus, ByStatus, GrpcAnswer, HttpAnswer, HttpAnswerAnyBody, HttpAnswerWith, Refusal,
    Throughout,
};
use http::Response;

use crate::layer::PriorityQueueLayer;
use crate::shed::ConcurrencyLimitLayer;

/// What an HTTP answer is told of a layer: a queue has no quotas.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Described;

impl Describe for Described {
    fn standings(&self, _: KeyHash, _: &Now, _: &mut dyn FnMut(Standing<'_>)) {}
}

type HttpSettle = Throughout<ByStatus<ByError>>;
type GrpcSettle = Throughout<ByGrpcStatus<ByError>>;

/// A [`PriorityQueueLayer`] that reads outcomes from statuses, and holds places until bodies end.
pub type HttpPriorityQueueLayer<Q, G, A, R> = PriorityQueueLayer<Q, G, A, HttpSettle, R>;

/// A [`PriorityQueueLayer`] that speaks gRPC.
pub type GrpcPriorityQueueLayer<Q, G, A> =
    PriorityQueueLayer<Q, G, A, GrpcSettle, GrpcAnswer<Described>>;

/// A [`ConcurrencyLimitLayer`] that reads outcomes from statuses, and holds places until bodies end.
pub type HttpConcurrencyLimitLayer<A, R> = ConcurrencyLimitLayer<A, HttpSettle, R>;

/// A [`ConcurrencyLimitLayer`] that speaks gRPC.
pub type GrpcConcurrencyLimitLayer<A> = ConcurrencyLimitLayer<A, GrpcSettle, GrpcAnswer<Described>>;

impl<Q, G: Policy, A, C, R> PriorityQueueLayer<Q, G, A, C, R> {
    /// Speaks HTTP: refuses with 503 (a full queue, a wait that was too long, a closed queue), 504 (a
    /// deadline), or what a gate's refusal is answered with, a problem document (RFC 9457) and `Retry-After`
    /// as the queue drains at present, so that the error type stays the inner service's. A place is held
    /// until the response's body has ended; the body becomes a [`buttress_http::PermitBody`].
    ///
    /// For bodies that can be made from `Bytes`, which those of axum, tonic and reqwest can; for others
    /// there is [`respond_http_any_body`](Self::respond_http_any_body).
    #[must_use]
    pub fn respond_http(self) -> HttpPriorityQueueLayer<Q, G, A, HttpAnswer<Described>> {
        self.reading_statuses().answer(HttpAnswer::new(Described))
    }

    /// As [`respond_http`](Self::respond_http), for any body.
    #[must_use]
    pub fn respond_http_any_body(
        self,
    ) -> HttpPriorityQueueLayer<Q, G, A, HttpAnswerAnyBody<Described>> {
        self.reading_statuses()
            .answer(HttpAnswerAnyBody::new(Described))
    }

    /// As [`respond_http`](Self::respond_http), in your own words. `Retry-After` is added where the
    /// function did not set it.
    #[must_use]
    pub fn respond_http_with<F, B>(
        self,
        function: F,
    ) -> HttpPriorityQueueLayer<Q, G, A, HttpAnswerWith<Described, F>>
    where
        F: Fn(&Refusal<'_>) -> Response<B>,
    {
        self.reading_statuses()
            .answer(HttpAnswerWith::new(Described, function))
    }

    /// Speaks gRPC: refuses with a trailers-only response and `grpc-retry-pushback-ms`, and reads how a call
    /// went from its status, in the head or in the trailers.
    #[must_use]
    pub fn respond_grpc(self) -> GrpcPriorityQueueLayer<Q, G, A> {
        self.settling(Throughout::new(ByGrpcStatus(ByError)))
            .answer(GrpcAnswer::new(Described))
    }

    /// Reads outcomes from HTTP statuses, holds places until bodies end, and leaves refusals what they are:
    /// for clients that have errors.
    #[must_use]
    pub fn reading_statuses(self) -> HttpPriorityQueueLayer<Q, G, A, R> {
        self.settling(Throughout::new(ByStatus(ByError)))
    }
}

impl<Q, G: Policy, A, C, R> PriorityQueueLayer<Q, G, A, Throughout<C>, R> {
    /// Gives places back at the head of the response, and leaves bodies alone: their type stays the inner
    /// service's.
    #[must_use]
    pub fn until_head(self) -> PriorityQueueLayer<Q, G, A, AtHead<C>, R> {
        PriorityQueueLayer {
            queue: self.queue,
            ask: self.ask,
            admission: self.admission,
            settle: AtHead(self.settle.into_classify()),
            on_reject: self.on_reject,
        }
    }
}

impl<A, C, R> ConcurrencyLimitLayer<A, C, R> {
    /// Speaks HTTP: refuses with 503 and a problem document (RFC 9457), so that the error type stays the
    /// inner service's. A place is held until the response's body has ended.
    #[must_use]
    pub fn respond_http(self) -> HttpConcurrencyLimitLayer<A, HttpAnswer<Described>> {
        self.reading_statuses().answer(HttpAnswer::new(Described))
    }

    /// As [`respond_http`](Self::respond_http), for any body.
    #[must_use]
    pub fn respond_http_any_body(
        self,
    ) -> HttpConcurrencyLimitLayer<A, HttpAnswerAnyBody<Described>> {
        self.reading_statuses()
            .answer(HttpAnswerAnyBody::new(Described))
    }

    /// As [`respond_http`](Self::respond_http), in your own words.
    #[must_use]
    pub fn respond_http_with<F, B>(
        self,
        function: F,
    ) -> HttpConcurrencyLimitLayer<A, HttpAnswerWith<Described, F>>
    where
        F: Fn(&Refusal<'_>) -> Response<B>,
    {
        self.reading_statuses()
            .answer(HttpAnswerWith::new(Described, function))
    }

    /// Speaks gRPC: refuses with a trailers-only response of `UNAVAILABLE`.
    #[must_use]
    pub fn respond_grpc(self) -> GrpcConcurrencyLimitLayer<A> {
        self.settling(Throughout::new(ByGrpcStatus(ByError)))
            .answer(GrpcAnswer::new(Described))
    }

    /// Reads outcomes from HTTP statuses, holds places until bodies end, and leaves refusals what they are.
    #[must_use]
    pub fn reading_statuses(self) -> HttpConcurrencyLimitLayer<A, R> {
        self.settling(Throughout::new(ByStatus(ByError)))
    }
}

impl<A, C, R> ConcurrencyLimitLayer<A, Throughout<C>, R> {
    /// Gives places back at the head of the response.
    #[must_use]
    pub fn until_head(self) -> ConcurrencyLimitLayer<A, AtHead<C>, R> {
        ConcurrencyLimitLayer {
            limit: self.limit,
            admission: self.admission,
            settle: AtHead(self.settle.into_classify()),
            on_reject: self.on_reject,
        }
    }
}
