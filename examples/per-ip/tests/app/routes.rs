//! The routes and their limits.

use std::time::Duration;

use crate::support::{Answer, behind, chat, direct, from, limiters, send};
use axum::http::Request;
use per_ip::Limiters;
use serde_json::json;

async fn forwarded(app: &axum::Router, peer: &str, hops: &[&str]) -> u16 {
    let mut request = from(peer, Request::post("/chat"));
    for line in hops {
        request = request.header("x-forwarded-for", *line);
    }
    send(app, request, "hello").await.status
}

async fn search(app: &axum::Router, key: &str) -> Answer {
    let request = Request::get("/search?q=tower").header("x-api-key", key);
    send(app, request, "").await
}

async fn status(app: &axum::Router) -> serde_json::Value {
    let answer = send(app, Request::get("/status"), "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("content-type"), "application/json");
    answer.json()["layers"].take()
}

#[tokio::test(start_paused = true)]
async fn every_client_has_its_own_five_a_minute() {
    let app = direct(&limiters(""));
    for _ in 0..5 {
        let answer = chat(&app, "192.0.2.1").await;
        assert_eq!((answer.status, &*answer.body), (200, "heard 5 bytes\n"));
    }
    assert_eq!(chat(&app, "192.0.2.1").await.status, 429);
    assert_eq!(chat(&app, "192.0.2.2").await.status, 200);

    tokio::time::advance(Duration::from_millis(11_999)).await;
    assert_eq!(chat(&app, "192.0.2.1").await.status, 429);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(chat(&app, "192.0.2.1").await.status, 200);
    assert_eq!(chat(&app, "192.0.2.1").await.status, 429);
}

#[tokio::test(start_paused = true)]
async fn admitted_answers_tell_what_is_left() {
    let app = direct(&limiters(""));
    let first = chat(&app, "192.0.2.1").await;
    assert_eq!(first.field("ratelimit-policy"), "\"default\";q=5;w=60");
    assert_eq!(first.field("ratelimit"), "\"default\";r=4;t=12");
    assert!(!first.fields.contains_key("retry-after"));

    tokio::time::advance(Duration::from_millis(500)).await;
    let second = chat(&app, "192.0.2.1").await;
    assert_eq!(second.field("ratelimit"), "\"default\";r=3;t=12");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_a_problem_that_says_when_to_come_back() {
    let app = direct(&limiters(""));
    for _ in 0..5 {
        chat(&app, "192.0.2.1").await;
    }
    tokio::time::advance(Duration::from_millis(3_500)).await;
    let refused = chat(&app, "192.0.2.1").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.field("content-type"), "application/problem+json");
    assert_eq!(refused.field("retry-after"), "9");
    assert_eq!(refused.field("ratelimit"), "\"default\";r=0;t=9");
    assert_eq!(refused.field("ratelimit-policy"), "\"default\";q=5;w=60");
    assert_eq!(
        refused.json(),
        json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Quota Exceeded",
            "status": 429,
            "detail": "The rate limit \"default\" is used up.",
            "violated-policies": ["default"],
        })
    );
}

#[tokio::test(start_paused = true)]
async fn all_quotas_of_a_route_are_listed_and_only_the_used_up_one_is_violated() {
    let app = direct(&limiters("quotas = [\"2/minute\", \"3/hour rolling\"]"));
    let admitted = chat(&app, "192.0.2.1").await;
    assert_eq!(
        admitted.field("ratelimit-policy"),
        "\"2/minute\";q=2;w=60, \"3/hour rolling\";q=3;w=3600"
    );
    assert_eq!(
        admitted.field("ratelimit"),
        "\"2/minute\";r=1;t=30, \"3/hour rolling\";r=2;t=3600"
    );
    chat(&app, "192.0.2.1").await;
    let refused = chat(&app, "192.0.2.1").await;
    assert_eq!(refused.json()["violated-policies"], json!(["2/minute"]));
    assert_eq!(refused.field("retry-after"), "30");

    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(chat(&app, "192.0.2.1").await.status, 200);
    let refused = chat(&app, "192.0.2.1").await;
    assert_eq!(
        refused.json()["violated-policies"],
        json!(["3/hour rolling"])
    );
    assert_eq!(refused.field("retry-after"), "3540");
}

#[tokio::test(start_paused = true)]
async fn an_ipv6_subscriber_is_one_client() {
    let app = direct(&limiters("quotas = [\"2/minute\"]"));
    assert_eq!(chat(&app, "2001:db8:1:2::1").await.status, 200);
    assert_eq!(chat(&app, "2001:db8:1:2:ffff::9").await.status, 200);
    assert_eq!(chat(&app, "2001:db8:1:2:3:4:5:6").await.status, 429);
    assert_eq!(chat(&app, "2001:db8:1:3::1").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn an_ipv4_address_is_the_same_client_on_a_dual_stack_socket() {
    let app = direct(&limiters("quotas = [\"1/minute\"]"));
    assert_eq!(chat(&app, "192.0.2.1").await.status, 200);
    assert_eq!(chat(&app, "::ffff:192.0.2.1").await.status, 429);
    assert_eq!(chat(&app, "::ffff:192.0.2.2").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_header_from_a_stranger_is_not_believed() {
    let app = behind(&limiters("quotas = [\"1/minute\"]"), &["10.0.0.0/8"]);
    assert_eq!(forwarded(&app, "192.0.2.1", &["198.51.100.1"]).await, 200);
    assert_eq!(forwarded(&app, "192.0.2.1", &["198.51.100.2"]).await, 429);

    let direct = direct(&limiters("quotas = [\"1/minute\"]"));
    assert_eq!(forwarded(&direct, "10.0.0.1", &["198.51.100.1"]).await, 200);
    assert_eq!(forwarded(&direct, "10.0.0.1", &["198.51.100.2"]).await, 429);
}

#[tokio::test(start_paused = true)]
async fn behind_proxies_the_nearest_stranger_is_the_client() {
    let limiters = limiters("quotas = [\"1/minute\"]");
    let app = behind(&limiters, &["10.0.0.0/8", "fd00::/8"]);
    assert_eq!(forwarded(&app, "10.0.0.1", &["198.51.100.1"]).await, 200);
    // What a client writes itself is further left, in the same line or in one before.
    let spoofed = ["203.0.113.7, 198.51.100.1"];
    assert_eq!(forwarded(&app, "10.0.0.1", &spoofed).await, 429);
    let spoofed = ["203.0.113.8", "198.51.100.1"];
    assert_eq!(forwarded(&app, "10.0.0.1", &spoofed).await, 429);
    let through_two = ["198.51.100.1:4711, 10.9.9.9", "[fd00::1]:80"];
    assert_eq!(forwarded(&app, "10.0.0.1", &through_two).await, 429);
    assert_eq!(forwarded(&app, "10.0.0.2", &["198.51.100.2"]).await, 200);
    // A proxy that asks for itself is a client of its own.
    assert_eq!(forwarded(&app, "10.0.0.1", &[]).await, 200);
    assert_eq!(forwarded(&app, "10.0.0.1", &["no address"]).await, 429);
}

#[tokio::test(start_paused = true)]
async fn every_api_key_has_its_own_count_and_listed_ones_their_own_quotas() {
    let text = "[search]\ndefault = [\"2/minute\"]\n[search.keys]\nalice = [\"4/hour\"]\nbob = [\"4/hour\"]";
    let app = direct(&limiters(text));
    for (key, quota, policy) in [
        ("alice", 4, "\"default\";q=4;w=3600"),
        ("bob", 4, "\"default\";q=4;w=3600"),
        ("carol", 2, "\"default\";q=2;w=60"),
        ("dave", 2, "\"default\";q=2;w=60"),
    ] {
        for _ in 0..quota {
            let answer = search(&app, key).await;
            assert_eq!(answer.status, 200, "{key}");
            assert_eq!(answer.field("ratelimit-policy"), policy);
            assert_eq!(answer.json(), json!({"query": "tower", "results": []}));
        }
        assert_eq!(search(&app, key).await.status, 429, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_search_without_key_is_told_which_header_is_missing() {
    let app = direct(&limiters(""));
    let answer = send(&app, from("192.0.2.1", Request::get("/search?q=x")), "").await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.field("content-type"), "application/problem+json");
    assert!(!answer.fields.contains_key("retry-after"), "{answer:?}");
    let problem = answer.json();
    assert_eq!(problem["status"], 500);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("`x-api-key` header"), "{detail}");
    assert_eq!(status(&app).await["search"]["keys"]["live"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_know_its_peers_says_what_to_change() {
    let app = direct(&limiters(""));
    let answer = send(&app, Request::post("/chat"), "hello").await;
    assert_eq!(answer.status, 500);
    let problem = answer.json();
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("into_make_service_with_connect_info"),
        "{detail}"
    );
}

#[tokio::test(start_paused = true)]
async fn health_is_not_limited() {
    let app = direct(&limiters("quotas = [\"1/day\"]"));
    for _ in 0..50 {
        let answer = send(&app, from("192.0.2.1", Request::get("/health")), "").await;
        assert_eq!((answer.status, &*answer.body), (200, "ok\n"));
        assert!(!answer.fields.contains_key("ratelimit"), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_route_answers_costs_nothing() {
    let limiters: Limiters = limiters("quotas = [\"1/day\"]");
    let app = direct(&limiters);
    for _ in 0..3 {
        let wrong_method = send(&app, from("192.0.2.1", Request::get("/chat")), "").await;
        assert_eq!(wrong_method.status, 405);
        let nowhere = send(&app, from("192.0.2.1", Request::post("/chatter")), "").await;
        assert_eq!(nowhere.status, 404);
    }
    assert_eq!(chat(&app, "192.0.2.1").await.status, 200);
    assert_eq!(chat(&app, "192.0.2.1").await.status, 429);
}

/// Live keys, admitted and refused requests.
fn assert_counts(layer: &serde_json::Value, [live, admitted, refused]: [u64; 3]) {
    assert_eq!(layer["keys"]["live"], live, "{layer}");
    assert_eq!(layer["admitted"], admitted, "{layer}");
    assert_eq!(layer["refused"], refused, "{layer}");
}

#[tokio::test(start_paused = true)]
async fn status_counts_exactly() {
    let app = direct(&limiters(
        "[search]\ndefault = [\"2/minute\", \"10/day rolling\"]",
    ));
    let quotas = |layer: &serde_json::Value| {
        let quotas = layer["quotas"].as_array().expect("quotas").iter();
        quotas
            .map(|quota| quota["quota"].clone())
            .collect::<Vec<_>>()
    };
    let fresh = status(&app).await;
    assert_eq!(quotas(&fresh["chat"]), ["5/minute"]);
    assert_eq!(quotas(&fresh["search"]), ["2/minute", "10/day rolling"]);
    assert_eq!(fresh["chat"]["quotas"][0]["left"], 5);
    for route in ["chat", "search"] {
        assert_counts(&fresh[route], [0, 0, 0]);
        assert_eq!(fresh[route]["keys"]["evicted"], 0);
    }

    for address in ["192.0.2.1", "192.0.2.2"] {
        for _ in 0..7 {
            chat(&app, address).await;
        }
    }
    for key in ["a", "b", "c"] {
        search(&app, key).await;
    }
    let busy = status(&app).await;
    assert_counts(&busy["chat"], [2, 10, 4]);
    assert_eq!(busy["chat"]["events"]["refused"], json!({"rate_limit": 4}));
    assert_counts(&busy["search"], [3, 3, 0]);
    let measured = &busy["app"]["requests"];
    assert_eq!(
        (&measured["started"], &measured["in_flight"]),
        (&17.into(), &0.into())
    );
    assert_eq!(measured["ended"], json!({"refused": 4, "success": 13}));

    tokio::time::advance(Duration::from_secs(60)).await;
    let later = status(&app).await;
    assert_eq!(later["chat"]["keys"]["live"], 0, "all has come back");
    assert_eq!(later["chat"]["admitted"], 10);
    assert_eq!(later["search"]["keys"]["live"], 3, "a day has not passed");
}

#[tokio::test(start_paused = true)]
async fn any_small_body_is_heard() {
    let app = direct(&limiters("quotas = [\"10/minute\"]"));
    let json = from("192.0.2.1", Request::post("/chat")).header("content-type", "application/json");
    assert_eq!(
        send(&app, json, "{\"text\":\"hi\"}").await.body,
        "heard 13 bytes\n"
    );
    let nothing = from("192.0.2.1", Request::post("/chat"));
    assert_eq!(send(&app, nothing, "").await.body, "heard 0 bytes\n");
}

#[tokio::test(start_paused = true)]
async fn a_scrape_tells_the_same_as_the_status() {
    let app = direct(&limiters(""));
    for _ in 0..7 {
        chat(&app, "192.0.2.1").await;
    }
    send(&app, from("192.0.2.1", Request::get("/health")), "").await;
    let scrape = send(&app, Request::get("/metrics"), "").await;
    assert!(scrape.field("content-type").starts_with("text/plain"));
    let value = |series: &str| {
        let mut lines = scrape.body.lines();
        let line = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in {}", scrape.body))
            .to_owned()
    };
    assert_eq!(value("buttress_admitted_total{layer=\"chat\"}"), "5");
    assert_eq!(
        value("buttress_rejected_total{layer=\"chat\",reason=\"rate_limit\"}"),
        "2"
    );
    assert_eq!(value("buttress_keys_live{layer=\"chat\"}"), "1");
    let requests = "buttress_http_server_requests_total{layer=\"app\",http_request_method=";
    let of = |route: &str| format!("{requests}{route}");
    let served =
        "\"POST\",http_route=\"/chat\",http_response_status_class=\"2xx\",outcome=\"success\"}";
    assert_eq!(value(&of(served)), "5");
    let health =
        "\"GET\",http_route=\"/health\",http_response_status_class=\"2xx\",outcome=\"success\"}";
    assert_eq!(value(&of(health)), "1");

    let status = status(&app).await;
    assert_counts(&status["chat"], [1, 5, 2]);
}

#[tokio::test(start_paused = true)]
async fn browsers_get_a_page_and_refusals_name_nobody() {
    let app = direct(&limiters("quotas = [\"1/day\"]"));
    for _ in 0..2 {
        chat(&app, "192.0.2.77").await;
    }
    let page = send(
        &app,
        Request::get("/status").header("accept", "text/html"),
        "",
    )
    .await;
    assert!(page.field("content-type").starts_with("text/html"));
    let told = send(&app, Request::get("/status"), "").await;
    let refusals = &told.json()["refusals"];
    assert_eq!(
        (&refusals["total"], &refusals["recent"][0]["layer"]),
        (&1.into(), &"chat".into())
    );
    assert_eq!(
        refusals["recent"][0]["key"].as_str().map(str::len),
        Some(16),
        "a hash"
    );
    assert!(!told.body.contains("192.0.2"), "{}", told.body);
}
