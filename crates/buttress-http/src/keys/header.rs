use std::fmt;
use std::hash::Hash;

use buttress_core::{Key, KeyHasher, MissingKey};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use http::{HeaderValue, Request};

const BEARER: &[u8] = b"bearer";

/// The value of a header. [`header`] makes it.
#[derive(Clone, Debug)]
pub struct HeaderKey {
    name: HeaderName,
}

/// Keeps a limit by the value of a header.
///
/// The value is hashed like a `str` (like a `[u8]` if it is not UTF-8), so that the same text finds the
/// same limit by hand. An empty value is none. Nor are several headers of this name: the limit would
/// be kept by one of them and the service might believe another.
///
/// Anybody can write anything into a header. Unless something in front of the limit checks the value,
/// a client that invents a new one for every request is not limited.
///
/// # Panics
///
/// If `name` is not a header's name.
#[must_use]
pub fn header<N>(name: N) -> HeaderKey
where
    N: TryInto<HeaderName>,
    N::Error: fmt::Display,
{
    HeaderKey {
        name: field_name(name),
    }
}

fn field_name<N>(name: N) -> HeaderName
where
    N: TryInto<HeaderName>,
    N::Error: fmt::Display,
{
    match name.try_into() {
        Ok(name) => name,
        Err(error) => panic!("the name of a header: {error}; write it like \"x-api-key\""),
    }
}

/// The only value of a header, unless it is empty.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(HeaderValue::as_bytes)?;
    (values.next().is_none() && !value.is_empty()).then_some(value)
}

fn hash_value(value: &[u8], hasher: &mut KeyHasher<'_>) {
    match std::str::from_utf8(value) {
        Ok(text) => text.hash(hasher),
        Err(_) => value.hash(hasher),
    }
}

impl<B> Key<Request<B>> for HeaderKey {
    fn hash_key(&self, request: &Request<B>, hasher: &mut KeyHasher<'_>) -> bool {
        let value = single(request.headers(), &self.name);
        value.inspect(|value| hash_value(value, hasher)).is_some()
    }

    fn missing(&self) -> MissingKey {
        MissingKey::new(format!(
            "The request has no `{}` header to limit it by: send exactly one, and not an empty one.",
            self.name
        ))
    }
}

/// The API key of a request.
///
/// It is hashed as it is read, like [`header`] does, and never kept or logged.
///
/// ```
/// use buttress_http::ApiKey;
///
/// let by_header = ApiKey::header("x-api-key");
/// let by_token = ApiKey::bearer();
/// # let _ = (by_header, by_token);
/// ```
#[derive(Clone)]
pub struct ApiKey {
    name: HeaderName,
    bearer: bool,
}

impl ApiKey {
    /// The key is the value of a header.
    ///
    /// # Panics
    ///
    /// If `name` is not a header's name.
    #[must_use]
    pub fn header<N>(name: N) -> Self
    where
        N: TryInto<HeaderName>,
        N::Error: fmt::Display,
    {
        Self {
            name: field_name(name),
            bearer: false,
        }
    }

    /// The key is the token of `Authorization: Bearer` (RFC 6750, section 2.1); the word is read in
    /// any case.
    #[must_use]
    pub const fn bearer() -> Self {
        Self {
            name: AUTHORIZATION,
            bearer: true,
        }
    }

    fn read<'a>(&self, headers: &'a HeaderMap) -> Option<&'a [u8]> {
        let value = single(headers, &self.name)?;
        if !self.bearer {
            return Some(value);
        }
        let (scheme, token) = value.split_at_checked(BEARER.len())?;
        let token = token.strip_prefix(b" ")?.trim_ascii();
        (scheme.eq_ignore_ascii_case(BEARER) && !token.is_empty()).then_some(token)
    }
}

impl<B> Key<Request<B>> for ApiKey {
    fn hash_key(&self, request: &Request<B>, hasher: &mut KeyHasher<'_>) -> bool {
        let key = self.read(request.headers());
        key.inspect(|key| hash_value(key, hasher)).is_some()
    }

    fn missing(&self) -> MissingKey {
        if self.bearer {
            return MissingKey::new(
                "The request has no API key to limit it by: send exactly one header \
                 `Authorization: Bearer <key>`.",
            );
        }
        MissingKey::new(format!(
            "The request has no API key to limit it by: send it in exactly one `{}` header.",
            self.name
        ))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApiKey").field(&self.name).finish()
    }
}
