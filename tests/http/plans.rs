//! Tiers that the head of a request chooses.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get as on_get;
use buttress::{ApiKey, Quota, RateLimitLayer, RateLimiter, by_head};
use futures_util::future::join_all;

use crate::support::{Answer, get_with, serve};

/// What a real service would look up by the key.
fn plan_of(key: &[u8]) -> Option<&'static str> {
    match key {
        b"alice" | b"carol" => Some("pro"),
        b"mallory" => Some("gold"),
        _ => None,
    }
}

async fn server() -> (SocketAddr, RateLimiter) {
    let limit = RateLimitLayer::new(Quota::per_hour(2))
        .tier("pro", [Quota::per_hour(4), Quota::per_day(50)])
        .global(Quota::per_hour(9).named("of all"))
        .by(ApiKey::header("x-api-key"))
        .quota_for(by_head(|head| {
            plan_of(head.headers.get("x-api-key")?.as_bytes())
        }))
        .respond_http()
        .headers();
    let limiter = limit.limiter().clone();
    let app = Router::new()
        .route("/search", on_get(async || "found"))
        .route_layer(limit);
    (serve(app).await, limiter)
}

async fn search(address: SocketAddr, key: &str) -> Answer {
    get_with(address, "/search", "x-api-key", key).await
}

fn left(answer: &Answer) -> Vec<u64> {
    answer.left().into_iter().map(|(_, left)| left).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_the_quotas_of_its_tier_and_the_fields_tell_them() {
    let (address, limiter) = server().await;
    let alice = search(address, "alice").await;
    assert_eq!((alice.status, left(&alice)), (200, vec![3, 49, 8]));
    assert_eq!(
        alice.field("ratelimit-policy"),
        "\"4/hour\";q=4;w=3600, \"50/day\";q=50;w=86400, \"of all\";q=9;w=3600"
    );
    let bob = search(address, "bob").await;
    assert_eq!((bob.status, left(&bob)), (200, vec![1, 7]));
    for _ in 0..3 {
        assert_eq!(search(address, "alice").await.status, 200);
    }
    let refused = search(address, "alice").await;
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.json()["violated-policies"],
        serde_json::json!(["4/hour"])
    );
    assert!((3..=900).contains(&refused.number("retry-after")));
    limiter
        .tier("pro")
        .expect("a tier")
        .set_quota(Quota::per_hour(6));
    let alice = search(address, "alice").await;
    assert_eq!((alice.status, left(&alice)), (200, vec![1, 3]));
    assert!(
        alice
            .field("ratelimit-policy")
            .starts_with("\"pro\";q=6;w=3600")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_no_tier_is_the_default_and_told() {
    let (address, limiter) = server().await;
    let answer = search(address, "mallory").await;
    assert_eq!((answer.status, left(&answer)), (200, vec![1, 8]));
    let unknown = limiter.unknown_tier().expect("it is told");
    assert_eq!(
        unknown.to_string(),
        "there is no tier `gold`; there are: `pro`"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_tiers_at_once_admit_what_all_keys_have_together() {
    let (address, limiter) = server().await;
    let keys = ["alice", "bob", "carol", "dave"];
    let requests = (0..10).flat_map(|_| keys.map(|key| search(address, key)));
    let answers = join_all(requests).await;
    let admitted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(admitted, 9);
    assert_eq!(limiter.status().refused, 31);
}
