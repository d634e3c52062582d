//! A request without its body.

use std::fmt;
use std::hash::Hash;

use buttress_core::{Exempt, Key, KeyHasher, MissingKey};
use http::{Extensions, HeaderMap, Method, Request, Uri, Version};

/// Everything of a request but its body.
///
/// Whoever reads requests through it works for every body type, and closures need no annotation.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target.
    pub uri: &'a Uri,
    /// The version of HTTP.
    pub version: Version,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// What the framework and other layers added.
    pub extensions: &'a Extensions,
}

impl<'a, B> From<&'a Request<B>> for RequestHead<'a> {
    fn from(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

/// A key, or an exemption, that a function reads from the head of a request. [`by_head`] makes it.
#[derive(Clone)]
pub struct ByHead<F> {
    function: F,
    missing: MissingKey,
}

/// Reads a key from the head of a request, or tells whether the request is exempt.
///
/// A function that returns `Some` of anything `Hash` is a key (`None`: the request has none); one that
/// returns a `bool` is an exemption. What it returns cannot borrow from the request: clone it, which
/// is cheap for a header value. The ready keys of this crate, such as [`header`](crate::header), do
/// borrow.
///
/// ```
/// use buttress_http::by_head;
///
/// let tenant = by_head(|head| head.headers.get("x-tenant").cloned()).named("tenant (`x-tenant`)");
/// let health = by_head(|head| head.uri.path() == "/health");
/// # fn key(_: impl buttress_core::Key<http::Request<String>>) {}
/// # fn exempt(_: impl buttress_core::Exempt<http::Request<String>>) {}
/// # key(tenant);
/// # exempt(health);
/// ```
pub fn by_head<F, R>(function: F) -> ByHead<F>
where
    F: Fn(RequestHead<'_>) -> R,
{
    ByHead {
        function,
        missing: MissingKey::default(),
    }
}

impl<F> ByHead<F> {
    /// Says what a request lacks for which the function returns `None`: the answer then reads "The
    /// request has no {name} to limit it by."
    #[must_use]
    pub fn named(mut self, name: impl fmt::Display) -> Self {
        self.missing = MissingKey::new(format!("The request has no {name} to limit it by."));
        self
    }
}

impl<F> ByHead<F> {
    /// What the function reads from a request, for a layer that asks for something of its own.
    pub fn read<B, R>(&self, request: &Request<B>) -> R
    where
        F: Fn(RequestHead<'_>) -> R,
    {
        (self.function)(request.into())
    }
}

impl<F> fmt::Debug for ByHead<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByHead")
            .field("missing", &self.missing)
            .finish_non_exhaustive()
    }
}

impl<B, F, K> Key<Request<B>> for ByHead<F>
where
    F: Fn(RequestHead<'_>) -> Option<K>,
    K: Hash,
{
    fn hash_key(&self, request: &Request<B>, hasher: &mut KeyHasher<'_>) -> bool {
        match (self.function)(request.into()) {
            Some(key) => {
                key.hash(hasher);
                true
            }
            None => false,
        }
    }

    fn missing(&self) -> MissingKey {
        self.missing.clone()
    }
}

impl<B, F> Exempt<Request<B>> for ByHead<F>
where
    F: Fn(RequestHead<'_>) -> bool,
{
    fn exempts(&self, request: &Request<B>) -> bool {
        (self.function)(request.into())
    }
}
