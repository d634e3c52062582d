use std::hash::Hash;

use buttress_core::{Key, KeyHasher, MissingKey};
use http::{Request, Uri};

/// Where a client's request goes: the host of its URI, and if wanted the port.
///
/// For limits around clients, where URIs are absolute. A server's requests usually have no host there.
///
/// The host is hashed like a `str` in lower case, and with the port like the pair of `str` and `u16`, so
/// that the same text finds the same limit by hand.
///
/// ```
/// use buttress_http::Upstream;
///
/// let key = Upstream::host();
/// # let _ = key;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upstream {
    port: bool,
}

impl Upstream {
    /// One limit for each host.
    #[must_use]
    pub const fn host() -> Self {
        Self { port: false }
    }

    /// One limit for each port of each host. A port that is not written is that of the scheme.
    #[must_use]
    pub const fn host_and_port() -> Self {
        Self { port: true }
    }
}

fn port(uri: &Uri) -> Option<u16> {
    uri.port_u16().or_else(|| match uri.scheme_str()? {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    })
}

impl<B> Key<Request<B>> for Upstream {
    fn hash_key(&self, request: &Request<B>, hasher: &mut KeyHasher<'_>) -> bool {
        let uri = request.uri();
        let Some(host) = uri.host().filter(|host| !host.is_empty()) else {
            return false;
        };
        let port = match self.port {
            true => match port(uri) {
                Some(port) => Some(port),
                None => return false,
            },
            false => None,
        };
        // URLs are in lower case already, so this hardly ever allocates.
        match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => host.to_ascii_lowercase().hash(hasher),
            false => host.hash(hasher),
        }
        port.inspect(|port| port.hash(hasher));
        true
    }

    fn missing(&self) -> MissingKey {
        MissingKey::new(
            "The request has no host to limit it by: send it to an absolute URI, such as \
             `https://api.example.com/v1`.",
        )
    }
}
