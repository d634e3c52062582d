//! Requests that a limit does not concern.

use axum::Router;
use axum::body::Body;
use axum::routing::{get as on_get, options};
use buttress::core::Exempt;
use buttress::http::allow_list;
use buttress::{ClientIp, Networks, Preflight, Quota, RateLimitLayer};
use http::Request;
use reqwest::Method;

use crate::support::{Answer, client, get, get_with, send, serve};

async fn preflight(address: std::net::SocketAddr) -> Answer {
    let request = client().request(Method::OPTIONS, format!("http://{address}/"));
    let request = request
        .header("origin", "https://app.example")
        .header("access-control-request-method", "GET");
    send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_passes_where_a_plain_options_does_not() {
    let limit = RateLimitLayer::new(Quota::per_hour(1))
        .by(ClientIp::peer())
        .unless(Preflight);
    let app = Router::new()
        .route(
            "/",
            on_get(async || "yes").merge(options(async || "options")),
        )
        .layer(limit.respond_http().headers());
    let address = serve(app).await;
    for _ in 0..5 {
        let answer = preflight(address).await;
        assert_eq!((answer.status, &*answer.body), (200, "options"));
        assert!(answer.lines("ratelimit").is_empty());
    }
    assert_eq!(get(address, "/").await.status, 200, "nothing was spent");
    assert_eq!(preflight(address).await.status, 200);
    let plain = client().request(Method::OPTIONS, format!("http://{address}/"));
    assert_eq!(send(plain).await.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_on_the_list_pass_and_others_do_not() {
    let client = ClientIp::peer().behind(Networks::parse(["127.0.0.1"]).unwrap());
    let office = Networks::parse(["192.0.2.0/24", "2001:db8::/32"]).unwrap();
    let limit = RateLimitLayer::new(Quota::per_hour(1))
        .by(client.clone())
        .unless(allow_list(client, office));
    let app = Router::new()
        .route("/", on_get(async || "yes"))
        .layer(limit.respond_http());
    let address = serve(app).await;
    let ask = async |hop| get_with(address, "/", "x-forwarded-for", hop).await.status;
    for hop in ["192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::1"] {
        assert_eq!(ask(hop).await, 200, "{hop}");
    }
    for hop in ["198.51.100.1", "2001:db9::1", "192.0.2.1, 198.51.100.2"] {
        assert_eq!(ask(hop).await, 200, "{hop}");
        assert_eq!(ask(hop).await, 429, "{hop}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closure_joins_several_exemptions() {
    let office = allow_list(ClientIp::peer(), Networks::parse(["192.0.2.0/24"]).unwrap());
    let limit = RateLimitLayer::new(Quota::per_hour(1))
        .by(ClientIp::peer())
        .unless(move |request: &Request<Body>| {
            Preflight.exempts(request)
                || office.exempts(request)
                || request.uri().path() == "/health"
        });
    let app = Router::new()
        .route(
            "/",
            on_get(async || "yes").merge(options(async || "options")),
        )
        .route("/health", on_get(async || "ok"))
        .layer(limit.respond_http());
    let address = serve(app).await;
    assert_eq!(get(address, "/").await.status, 200);
    assert_eq!(get(address, "/").await.status, 429);
    assert_eq!(get(address, "/health").await.status, 200);
    assert_eq!(preflight(address).await.status, 200);
}
