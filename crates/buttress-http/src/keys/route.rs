use std::hash::Hash;
use std::sync::Arc;

use buttress_core::{Key, KeyHasher, MissingKey};
use http::{Extensions, Request};

/// The route that a request matched, such as `/users/{id}`, as an extension of the request.
///
/// For routers that have no extension of their own for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route(
    /// The pattern, not the path: there must be few of them.
    pub Arc<str>,
);

/// The route that a request matched: the extension [`Route`], else, with the feature `axum`, axum's
/// `MatchedPath`.
///
/// It is hashed like a `str`, and with the method like the pair of two.
///
/// ```
/// use buttress_http::{ClientIp, MatchedRoute};
///
/// // Each client has its own limit on each route.
/// let key = (ClientIp::peer(), MatchedRoute::new());
/// # let _ = key;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatchedRoute {
    method: bool,
}

impl MatchedRoute {
    /// One limit for each route.
    #[must_use]
    pub const fn new() -> Self {
        Self { method: false }
    }

    /// One limit for each method of each route.
    #[must_use]
    pub const fn with_method() -> Self {
        Self { method: true }
    }
}

impl MatchedRoute {
    /// The route among a request's extensions, for whoever names requests by it.
    #[must_use]
    pub fn find(extensions: &Extensions) -> Option<&str> {
        matched(extensions)
    }
}

fn matched(extensions: &Extensions) -> Option<&str> {
    let route = extensions.get().map(|Route(route)| &**route);
    #[cfg(feature = "axum")]
    let route = route.or_else(|| {
        let matched = extensions.get::<axum::extract::MatchedPath>();
        matched.map(axum::extract::MatchedPath::as_str)
    });
    route
}

impl<B> Key<Request<B>> for MatchedRoute {
    fn hash_key(&self, request: &Request<B>, hasher: &mut KeyHasher<'_>) -> bool {
        let Some(route) = matched(request.extensions()) else {
            return false;
        };
        if self.method {
            request.method().as_str().hash(hasher);
        }
        route.hash(hasher);
        true
    }

    fn missing(&self) -> MissingKey {
        MissingKey::new(
            "The request has no matched route to limit it by: with axum, add the layer with \
             `Router::route_layer`, so that it only sees requests that matched; with another \
             router, put a `buttress_http::Route` into the extensions of every request.",
        )
    }
}
