//! Requests of HTTP that can be sent again.

use buttress_core::BoxError;
use buttress_core::time::Instant;
use buttress_http::{
    BodyReplay, CallDeadline, DEFAULT_REPLAY_LIMIT, ReplayBody, has_idempotency_key,
};
use http::Request;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http_body::Body;

use crate::attempt::Attempt;
use crate::methods::Methods;
use crate::replay::{Repeats, Replay, Template};

/// Sends requests of HTTP again.
///
/// A request whose method may be repeated, or that has an `Idempotency-Key`, is sent again with its body,
/// of which up to 64 KiB are kept; a longer body is sent once. Any other is sent again only if nothing of
/// its body was read and the connection could not be made.
///
/// Every attempt of such a request carries the extensions [`Attempt`] and, if there is one,
/// [`CallDeadline`].
#[derive(Clone, Debug, Default)]
pub struct HttpReplay<F = AsReplayBody> {
    pub(crate) methods: Methods,
    pub(crate) limit: Option<usize>,
    pub(crate) number_field: Option<HeaderName>,
    pub(crate) only_repeatable: bool,
    pub(crate) rebody: F,
}

/// Which body the inner service gets.
pub trait Rebody<B> {
    /// The body.
    type Body;

    /// The body of a request that is sent once.
    fn once(&self, body: B) -> Self::Body;

    /// A body that is recorded, or sent again.
    fn recorded(&self, body: ReplayBody<B>) -> Self::Body;
}

/// The inner service gets a [`ReplayBody`], and must take any body or this one. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsReplayBody;

impl<B> Rebody<B> for AsReplayBody {
    type Body = ReplayBody<B>;

    #[inline]
    fn once(&self, body: B) -> ReplayBody<B> {
        ReplayBody::once(body)
    }

    #[inline]
    fn recorded(&self, body: ReplayBody<B>) -> ReplayBody<B> {
        body
    }
}

/// The inner service gets the body type that it always had, from a function such as `Body::new` of axum
/// and tonic, or `Body::wrap` of reqwest.
#[derive(Clone, Copy, Debug)]
pub struct WrappedBy<F>(
    /// Makes a body of a recorded one.
    pub F,
);

impl<B, F: Fn(ReplayBody<B>) -> B> Rebody<B> for WrappedBy<F> {
    type Body = B;

    #[inline]
    fn once(&self, body: B) -> B {
        body
    }

    fn recorded(&self, body: ReplayBody<B>) -> B {
        (self.0)(body)
    }
}

impl<F> HttpReplay<F> {
    /// Which methods may be repeated: [`Methods`], or a list such as `[Method::GET, Method::POST]`.
    #[must_use]
    pub fn on(mut self, methods: impl Into<Methods>) -> Self {
        self.methods = methods.into();
        self
    }

    /// How many bytes of a body are kept; 64 KiB if nothing is said.
    #[must_use]
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.limit = Some(bytes);
        self
    }

    /// Keeps the inner service's body type: a function such as `Body::new` of axum and tonic makes it.
    #[must_use]
    pub fn wrap_bodies<G>(self, wrap: G) -> HttpReplay<WrappedBy<G>> {
        self.rebodied(WrappedBy(wrap))
    }

    fn rebodied<G>(self, rebody: G) -> HttpReplay<G> {
        HttpReplay {
            methods: self.methods,
            limit: self.limit,
            number_field: self.number_field,
            only_repeatable: self.only_repeatable,
            rebody,
        }
    }

    /// What every attempt tells those further in.
    fn tell(&self, head: &mut Parts, attempt: Attempt) {
        if let Some(name) = &self.number_field {
            head.headers
                .insert(name.clone(), HeaderValue::from(attempt.number));
        }
        if let Some(deadline) = attempt.deadline {
            CallDeadline::tighten(&mut head.extensions, deadline);
        }
        head.extensions.insert(attempt);
    }
}

impl<B, F> Replay<Request<B>> for HttpReplay<F>
where
    B: Body<Error: Into<BoxError>>,
    F: Rebody<B> + Clone,
{
    type Request = Request<F::Body>;
    type Template = HttpTemplate<B, F>;

    #[inline]
    fn deadline(&self, request: &Request<B>) -> Option<Instant> {
        CallDeadline::of(request)
    }

    #[inline]
    fn prepare(
        &self,
        request: Request<B>,
        first: Attempt,
    ) -> (Request<F::Body>, Option<HttpTemplate<B, F>>) {
        let is_repeatable = !first.is_last()
            && (self.methods.allow(request.method().as_str())
                || has_idempotency_key(request.headers()));
        let (mut head, body) = request.into_parts();
        if first.is_last() || (self.only_repeatable && !is_repeatable) {
            if let Some(deadline) = first.deadline {
                CallDeadline::tighten(&mut head.extensions, deadline);
            }
            return (Request::from_parts(head, self.rebody.once(body)), None);
        }
        let limit = match is_repeatable {
            true => self.limit.unwrap_or(DEFAULT_REPLAY_LIMIT),
            false => 0,
        };
        let (body, bodies) = ReplayBody::recorded(body, limit);
        let template = HttpTemplate {
            head: head.clone(),
            bodies,
            is_repeatable,
            replay: self.clone(),
        };
        self.tell(&mut head, first);
        let request = Request::from_parts(head, self.rebody.recorded(body));
        (request, Some(template))
    }
}

/// What is kept of a request of HTTP.
#[derive(Debug)]
pub struct HttpTemplate<B, F> {
    head: Parts,
    bodies: BodyReplay<B>,
    is_repeatable: bool,
    replay: HttpReplay<F>,
}

impl<B, F: Rebody<B>> HttpTemplate<B, F> {
    fn with(&self, body: ReplayBody<B>, attempt: Attempt) -> Request<F::Body> {
        let mut head = self.head.clone();
        self.replay.tell(&mut head, attempt);
        Request::from_parts(head, self.replay.rebody.recorded(body))
    }
}

impl<B, F> Template for HttpTemplate<B, F>
where
    B: Body<Error: Into<BoxError>>,
    F: Rebody<B>,
{
    type Request = Request<F::Body>;

    fn repeats(&self) -> Repeats {
        match (self.bodies.can_repeat(), self.is_repeatable) {
            (false, _) => Repeats::Never,
            (true, false) => Repeats::IfUnsent,
            (true, true) => Repeats::Freely,
        }
    }

    fn next(&mut self, attempt: Attempt) -> Option<Request<F::Body>> {
        let body = self.bodies.next(attempt.is_last())?;
        Some(self.with(body, attempt))
    }

    fn beside(&mut self, attempt: Attempt) -> Option<Request<F::Body>> {
        let body = self.bodies.beside()?;
        Some(self.with(body, attempt))
    }
}
