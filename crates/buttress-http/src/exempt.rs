//! Requests that a limit does not concern.

use buttress_core::Exempt;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{Method, Request};

use crate::head::RequestHead;
use crate::keys::ClientIp;
use crate::networks::Networks;

/// Exempts CORS preflight requests, which the browser sends unasked and without credentials: an
/// `OPTIONS` with `Origin` and `Access-Control-Request-Method` (Fetch standard, "CORS-preflight
/// request").
///
/// Whoever sends such a request by hand is exempt as well, so put it only in front of a layer that
/// answers preflights cheaply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preflight;

impl<B> Exempt<Request<B>> for Preflight {
    fn exempts(&self, request: &Request<B>) -> bool {
        request.method() == Method::OPTIONS
            && request.headers().contains_key(ORIGIN)
            && request
                .headers()
                .contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    }
}

/// Exempts clients by their address. [`allow_list`] makes it.
#[derive(Clone, Debug)]
pub struct AllowList {
    client: ClientIp,
    networks: Networks,
}

/// Exempts the clients whose address lies in one of the networks.
///
/// The address is the client's own, before grouping. A request whose address is not known is not
/// exempt.
///
/// ```
/// use buttress_http::{ClientIp, Networks, allow_list};
///
/// let office = allow_list(ClientIp::peer(), Networks::parse(["192.0.2.0/24"])?);
/// # let _ = office;
/// # Ok::<(), buttress_http::NetworkError>(())
/// ```
#[must_use]
pub const fn allow_list(client: ClientIp, networks: Networks) -> AllowList {
    AllowList { client, networks }
}

impl<B> Exempt<Request<B>> for AllowList {
    fn exempts(&self, request: &Request<B>) -> bool {
        let address = self.client.address(RequestHead::from(request));
        address.is_some_and(|address| self.networks.contains(address))
    }
}
