use std::any::type_name;
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use buttress_core::{Key, KeyHasher, MissingKey};
use http::{Extensions, Request};

use crate::forwarded::{ForwardedField, client_ip};
use crate::head::RequestHead;
use crate::networks::{Networks, group};

/// The address at the other end of the connection, as an extension of the request.
///
/// For servers that have no extension of their own for it: insert it where connections are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr(
    /// Address and port.
    pub SocketAddr,
);

/// The address of the client.
///
/// Only the connection itself is believed, unless [`behind`](Self::behind) names proxies whose word
/// is taken for the client's address. IPv4-mapped addresses are IPv4, and IPv6 addresses are grouped
/// by /64.
///
/// The key is hashed as an `IpAddr`, so that [`group`](Self::group) of an address finds the same limit
/// by hand.
///
/// ```
/// use buttress_http::{ClientIp, Networks};
///
/// let direct = ClientIp::peer();
/// let proxied = ClientIp::peer().behind(Networks::parse(["10.0.0.0/8"])?);
/// # let _ = (direct, proxied);
/// # Ok::<(), buttress_http::NetworkError>(())
/// ```
#[derive(Clone)]
pub struct ClientIp {
    source: Source,
    trusted: Networks,
    field: ForwardedField,
    v6_prefix: u8,
}

#[derive(Clone)]
enum Source {
    Peer,
    Extension {
        name: &'static str,
        read: Arc<ReadAddress>,
    },
}

type ReadAddress = dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync;

const SUBSCRIBER_PREFIX: u8 = 64;

impl ClientIp {
    /// The address at the other end of the connection: the extension [`PeerAddr`], else, with the
    /// feature `axum`, axum's `ConnectInfo<SocketAddr>` (or its `MockConnectInfo` of tests), else, with
    /// the feature `tonic`, the `TcpConnectInfo` of tonic's server, which it gives with its own TLS too.
    #[must_use]
    pub fn peer() -> Self {
        Self::from_source(Source::Peer)
    }

    /// The address in an extension that something else puts into the request.
    ///
    /// ```
    /// # use std::net::{IpAddr, SocketAddr};
    /// #[derive(Clone)]
    /// struct Connection { remote: SocketAddr }
    ///
    /// let key = buttress_http::ClientIp::from_extension(|connection: &Connection| connection.remote.ip());
    /// # let _ = key;
    /// ```
    #[must_use]
    pub fn from_extension<T: Send + Sync + 'static>(
        read: impl Fn(&T) -> IpAddr + Send + Sync + 'static,
    ) -> Self {
        Self::from_source(Source::Extension {
            name: type_name::<T>(),
            read: Arc::new(move |extensions| extensions.get().map(&read)),
        })
    }

    fn from_source(source: Source) -> Self {
        Self {
            source,
            trusted: Networks::default(),
            field: ForwardedField::default(),
            v6_prefix: SUBSCRIBER_PREFIX,
        }
    }

    /// Names the proxies in front of the server. If the connection comes from one of them, the client
    /// is the nearest hop in `X-Forwarded-For` that is none of them; see
    /// [`client_ip`](crate::client_ip).
    #[must_use]
    pub fn behind(mut self, proxies: Networks) -> Self {
        self.trusted = proxies;
        self
    }

    /// Names the one field that the proxies write, if it is not `X-Forwarded-For`.
    #[must_use]
    pub fn field(mut self, field: ForwardedField) -> Self {
        self.field = field;
        self
    }

    /// How many leading bits of an IPv6 address name a client; the default is 64, as one subscriber
    /// usually owns a whole /64.
    ///
    /// # Panics
    ///
    /// If `prefix` is above 128: an IPv6 address has no more bits.
    #[must_use]
    pub fn group_v6(mut self, prefix: u8) -> Self {
        assert!(
            prefix <= 128,
            "group_v6: found {prefix}: an IPv6 prefix has 0 to 128 bits"
        );
        self.v6_prefix = prefix;
        self
    }

    /// The address of the client as it is, not grouped, for allow lists and logs; none if the request
    /// does not tell.
    #[must_use]
    pub fn address(&self, head: RequestHead<'_>) -> Option<IpAddr> {
        let peer = match &self.source {
            Source::Peer => peer_address(head.extensions)?,
            Source::Extension { read, .. } => read(head.extensions)?,
        };
        Some(client_ip(peer, head.headers, &self.trusted, &self.field))
    }

    /// The key of a client with this address.
    #[must_use]
    pub fn group(&self, address: IpAddr) -> IpAddr {
        group(address, self.v6_prefix)
    }
}

fn peer_address(extensions: &Extensions) -> Option<IpAddr> {
    let peer = extensions.get().map(|PeerAddr(address)| address.ip());
    #[cfg(feature = "axum")]
    let peer = peer.or_else(|| {
        use axum::extract::connect_info::{ConnectInfo, MockConnectInfo};

        let connected = extensions.get::<ConnectInfo<SocketAddr>>();
        let mocked = || extensions.get().map(|MockConnectInfo(mock)| mock);
        let address: Option<&SocketAddr> = connected.map(|ConnectInfo(real)| real).or_else(mocked);
        address.map(SocketAddr::ip)
    });
    #[cfg(feature = "tonic")]
    let peer = peer.or_else(|| {
        use tonic::transport::server::TcpConnectInfo;

        let connected: &TcpConnectInfo = extensions.get()?;
        connected.remote_addr().map(|address| address.ip())
    });
    peer
}

impl<B> Key<Request<B>> for ClientIp {
    #[inline]
    fn hash_key(&self, request: &Request<B>, hasher: &mut KeyHasher<'_>) -> bool {
        match self.address(request.into()) {
            Some(address) => {
                self.group(address).hash(hasher);
                true
            }
            None => false,
        }
    }

    fn missing(&self) -> MissingKey {
        match &self.source {
            Source::Peer => MissingKey::new(
                "The server does not know the client's address: with axum, serve \
                 `router.into_make_service_with_connect_info::<SocketAddr>()`; with tonic, turn on \
                 the feature `tonic` of buttress and serve TCP; with another server, put a \
                 `buttress_http::PeerAddr` into the extensions of every request.",
            ),
            Source::Extension { name, .. } => MissingKey::new(format!(
                "The server does not know the client's address: put a `{name}` into the extensions \
                 of every request before it reaches the limit."
            )),
        }
    }
}

impl fmt::Debug for ClientIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            Source::Peer => "peer",
            Source::Extension { name, .. } => name,
        };
        f.debug_struct("ClientIp")
            .field("source", &source)
            .field("trusted", &self.trusted)
            .field("field", &self.field)
            .field("v6_prefix", &self.v6_prefix)
            .finish()
    }
}
