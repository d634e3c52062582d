//! Refusals as HTTP responses.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use buttress_core::{Describe, Now, OnReject, Rejection};
use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::prepared::Present;
use crate::problem;
use crate::refusal::{Fields, Refusal};
use crate::render::{Renderer, write_retry_after};

/// Answers refusals with a response whose body is made from bytes; body and error type stay those of
/// the inner service.
///
/// 429 for a used up quota and for a ban, 503 for missing capacity, 504 for a deadline or a timeout, 500 for a
/// request without the key that it is limited by; an `application/problem+json` document (RFC 9457) that lists the
/// violated quotas; `Retry-After` in seconds, rounded up and at least 1, if the time is known; and the
/// [`Fields`]. The [`Rejection`] is an extension of the response.
///
/// For bodies that are not `From<Bytes>` there is [`HttpAnswerAnyBody`], for answers in your own words
/// [`HttpAnswerWith`].
pub struct HttpAnswer<D> {
    renderer: Arc<Renderer<D>>,
    fields: Fields,
}

impl<D: Describe> HttpAnswer<D> {
    /// Answers about the limits that `describe` knows. It is asked when a request is refused, also for
    /// what a request lacks that has no key.
    pub fn new(describe: D) -> Self {
        Self {
            renderer: Arc::new(Renderer::new(describe)),
            fields: Fields::default(),
        }
    }

    /// Chooses the fields.
    #[must_use]
    pub const fn fields(mut self, fields: Fields) -> Self {
        self.fields = fields;
        self
    }

    fn answer<B>(
        &self,
        rejection: Rejection,
        now: &Now,
        body: impl FnOnce(Bytes) -> B,
    ) -> Response<B> {
        let (headers, problem) = self.renderer.refuse(&rejection, self.fields, now);
        let mut response = Response::new(body(problem));
        *response.status_mut() = problem::status(rejection.reason());
        *response.headers_mut() = headers;
        response.extensions_mut().insert(rejection);
        response
    }
}

impl<B: From<Bytes>, E, D: Describe> OnReject<Response<B>, E> for HttpAnswer<D> {
    type Response = Response<B>;
    type Error = E;

    fn reject(&self, rejection: Rejection, now: &Now) -> Result<Response<B>, E> {
        Ok(self.answer(rejection, now, B::from))
    }

    #[inline]
    fn response(response: Response<B>) -> Response<B> {
        response
    }

    #[inline]
    fn error(error: E) -> E {
        error
    }
}

/// Answers refusals as [`HttpAnswer`] does, over any body: the response's body becomes an
/// [`AnswerBody`].
pub struct HttpAnswerAnyBody<D>(HttpAnswer<D>);

impl<D: Describe> HttpAnswerAnyBody<D> {
    /// Answers about the limits that `describe` knows.
    pub fn new(describe: D) -> Self {
        Self(HttpAnswer::new(describe))
    }

    /// Chooses the fields.
    #[must_use]
    pub fn fields(self, fields: Fields) -> Self {
        Self(self.0.fields(fields))
    }
}

impl<B, E, D> OnReject<Response<B>, E> for HttpAnswerAnyBody<D>
where
    B: Body,
    B::Data: From<Bytes>,
    D: Describe,
{
    type Response = Response<AnswerBody<B>>;
    type Error = E;

    fn reject(&self, rejection: Rejection, now: &Now) -> Result<Self::Response, E> {
        Ok(self.0.answer(rejection, now, AnswerBody::refusal))
    }

    #[inline]
    fn response(response: Response<B>) -> Self::Response {
        response.map(AnswerBody::inner)
    }

    #[inline]
    fn error(error: E) -> E {
        error
    }
}

/// Answers refusals with the user's own function.
///
/// What the function did not set itself is added: `Retry-After`, the [`Fields`], and the [`Rejection`]
/// as an extension.
pub struct HttpAnswerWith<D, F> {
    shared: Arc<(Renderer<D>, F)>,
    fields: Fields,
}

impl<D: Describe, F> HttpAnswerWith<D, F> {
    /// Answers about the limits that `describe` knows.
    pub fn new<B>(describe: D, function: F) -> Self
    where
        F: Fn(&Refusal<'_>) -> Response<B>,
    {
        Self {
            shared: Arc::new((Renderer::new(describe), function)),
            fields: Fields::default(),
        }
    }

    /// Chooses the fields.
    #[must_use]
    pub const fn fields(mut self, fields: Fields) -> Self {
        self.fields = fields;
        self
    }
}

impl<B, E, D, F> OnReject<Response<B>, E> for HttpAnswerWith<D, F>
where
    D: Describe,
    F: Fn(&Refusal<'_>) -> Response<B>,
{
    type Response = Response<B>;
    type Error = E;

    fn reject(&self, rejection: Rejection, now: &Now) -> Result<Response<B>, E> {
        let (renderer, function) = &*self.shared;
        let (prepared, numbers) = renderer.refused(&rejection, now, |prepared, numbers| {
            (Arc::clone(prepared), numbers.clone())
        });
        let mut response = function(&Refusal {
            rejection,
            standings: &prepared.standings(&numbers),
            prepared: &prepared,
        });
        write_retry_after(&rejection, response.headers_mut());
        prepared.write(
            &numbers,
            self.fields,
            Present::Stays,
            response.headers_mut(),
        );
        response.extensions_mut().insert(rejection);
        Ok(response)
    }

    #[inline]
    fn response(response: Response<B>) -> Response<B> {
        response
    }

    #[inline]
    fn error(error: E) -> E {
        error
    }
}

pin_project! {
    /// The inner service's body, or the problem document of a refusal.
    #[derive(Debug)]
    pub struct AnswerBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<B> {
        Inner { #[pin] body: B },
        Refusal { problem: Option<Bytes> },
    }
}

impl<B> AnswerBody<B> {
    const fn inner(body: B) -> Self {
        Self {
            kind: Kind::Inner { body },
        }
    }

    const fn refusal(problem: Bytes) -> Self {
        Self {
            kind: Kind::Refusal {
                problem: Some(problem),
            },
        }
    }
}

impl<B> Body for AnswerBody<B>
where
    B: Body,
    B::Data: From<Bytes>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Inner { body } => body.poll_frame(cx),
            KindProjection::Refusal { problem } => {
                let problem = problem.take();
                Poll::Ready(problem.map(|problem| Ok(Frame::data(problem.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Refusal { problem } => problem.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Refusal { problem } => {
                let length = problem.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
        }
    }
}

// Derived, `Clone` would demand it of what is behind the `Arc`.
impl<D> Clone for HttpAnswer<D> {
    fn clone(&self) -> Self {
        Self {
            renderer: Arc::clone(&self.renderer),
            fields: self.fields,
        }
    }
}

impl<D> Clone for HttpAnswerAnyBody<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D, F> Clone for HttpAnswerWith<D, F> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            fields: self.fields,
        }
    }
}

impl<D> fmt::Debug for HttpAnswer<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpAnswer")
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

impl<D> fmt::Debug for HttpAnswerAnyBody<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpAnswerAnyBody").field(&self.0).finish()
    }
}

impl<D, F> fmt::Debug for HttpAnswerWith<D, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpAnswerWith")
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}
