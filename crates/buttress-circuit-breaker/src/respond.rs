//! Answers in HTTP and gRPC, and outcomes that are read from them.

use buttress_core::{AtHead, ByError, Describe, KeyHash, MissingKey, Now, Standing};
use buttress_http::{
    AtBodyEnd, ByGrpcStatus, ByStatus, GrpcAnswer, HttpAnswer, HttpAnswerAnyBody, HttpAnswerWith,
    Refusal,
};
use http::Response;

use crate::ask::{CircuitAsk, Missing};
use crate::layer::{CircuitBreakerLayer, Reclassify};

/// What an HTTP answer is told of a layer: what its requests lack. A breaker has no quotas.
#[derive(Clone, Debug)]
pub struct Described(Missing);

impl Describe for Described {
    fn standings(&self, _: KeyHash, _: &Now, _: &mut dyn FnMut(Standing<'_>)) {}

    fn missing_key(&self) -> MissingKey {
        self.0.get().cloned().unwrap_or_default()
    }
}

/// A [`CircuitBreakerLayer`] that reads outcomes from statuses, and from bodies until their end.
pub type HttpCircuitBreakerLayer<Q, A, R> =
    CircuitBreakerLayer<Q, A, AtBodyEnd<ByStatus<ByError>>, R>;

/// A [`CircuitBreakerLayer`] that reads outcomes from gRPC statuses, in heads and in trailers.
pub type GrpcCircuitBreakerLayer<Q, A> =
    CircuitBreakerLayer<Q, A, AtBodyEnd<ByGrpcStatus<ByError>>, GrpcAnswer<Described>>;

impl<K, X, A, C, R> CircuitBreakerLayer<CircuitAsk<K, X>, A, C, R> {
    /// Speaks HTTP: refuses with 503, a problem document (RFC 9457) and `Retry-After`, so that the error
    /// type stays the inner service's; and counts 5xx, errors and bodies that break off as failures, 429
    /// for the rate only, and the rest, when its body has ended, as a success. The response's body becomes
    /// a [`buttress_http::PermitBody`].
    ///
    /// For bodies that can be made from `Bytes`, which those of axum, tonic and reqwest can; for others
    /// there is [`respond_http_any_body`](Self::respond_http_any_body).
    #[must_use]
    pub fn respond_http(
        self,
    ) -> HttpCircuitBreakerLayer<CircuitAsk<K, X>, A, HttpAnswer<Described>> {
        let described = self.described();
        self.reading_statuses().answer(HttpAnswer::new(described))
    }

    /// As [`respond_http`](Self::respond_http), for any body: the response's body becomes a
    /// [`buttress_http::AnswerBody`].
    #[must_use]
    pub fn respond_http_any_body(
        self,
    ) -> HttpCircuitBreakerLayer<CircuitAsk<K, X>, A, HttpAnswerAnyBody<Described>> {
        let described = self.described();
        self.reading_statuses()
            .answer(HttpAnswerAnyBody::new(described))
    }

    /// As [`respond_http`](Self::respond_http), in your own words. `Retry-After` is added where the
    /// function did not set it.
    #[must_use]
    pub fn respond_http_with<F, B>(
        self,
        function: F,
    ) -> HttpCircuitBreakerLayer<CircuitAsk<K, X>, A, HttpAnswerWith<Described, F>>
    where
        F: Fn(&Refusal<'_>) -> Response<B>,
    {
        let described = self.described();
        self.reading_statuses()
            .answer(HttpAnswerWith::new(described, function))
    }

    /// Speaks gRPC: refuses with a trailers-only response of `UNAVAILABLE` and `grpc-retry-pushback-ms`;
    /// and counts by the status, in the head or in the trailers. For tonic's servers and channels.
    #[must_use]
    pub fn respond_grpc(self) -> GrpcCircuitBreakerLayer<CircuitAsk<K, X>, A> {
        let described = self.described();
        self.settling(AtBodyEnd(ByGrpcStatus(ByError)))
            .answer(GrpcAnswer::new(described))
    }

    /// Reads outcomes from HTTP statuses and bodies, as [`respond_http`](Self::respond_http) does, and
    /// leaves refusals what they are: for clients that have errors.
    #[must_use]
    pub fn reading_statuses(self) -> HttpCircuitBreakerLayer<CircuitAsk<K, X>, A, R> {
        self.settling(AtBodyEnd(ByStatus(ByError)))
    }

    fn settling<C2>(self, settle: C2) -> CircuitBreakerLayer<CircuitAsk<K, X>, A, C2, R> {
        CircuitBreakerLayer {
            breaker: self.breaker,
            ask: self.ask,
            admission: self.admission,
            settle,
            on_reject: self.on_reject,
        }
    }

    fn described(&self) -> Described {
        Described(self.ask.missing())
    }
}

impl<Q, A, C, R> CircuitBreakerLayer<Q, A, AtBodyEnd<C>, R> {
    /// Ends calls at the head of their response, and leaves bodies alone: one that breaks off is no
    /// failure then, and the body type stays the inner service's.
    #[must_use]
    pub fn until_head(self) -> CircuitBreakerLayer<Q, A, AtHead<C>, R> {
        CircuitBreakerLayer {
            breaker: self.breaker,
            ask: self.ask,
            admission: self.admission,
            settle: AtHead(self.settle.0),
            on_reject: self.on_reject,
        }
    }
}

impl<Old, C> Reclassify<C> for AtBodyEnd<Old> {
    type Settle = AtBodyEnd<C>;

    fn reclassify(self, classify: C) -> AtBodyEnd<C> {
        AtBodyEnd(classify)
    }
}
