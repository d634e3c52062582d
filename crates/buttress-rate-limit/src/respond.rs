//! Answers in HTTP and gRPC.

use buttress_core::{Describe, KeyHash, MissingKey, Now, Standing};
use buttress_http::{
    Fields, GrpcAnswer, HttpAnswer, HttpAnswerAnyBody, HttpAnswerWith, HttpFields, Refusal,
};
use http::Response;

use crate::ask::{Missing, TellMissing};
use crate::charge_if::{ChargeBy, Replaceable};
use crate::layer::RateLimitLayer;
use crate::limiter::RateLimiter;

/// What an HTTP answer is told of a layer's limits, and of what its requests lack.
#[derive(Clone, Debug)]
pub struct Described {
    limiter: RateLimiter,
    missing: Missing,
}

impl Describe for Described {
    fn standings(&self, key: KeyHash, now: &Now, each: &mut dyn FnMut(Standing<'_>)) {
        self.limiter.standings(key, now, each);
    }

    fn missing_key(&self) -> MissingKey {
        self.missing.get().cloned().unwrap_or_default()
    }
}

impl<Q: TellMissing, A, C, R> RateLimitLayer<Q, A, C, R> {
    /// Answers what is over the limit with a response, so that the error type stays the inner service's:
    /// 429, a problem document (RFC 9457), `Retry-After`, `RateLimit` and `RateLimit-Policy`. A request
    /// without its key is answered with 500 and a sentence that says what is missing.
    ///
    /// For bodies that can be made from `Bytes`, which those of axum, tonic and reqwest can; for others
    /// there is [`respond_http_any_body`](Self::respond_http_any_body).
    #[must_use]
    pub fn respond_http(self) -> HttpRateLimitLayer<Q, A, HttpAnswer<Described>>
    where
        C: Replaceable,
    {
        let answer = HttpAnswer::new(self.described());
        self.answering(answer)
    }

    /// As [`respond_http`](Self::respond_http), for any body: the response's body becomes a
    /// [`buttress_http::AnswerBody`].
    #[must_use]
    pub fn respond_http_any_body(self) -> HttpRateLimitLayer<Q, A, HttpAnswerAnyBody<Described>>
    where
        C: Replaceable,
    {
        let answer = HttpAnswerAnyBody::new(self.described());
        self.answering(answer)
    }

    /// As [`respond_http`](Self::respond_http), in your own words. `Retry-After` and the fields are added
    /// where the function did not set them.
    #[must_use]
    pub fn respond_http_with<F, B>(
        self,
        function: F,
    ) -> HttpRateLimitLayer<Q, A, HttpAnswerWith<Described, F>>
    where
        F: Fn(&Refusal<'_>) -> Response<B>,
        C: Replaceable,
    {
        let answer = HttpAnswerWith::new(self.described(), function);
        self.answering(answer)
    }

    /// Answers what is over the limit with a trailers-only gRPC response: `RESOURCE_EXHAUSTED`, a message,
    /// `grpc-retry-pushback-ms`, and `RetryInfo` and `QuotaFailure` in the status's details. For tonic's
    /// servers and channels.
    #[must_use]
    pub fn respond_grpc(self) -> HttpRateLimitLayer<Q, A, GrpcAnswer<Described>>
    where
        C: Replaceable,
    {
        let answer = GrpcAnswer::new(self.described());
        self.answering(answer)
    }

    fn answering<R2>(self, on_reject: R2) -> HttpRateLimitLayer<Q, A, R2> {
        RateLimitLayer {
            limiter: self.limiter,
            ask: self.ask,
            admission: self.admission,
            settle: HttpFields::off(),
            on_reject,
        }
    }
}

impl<Q: TellMissing, A, C, R> RateLimitLayer<Q, A, C, R> {
    fn described(&self) -> Described {
        Described {
            limiter: self.limiter.clone(),
            missing: self.ask.missing(),
        }
    }
}

/// A [`RateLimitLayer`] that answers in HTTP.
pub type HttpRateLimitLayer<Q, A, R> = RateLimitLayer<Q, A, HttpFields<Described>, R>;

impl<Q: TellMissing, A, C: HasFields, R> RateLimitLayer<Q, A, C, R> {
    /// Writes the fields about limits on admitted responses too, not only on refusals.
    #[must_use]
    pub fn headers(mut self) -> Self {
        let described = self.described();
        self.settle = self.settle.change(|fields| fields.on(described));
        self
    }

    /// Chooses which fields are written, on refusals and, after [`headers`](Self::headers), on admitted
    /// responses.
    #[must_use]
    pub fn fields(mut self, fields: Fields) -> Self
    where
        R: WithFields,
    {
        self.settle = self.settle.change(|settle| settle.fields(fields));
        self.on_reject = self.on_reject.with_fields(fields);
        self
    }
}

/// A way to settle that writes fields: what `respond_http()` and its relatives leave in a layer.
pub trait HasFields {
    /// Changes how it writes them.
    #[must_use]
    fn change(self, change: impl FnOnce(HttpFields<Described>) -> HttpFields<Described>) -> Self;
}

impl HasFields for HttpFields<Described> {
    fn change(self, change: impl FnOnce(Self) -> Self) -> Self {
        change(self)
    }
}

impl<C: HasFields, F> HasFields for ChargeBy<C, F> {
    fn change(self, change: impl FnOnce(HttpFields<Described>) -> HttpFields<Described>) -> Self {
        Self {
            settle: self.settle.change(change),
            ..self
        }
    }
}

/// An answer that writes fields.
pub trait WithFields {
    /// Chooses them.
    #[must_use]
    fn with_fields(self, fields: Fields) -> Self;
}

impl<D: Describe> WithFields for HttpAnswer<D> {
    fn with_fields(self, fields: Fields) -> Self {
        self.fields(fields)
    }
}

impl<D: Describe> WithFields for HttpAnswerAnyBody<D> {
    fn with_fields(self, fields: Fields) -> Self {
        self.fields(fields)
    }
}

impl<D: Describe> WithFields for GrpcAnswer<D> {
    fn with_fields(self, fields: Fields) -> Self {
        self.fields(fields)
    }
}

impl<D: Describe, F> WithFields for HttpAnswerWith<D, F> {
    fn with_fields(self, fields: Fields) -> Self {
        self.fields(fields)
    }
}
