//! The fields about limits on admitted responses.

use std::fmt;
use std::sync::Arc;

use buttress_core::{Classify, Describe, End, Now, Permit, Settle, Ticket};
use http::Response;

use crate::classify::ByStatus;
use crate::refusal::Fields;
use crate::render::Renderer;

/// Settles at the head, and tells the client on admitted responses where its limits stand.
///
/// Requests that were exempt get no fields. Where several limits write them, `RateLimit` and
/// `RateLimit-Policy` grow by one line each, which is how a list continues, and `X-RateLimit-*` tells
/// of the scarcest.
pub struct HttpFields<D> {
    renderer: Option<Arc<Renderer<D>>>,
    fields: Fields,
}

impl<D: Describe> HttpFields<D> {
    /// Writes the fields about the limits that `describe` knows.
    pub fn new(describe: D) -> Self {
        Self {
            renderer: Some(Arc::new(Renderer::new(describe))),
            fields: Fields::default(),
        }
    }

    /// Writes nothing, which costs nothing.
    #[must_use]
    pub const fn off() -> Self {
        Self {
            renderer: None,
            fields: Fields {
                ratelimit: true,
                x_ratelimit: false,
            },
        }
    }

    /// Writes the chosen fields about the limits that `describe` knows.
    #[must_use]
    pub fn on(self, describe: D) -> Self {
        Self {
            renderer: Some(Arc::new(Renderer::new(describe))),
            ..self
        }
    }

    /// Chooses the fields.
    #[must_use]
    pub const fn fields(mut self, fields: Fields) -> Self {
        self.fields = fields;
        self
    }
}

impl<B, E, T, D> Settle<Response<B>, E, T> for HttpFields<D>
where
    T: Ticket,
    D: Describe,
{
    type Response = Response<B>;

    #[inline]
    fn settle(
        &self,
        result: Result<Response<B>, E>,
        permit: Permit<T>,
        now: &Now,
    ) -> Result<Response<B>, E> {
        let key = permit.ticket().and_then(Ticket::key);
        let outcome = ByStatus::default().classify(result.as_ref());
        permit.end(End::Settled(outcome, None), now);
        let mut response = result?;
        if let (Some(renderer), Some(key)) = (&self.renderer, key) {
            renderer.admitted(key, self.fields, now, response.headers_mut());
        }
        Ok(response)
    }
}

// Derived, `Clone` would demand it of what is behind the `Arc`.
impl<D> Clone for HttpFields<D> {
    #[inline]
    fn clone(&self) -> Self {
        Self {
            renderer: self.renderer.clone(),
            fields: self.fields,
        }
    }
}

impl<D> fmt::Debug for HttpFields<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpFields")
            .field("on", &self.renderer.is_some())
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}
