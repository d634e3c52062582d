//! Usage read from HTTP responses, and answers in HTTP and gRPC.

use buttress_core::{
    AtHead, ByResult, Classify, Describe, End, KeyHash, MissingKey, Now, Outcome, Permit, Settle,
    Standing, Ticket, Usage,
};
use buttress_http::{
    AtUsage, ByGrpcStatus, ByStatus, Fields, FromBody, FromFrames, FromHead, GrpcAnswer,
    HttpAnswer, HttpAnswerAnyBody, HttpAnswerWith, Refusal,
};
use http::Response;
use http::response::Parts;

use crate::ask::{BudgetAsk, Missing};
use crate::budget::TokenBudget;
use crate::layer::TokenBudgetLayer;
use crate::measure::Measured;

/// What an HTTP answer is told of a layer's budget, and of what its requests lack.
#[derive(Clone, Debug)]
pub struct Described {
    budget: TokenBudget,
    missing: Missing,
}

impl Describe for Described {
    fn standings(&self, key: KeyHash, now: &Now, each: &mut dyn FnMut(Standing<'_>)) {
        self.budget.standings(key, now, each);
    }

    fn missing_key(&self) -> MissingKey {
        self.missing.get().cloned().unwrap_or_default()
    }
}

/// A [`TokenBudgetLayer`] that holds its reservations until the body ends, and measures.
pub type MeasuringBudgetLayer<Q, A, M, R> = TokenBudgetLayer<Q, A, AtUsage<M>, R>;

impl<Q, A, C, R> TokenBudgetLayer<Q, A, C, R> {
    /// Reads the usage from the head of a response (`|head: &Parts| ..`), and settles when its body ends.
    #[must_use]
    pub fn measure_head<F, U>(self, read: F) -> MeasuringBudgetLayer<Q, A, FromHead<F>, R>
    where
        F: Fn(&Parts) -> Option<U>,
        U: Into<Usage>,
    {
        self.settling(|_| AtUsage::new(FromHead(read)))
    }

    /// Reads the usage from the whole body when it has ended (`|body: &[u8]| ..`), of at most 1 MiB. The body
    /// itself goes on as it comes. With other bounds: `measure_with`.
    #[must_use]
    pub fn measure_body<F, U>(self, read: F) -> MeasuringBudgetLayer<Q, A, FromBody<F>, R>
    where
        F: Fn(&[u8]) -> Option<U> + Clone,
        U: Into<Usage>,
    {
        self.settling(|_| AtUsage::new(FromBody::new(read)))
    }

    /// Reads the usage from a streamed body while it goes by, piece by piece, without delaying or copying it:
    /// a function of the head that makes a reader, `|head: &Parts| move |piece: &[u8]| ..`. What the reader
    /// told last is what was used, or what was seen if the body breaks off.
    #[must_use]
    pub fn measure_frames<F, G, U>(self, reader: F) -> MeasuringBudgetLayer<Q, A, FromFrames<F>, R>
    where
        F: Fn(&Parts) -> G,
        G: FnMut(&[u8]) -> Option<U>,
        U: Into<Usage>,
    {
        self.settling(|_| AtUsage::new(FromFrames(reader)))
    }

    /// Reads the usage with a [`Measure`](buttress_http::Measure) of your own, or one with other bounds.
    #[must_use]
    pub fn measure_with<M: buttress_http::Measure>(
        self,
        measure: M,
    ) -> MeasuringBudgetLayer<Q, A, M, R> {
        self.settling(|_| AtUsage::new(measure))
    }
}

impl<Q, A, M, B, R> TokenBudgetLayer<Q, A, AtUsage<M, B>, R> {
    /// How a call ended, if not by its status alone: for clients whose errors tell more, such as
    /// [`ByStatus`]`(`[`ByBoxError`](buttress_core::ByBoxError)`)`.
    #[must_use]
    pub fn classify_measured<C>(self, classify: C) -> TokenBudgetLayer<Q, A, AtUsage<M, C>, R> {
        self.settling(|settle| settle.classify(classify))
    }
}

/// How a layer settles once it answers in HTTP or gRPC: what measures stays as it is; what does not settles
/// when the body ends.
pub trait ForHttp {
    /// In HTTP.
    type Http;
    /// In gRPC, where a status is read as gRPC writes it.
    type Grpc;

    /// For HTTP.
    fn for_http(self) -> Self::Http;

    /// For gRPC.
    fn for_grpc(self) -> Self::Grpc;
}

impl ForHttp for AtHead<ByResult> {
    type Http = AtUsage;
    type Grpc = AtUsage<(), ByGrpcStatus>;

    fn for_http(self) -> AtUsage {
        AtUsage::new(())
    }

    fn for_grpc(self) -> Self::Grpc {
        self.for_http().for_grpc()
    }
}

impl<M> ForHttp for AtUsage<M, ByStatus> {
    type Http = Self;
    type Grpc = AtUsage<M, ByGrpcStatus>;

    fn for_http(self) -> Self {
        self
    }

    fn for_grpc(self) -> Self::Grpc {
        self.classify(ByGrpcStatus::default())
    }
}

impl<F> ForHttp for Measured<F, ByResult> {
    type Http = MeasuredHttp<F>;
    type Grpc = MeasuredHttp<F, ByGrpcStatus>;

    fn for_http(self) -> Self::Http {
        MeasuredHttp(Measured {
            read: self.read,
            classify: ByStatus::default(),
        })
    }

    fn for_grpc(self) -> Self::Grpc {
        MeasuredHttp(Measured {
            read: self.read,
            classify: ByGrpcStatus::default(),
        })
    }
}

/// Settles at the head with what `F` finds in an HTTP response. One that is not 2xx did nothing.
#[derive(Clone, Copy, Debug)]
pub struct MeasuredHttp<F, C = ByStatus>(Measured<F, C>);

impl<B, E, T, F, C> Settle<Response<B>, E, T> for MeasuredHttp<F, C>
where
    T: Ticket,
    C: Classify<Response<B>, E>,
    Measured<F, C>: Settle<Response<B>, E, T, Response = Response<B>>,
{
    type Response = Response<B>;

    fn settle(
        &self,
        result: Result<Response<B>, E>,
        permit: Permit<T>,
        now: &Now,
    ) -> Result<Response<B>, E> {
        let outcome = self.0.classify.classify(result.as_ref());
        let is_done = |response: &Response<B>| response.status().is_success();
        match outcome {
            Outcome::Success if !result.as_ref().is_ok_and(is_done) => {
                permit.end(End::Settled(outcome, Some(Usage::NOTHING)), now);
                result
            }
            _ => self.0.settle(result, permit, now),
        }
    }
}

type InHttp<K, E, X, D, A, C, R> =
    TokenBudgetLayer<BudgetAsk<K, E, X, D>, A, <C as ForHttp>::Http, R>;

type InGrpc<K, E, X, D, A, C, R> =
    TokenBudgetLayer<BudgetAsk<K, E, X, D>, A, <C as ForHttp>::Grpc, R>;

impl<K, E, X, D, A, C: ForHttp, R> TokenBudgetLayer<BudgetAsk<K, E, X, D>, A, C, R> {
    /// Answers what is over the budget with a response, so that the error type stays the inner service's:
    /// 429, a problem document (RFC 9457), `Retry-After`, `RateLimit` and `RateLimit-Policy`. A request
    /// without its key is answered with 500 and a sentence that says what is missing. Reservations are held
    /// until the body of the response ends.
    ///
    /// For bodies that can be made from `Bytes`, which those of axum, tonic and reqwest can; for others
    /// there is [`respond_http_any_body`](Self::respond_http_any_body).
    #[must_use]
    pub fn respond_http(self) -> InHttp<K, E, X, D, A, C, HttpAnswer<Described>> {
        let answer = HttpAnswer::new(self.described());
        self.answer(answer).settling(C::for_http)
    }

    /// As [`respond_http`](Self::respond_http), with chosen fields.
    #[must_use]
    pub fn respond_http_fields(
        self,
        fields: Fields,
    ) -> InHttp<K, E, X, D, A, C, HttpAnswer<Described>> {
        let answer = HttpAnswer::new(self.described()).fields(fields);
        self.answer(answer).settling(C::for_http)
    }

    /// As [`respond_http`](Self::respond_http), for any body: the response's body becomes a
    /// [`buttress_http::AnswerBody`].
    #[must_use]
    pub fn respond_http_any_body(self) -> InHttp<K, E, X, D, A, C, HttpAnswerAnyBody<Described>> {
        let answer = HttpAnswerAnyBody::new(self.described());
        self.answer(answer).settling(C::for_http)
    }

    /// As [`respond_http`](Self::respond_http), in your own words. `Retry-After` and the fields are added
    /// where the function did not set them.
    #[must_use]
    pub fn respond_http_with<F, B>(
        self,
        function: F,
    ) -> InHttp<K, E, X, D, A, C, HttpAnswerWith<Described, F>>
    where
        F: Fn(&Refusal<'_>) -> Response<B>,
    {
        let answer = HttpAnswerWith::new(self.described(), function);
        self.answer(answer).settling(C::for_http)
    }

    /// Answers what is over the budget with a trailers-only gRPC response: `RESOURCE_EXHAUSTED`, a message,
    /// `grpc-retry-pushback-ms`, and `RetryInfo` and `QuotaFailure` in the status's details.
    #[must_use]
    pub fn respond_grpc(self) -> InGrpc<K, E, X, D, A, C, GrpcAnswer<Described>> {
        let answer = GrpcAnswer::new(self.described());
        self.answer(answer).settling(C::for_grpc)
    }

    fn described(&self) -> Described {
        Described {
            budget: self.budget.clone(),
            missing: self.ask.missing.clone(),
        }
    }
}
