//! An axum server and a client over loopback: what a layer leaves of the requests per second.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use buttress_http::ClientIp;
use buttress_rate_limit::{Quota, RateLimitLayer};
use http::Response;
use tower::layer::util::Identity;
use tower::util::MapResponseLayer;

use super::http::{ALL_FIELDS, with_constant_fields};
use super::{peers, plenty, scarce};
use crate::case::{Aim, Case, Group, Unit};
use crate::client::{Client, Wire};
use crate::server::Server;

/// Enough that the server always has something to do.
const CONNECTIONS: usize = 32;

const BARE: &str = "bare";

/// A case: its name, its path, the status that must come back, what it is meant to reach.
type Row = (&'static str, &'static str, [u8; 3], Option<f64>);

const OK: [u8; 3] = *b"200";
const REFUSED: [u8; 3] = *b"429";

const ROWS: [Row; 11] = [
    (BARE, "/a", OK, None),
    ("a layer that does nothing", "/b", OK, None),
    ("RateLimitLayer by peer, no fields", "/c", OK, Some(0.98)),
    ("RateLimitLayer by peer, with fields", "/d", OK, None),
    ("RateLimitLayer by peer, all fields", "/e", OK, Some(0.88)),
    (
        "RateLimitLayer by peer, refusing",
        "/f",
        REFUSED,
        Some(0.80),
    ),
    ("the same fields, constant", "/g", OK, None),
    ("all fields, constant", "/h", OK, None),
    ("tower_governor", "/i", OK, None),
    ("tower_governor, with fields", "/j", OK, None),
    ("tower_governor, refusing", "/k", REFUSED, None),
];

/// All cases are routes of one server, asked over the same connections.
pub(super) fn end_to_end() -> Group {
    let server = Server::start(router()).expect("a server on loopback");
    let client = Client::connect(server.address(), CONNECTIONS).expect("it can be connected to");
    let both = Rc::new(RefCell::new((client, server)));
    let case = |(name, path, status, share): Row| {
        let both = Rc::clone(&both);
        let wire = Wire::get(path, status);
        // What is refused from the first answer on is refused by then.
        let mut first = Some(Wire::get(path, OK)).filter(|_| status == REFUSED);
        let case = Case::new(name, move |count| {
            let (client, _server) = &mut *both.borrow_mut();
            if let Some(first) = first.take() {
                client
                    .send(&first, 1)
                    .expect("the first request is admitted");
            }
            client
                .send(&wire, count)
                .expect("every request is answered")
        });
        match share {
            Some(share) => case.aim(Aim::Share(share)),
            None => case,
        }
    };
    let mut group = Group::new("axum over loopback", BARE, ROWS.map(case).into());
    group.unit = Unit::PerSecond;
    group.round = Duration::from_millis(50);
    group.rounds = 91;
    group
}

fn router() -> Router {
    let route = |path| Router::new().route(path, get(async || "hello"));
    let by_peer = |quota: Quota| {
        RateLimitLayer::new(quota)
            .by(ClientIp::peer())
            .respond_http()
    };
    let constant = |count| {
        MapResponseLayer::new(move |response: Response<Body>| with_constant_fields(response, count))
    };
    route("/a")
        .merge(route("/b").route_layer(Identity::new()))
        .merge(route("/c").route_layer(by_peer(plenty())))
        .merge(route("/d").route_layer(by_peer(plenty()).headers()))
        .merge(route("/e").route_layer(by_peer(plenty()).headers().fields(ALL_FIELDS)))
        .merge(route("/f").route_layer(by_peer(scarce())))
        .merge(route("/g").route_layer(constant(2)))
        .merge(route("/h").route_layer(constant(5)))
        .merge(route("/i").route_layer(peers::governor_plenty()))
        .merge(route("/j").route_layer(peers::governor_plenty_with_fields()))
        .merge(route("/k").route_layer(peers::governor_scarce()))
}
