//! What a client of a limited axum route sees.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get as on_get, post};
use buttress::http::{Fields, header};
use buttress::{ClientIp, MatchedRoute, Quota, RateLimitLayer, by_head};
use http::{Request, Response};
use serde_json::json;

use crate::support::{Answer, client, get, get_with, peer, send, serve, serve_without_addresses};

fn per_hour(units: u64) -> Quota {
    Quota::rolling(units, Duration::from_secs(3600))
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_line_limits_a_route_per_client() {
    let app = Router::new()
        .route("/chat", post(async || "hello"))
        .route_layer(
            RateLimitLayer::new(Quota::per_hour(5))
                .by(ClientIp::peer())
                .respond_http(),
        )
        .route("/health", on_get(async || "ok"));
    let address = serve(app).await;

    let chat = || send(client().post(format!("http://{address}/chat")).body("hi"));
    for _ in 0..5 {
        let admitted = chat().await;
        assert_eq!((admitted.status, &*admitted.body), (200, "hello"));
        assert_eq!(admitted.lines("ratelimit").len(), 0, "not asked for");
    }
    let refused = chat().await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.field("content-type"), "application/problem+json");
    assert_eq!(refused.number("content-length"), refused.body.len() as u64);
    assert_eq!(refused.field("ratelimit-policy"), "\"default\";q=5;w=3600");
    assert_eq!(refused.left(), [("default".to_owned(), 0)]);
    assert!((1..=720).contains(&refused.number("retry-after")));
    assert_eq!(refused.json()["violated-policies"], json!(["default"]));
    assert_eq!(get(address, "/health").await.status, 200);
    assert_eq!(get(address, "/nowhere").await.status, 404);
    // A router's route layer also stands before the answer to a wrong method; a method router's does not.
    assert_eq!(get(address, "/chat").await.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_over_a_router_counts_all_that_comes() {
    let limit = RateLimitLayer::new(per_hour(3)).by(ClientIp::peer());
    let app = Router::new()
        .route("/a", on_get(async || "a"))
        .route("/b", on_get(async || "b"))
        .layer(limit.respond_http().headers());
    let address = serve(app).await;
    let mut answers = Vec::new();
    for path in ["/a", "/nowhere", "/b", "/a"] {
        answers.push(get(address, path).await);
    }
    assert_eq!(statuses(&answers), [200, 404, 200, 429]);
    assert_eq!(answers[1].left(), [("default".to_owned(), 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_routes_of_a_layer_share_one_limit_and_a_handle() {
    let limit = RateLimitLayer::new(per_hour(2))
        .by(ClientIp::peer())
        .respond_http();
    let limiter = limit.limiter().clone();
    let app = Router::new()
        .route("/a", on_get(peer).route_layer(limit.clone()))
        .route("/b", on_get(peer).route_layer(limit));
    let address = serve(app).await;
    let mut answers = Vec::new();
    for path in ["/a", "/b", "/a"] {
        answers.push(get(address, path).await);
    }
    assert_eq!(statuses(&answers), [200, 200, 429]);
    let status = limiter.status();
    assert_eq!(
        (status.admitted, status.refused, status.live_keys),
        (2, 1, 1)
    );

    limiter.set_quota(per_hour(3));
    assert_eq!(get(address, "/a").await.status, 200, "2 of 3 were spent");
    assert_eq!(get(address, "/b").await.status, 429);
    let client: std::net::IpAddr = answers[0].body.parse().unwrap();
    limiter.refund(client, 1);
    assert_eq!(get(address, "/b").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_two_counts_each_route_for_each_client() {
    let key = (header("x-client"), MatchedRoute::new());
    let app = Router::new()
        .route("/item/{id}", on_get(async || "item"))
        .route("/list", on_get(async || "list"))
        .route_layer(RateLimitLayer::new(per_hour(1)).by(key).respond_http());
    let address = serve(app).await;
    let ask = async |path, client| get_with(address, path, "x-client", client).await.status;
    assert_eq!(ask("/item/1", "a").await, 200);
    assert_eq!(ask("/item/2", "a").await, 429);
    assert_eq!(ask("/list", "a").await, 200);
    assert_eq!(ask("/item/2", "b").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn closures_over_the_head_need_no_annotation() {
    let limit = RateLimitLayer::new(per_hour(10))
        .by(by_head(|head| head.headers.get("x-tenant").cloned()).named("tenant (`x-tenant`)"))
        .unless(by_head(|head| head.uri.path() == "/health"))
        .cost(|request: &Request<Body>| {
            request.uri().query().map_or(1, |query| query.len() as u64)
        });
    let app = Router::new()
        .route("/search", on_get(async || "found"))
        .route("/health", on_get(async || "ok"))
        .layer(limit.respond_http().headers());
    let address = serve(app).await;

    let found = get_with(address, "/search?1234567", "x-tenant", "a").await;
    assert_eq!(found.left(), [("default".to_owned(), 3)]);
    let refused = get_with(address, "/search?1234", "x-tenant", "a").await;
    assert_eq!(refused.status, 429);
    assert_eq!(
        get_with(address, "/search?123", "x-tenant", "a")
            .await
            .status,
        200
    );

    // More than there ever is: no time to come back at.
    let never = get_with(address, "/search?12345678901", "x-tenant", "b").await;
    assert_eq!(never.status, 429);
    assert!(never.lines("retry-after").is_empty(), "{never:?}");

    let health = get(address, "/health").await;
    assert_eq!(health.status, 200);
    assert!(health.lines("ratelimit").is_empty(), "exempt: {health:?}");
    let nobody = get(address, "/search").await;
    assert_eq!(nobody.status, 500);
    assert_eq!(
        nobody.json()["detail"],
        "The request has no tenant (`x-tenant`) to limit it by."
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_addresses_says_what_it_lacks() {
    let limit = RateLimitLayer::new(per_hour(1)).by(ClientIp::peer());
    let app = Router::new()
        .route("/", on_get(async || "never"))
        .route_layer(limit.respond_http());
    let address = serve_without_addresses(app).await;
    // Nor does the second find a limit that is shared by all who have no address.
    for _ in 0..2 {
        let answer = get(address, "/").await;
        assert_eq!(answer.status, 500);
        assert_eq!(answer.field("content-type"), "application/problem+json");
        let problem = answer.json();
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("into_make_service_with_connect_info"),
            "{detail}"
        );
        assert_eq!(problem["status"], 500);
        assert!(answer.lines("retry-after").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_in_the_users_own_words() {
    let limit = RateLimitLayer::new(per_hour(1).named("daily bread"))
        .by(ClientIp::peer())
        .respond_http_with(|refusal| {
            let names: Vec<&str> = refusal.violated().collect();
            let body = json!({ "sorry": names, "again": refusal.retry_after().is_some() });
            Response::builder()
                .status(420)
                .header("content-type", "application/json")
                .header("ratelimit-policy", "\"mine\";q=7")
                .body(Body::from(body.to_string()))
                .unwrap()
        });
    let app = Router::new()
        .route("/", on_get(async || "yes"))
        .route_layer(limit);
    let address = serve(app).await;
    assert_eq!(get(address, "/").await.body, "yes");
    let refused = get(address, "/").await;
    assert_eq!(refused.status, 420);
    assert_eq!(
        refused.json(),
        json!({"sorry": ["daily bread"], "again": true})
    );
    assert_eq!(refused.field("content-type"), "application/json");
    assert_eq!(
        refused.field("ratelimit-policy"),
        "\"mine\";q=7",
        "it was set"
    );
    assert_eq!(
        refused.left(),
        [("daily bread".to_owned(), 0)],
        "it was not"
    );
    assert!((3590..=3600).contains(&refused.number("retry-after")));
}

#[tokio::test(flavor = "multi_thread")]
async fn older_clients_find_the_fields_that_they_know() {
    let fields = Fields {
        ratelimit: false,
        x_ratelimit: true,
    };
    let limit = RateLimitLayer::new(per_hour(2))
        .and(Quota::per_day(500))
        .by(ClientIp::peer())
        .respond_http();
    let app = Router::new()
        .route("/", on_get(async || "yes"))
        .route_layer(limit.headers().fields(fields));
    let address = serve(app).await;
    for (status, remaining) in [(200, 1), (200, 0), (429, 0)] {
        let answer = get(address, "/").await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.number("x-ratelimit-limit"), 2);
        assert_eq!(answer.number("x-ratelimit-remaining"), remaining);
        assert!((3590..=3600).contains(&answer.number("x-ratelimit-reset")));
        assert!(answer.lines("ratelimit").is_empty());
        assert!(answer.lines("ratelimit-policy").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_requests_are_refused_without_a_body_and_the_connection_lives_on() {
    let limit = RateLimitLayer::new(per_hour(1)).by(ClientIp::peer());
    let app = Router::new()
        .route(
            "/",
            on_get(async || "yes").route_layer(limit.respond_http()),
        )
        .route("/health", on_get(async || "ok"));
    let address = serve(app).await;
    let client = client();
    let head = || send(client.head(format!("http://{address}/")));
    assert_eq!(head().await.status, 200);
    let refused = head().await;
    assert_eq!((refused.status, &*refused.body), (429, ""));
    assert!(refused.number("content-length") > 0, "that of a GET");
    let health = send(client.get(format!("http://{address}/health"))).await;
    assert_eq!(health.body, "ok");
}
