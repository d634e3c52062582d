//! One layer over a ready HTTP service, by the peer's address.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use axum::body::Body;
use buttress_http::{ClientIp, Fields};
use buttress_rate_limit::RateLimitLayer;
use http::{HeaderName, HeaderValue, Request, Response};
use tower::util::MapResponseLayer;
use tower::{Layer, Service};

use super::peers::{self, Peer};
use super::{CLIENTS, clients, plenty, scarce};
use crate::case::{Aim, Case, Group};
use crate::drive;

const BARE: &str = "bare service";
const REQUEST: &str = "request, made and dropped";
const GOVERNOR: &str = "tower_governor";
const GOVERNOR_FIELDS: &str = "tower_governor, with fields";
const CONCURRENCY: &str = "tower ConcurrencyLimit";
const ERROR: &str = "RateLimitLayer, as an error";

/// Always ready, answers at once.
#[derive(Clone, Copy)]
struct Bare;

impl Service<Request<Body>> for Bare {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(Response::new(Body::empty())))
    }
}

/// Every field there is.
pub(super) const ALL_FIELDS: Fields = Fields {
    ratelimit: true,
    x_ratelimit: true,
};

/// The same fields as [`RateLimitLayer`] writes, with values that are always the same.
pub(super) const CONSTANT_FIELDS: [(HeaderName, HeaderValue); 5] = [
    (
        buttress_http::RATE_LIMIT_POLICY,
        HeaderValue::from_static("\"default\";q=900"),
    ),
    (
        buttress_http::RATE_LIMIT,
        HeaderValue::from_static("\"default\";r=899;t=1"),
    ),
    (
        buttress_http::X_RATE_LIMIT_LIMIT,
        HeaderValue::from_static("900"),
    ),
    (
        buttress_http::X_RATE_LIMIT_REMAINING,
        HeaderValue::from_static("899"),
    ),
    (
        buttress_http::X_RATE_LIMIT_RESET,
        HeaderValue::from_static("1"),
    ),
];

/// Adds the first of the constant fields to a response.
pub(super) fn with_constant_fields<B>(mut response: Response<B>, count: usize) -> Response<B> {
    for (name, value) in CONSTANT_FIELDS.into_iter().take(count) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// No client has used its limit up.
pub(super) fn admitted() -> Group {
    let ours = || {
        RateLimitLayer::new(plenty())
            .by(ClientIp::peer())
            .respond_http()
    };
    let concurrency = tower::limit::ConcurrencyLimitLayer::new(CLIENTS).layer(Bare);
    let constant = |count| {
        MapResponseLayer::new(move |response: Response<Body>| with_constant_fields(response, count))
            .layer(Bare)
    };
    let cases = vec![
        sent_to(BARE, Bare),
        sent_to("RateLimitLayer", ours().layer(Bare))
            .aim(Aim::Times(CONCURRENCY, 1.5))
            .aim(Aim::Allocations(0.0)),
        sent_to("RateLimitLayer, with fields", ours().headers().layer(Bare)),
        sent_to(
            "RateLimitLayer, with all fields",
            ours().headers().fields(ALL_FIELDS).layer(Bare),
        ),
        sent_to("the same fields, constant", constant(2)),
        sent_to("all fields, constant", constant(5)),
        sent_to(CONCURRENCY, concurrency),
        sent_to(GOVERNOR, peers::governor_plenty().layer(Bare)),
        sent_to(
            GOVERNOR_FIELDS,
            peers::governor_plenty_with_fields().layer(Bare),
        ),
    ];
    Group::new("layer over a ready HTTP service, admitted", GOVERNOR, cases).over(BARE)
}

/// All clients have used their limits up.
pub(super) fn refused() -> Group {
    let ours = || RateLimitLayer::new(scarce()).by(ClientIp::peer());
    let mut request = requests();
    let cases = vec![
        Case::new(REQUEST, drive::calls(move |_| request())),
        sent_to(ERROR, ours().layer(Bare)),
        sent_to(
            "RateLimitLayer, as a response",
            ours().respond_http().layer(Bare),
        )
        .aim(Aim::Nanoseconds(250.0))
        .aim(Aim::Allocations(6.0)),
        sent_to(
            "RateLimitLayer, as a response with all fields",
            ours().respond_http().fields(ALL_FIELDS).layer(Bare),
        ),
        sent_to(GOVERNOR, peers::governor_scarce().layer(Bare)),
    ];
    Group::new("layer over a ready HTTP service, refused", GOVERNOR, cases).over(REQUEST)
}

fn sent_to(name: &'static str, service: impl Service<Request<Body>> + 'static) -> Case {
    Case::new(name, drive::service(service, requests()))
}

/// Requests of one client after the other, as axum's server hands them on.
fn requests() -> impl FnMut() -> Request<Body> {
    let clients = clients();
    let mut index = 0_usize;
    move || {
        index = index.wrapping_add(1);
        let mut request = Request::new(Body::empty());
        let peer: Peer = axum::extract::ConnectInfo(SocketAddr::new(clients[index % CLIENTS], 80));
        request.extensions_mut().insert(peer);
        request
    }
}
