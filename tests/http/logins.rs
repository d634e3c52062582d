//! Limits that count only what an answer's status says.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::{get as on_get, post};
use buttress::http::header;
use buttress::rate_limit::Penalty;
use buttress::{Quota, RateLimitLayer, RateLimiter};
use futures_util::future::join_all;
use http::StatusCode;

use crate::support::{Answer, client, get, send, serve};

const HOUR: Duration = Duration::from_secs(3600);

/// The right password is `right`.
async fn login(password: String) -> (StatusCode, &'static str) {
    tokio::task::yield_now().await;
    match &*password {
        "right" => (StatusCode::OK, "welcome"),
        _ => (StatusCode::UNAUTHORIZED, "no"),
    }
}

async fn server(failures: u64) -> (SocketAddr, RateLimiter) {
    let limit = RateLimitLayer::new(Quota::rolling(failures, HOUR)).by(header("x-account"));
    let limiter = limit.limiter().clone();
    let limit = limit
        .respond_http()
        .headers()
        .charge_if_status(|status| status == StatusCode::UNAUTHORIZED);
    let app = Router::new()
        .route("/login", post(login))
        .route_layer(limit);
    (serve(app).await, limiter)
}

async fn tries(client: &reqwest::Client, address: SocketAddr, password: &'static str) -> Answer {
    let request = client.post(format!("http://{address}/login"));
    send(request.header("x-account", "ann").body(password)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_failed_logins_count() {
    let (address, limiter) = server(3).await;
    let client = client();
    for _ in 0..10 {
        let answer = tries(&client, address, "right").await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.left()[0].1,
            3,
            "the fields tell of what was given back"
        );
    }
    for left in [2, 1, 0] {
        let answer = tries(&client, address, "wrong").await;
        assert_eq!((answer.status, answer.left()[0].1), (401, left));
    }
    let refused = tries(&client, address, "right").await;
    assert_eq!(refused.status, 429, "a guess is no better for being right");
    assert!(refused.number("retry-after") > 3590);
    assert_eq!(limiter.status().admitted, 13);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn wrong_guesses_all_at_once_are_never_more_than_the_limit() {
    let (address, limiter) = server(5).await;
    let client = client();
    let guess = |index: u32| {
        let client = client.clone();
        let password = if index.is_multiple_of(4) {
            "right"
        } else {
            "wrong"
        };
        tokio::spawn(async move { tries(&client, address, password).await })
    };
    let answers = join_all((0..200).map(guess)).await;
    let statuses: Vec<u16> = answers.iter().map(|a| a.as_ref().unwrap().status).collect();
    let mut wrong = statuses.iter().filter(|status| **status == 401).count();
    assert!(wrong <= 5, "{statuses:?}");
    // Right ones that ran meanwhile took room, and gave it back.
    while tries(&client, address, "wrong").await.status == 401 {
        wrong += 1;
    }
    assert_eq!(wrong, 5);
    assert_eq!(limiter.peek("ann")[0].remaining, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_changed_costs_nothing_and_fields_may_be_chosen_later() {
    let limit = RateLimitLayer::new(Quota::rolling(2, HOUR))
        .respond_http()
        .charge_if_status(|status| status != StatusCode::NOT_MODIFIED)
        .headers();
    let fresh = on_get(async || StatusCode::NOT_MODIFIED);
    let app = Router::new()
        .route("/cached", fresh)
        .route("/new", on_get(async || "new"))
        .route_layer(limit);
    let address = serve(app).await;
    for _ in 0..5 {
        let answer = get(address, "/cached").await;
        assert_eq!((answer.status, answer.left()[0].1), (304, 2));
    }
    for left in [1, 0] {
        let answer = get(address, "/new").await;
        assert_eq!((answer.status, answer.left()[0].1), (200, left));
    }
    assert_eq!(get(address, "/cached").await.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_on_guessing_is_banned_until_somebody_lifts_it() {
    let limit = RateLimitLayer::new(Quota::rolling(1, HOUR))
        .by(header("x-account"))
        .penalty(Penalty::ban(2, 24 * HOUR));
    let limiter = limit.limiter().clone();
    let limit = limit
        .respond_http()
        .charge_if_status(|status| status == StatusCode::UNAUTHORIZED);
    let app = Router::new()
        .route("/login", post(login))
        .route_layer(limit);
    let (address, client) = (serve(app).await, client());
    assert_eq!(tries(&client, address, "wrong").await.status, 401);
    let quota = tries(&client, address, "wrong").await;
    assert!(quota.number("retry-after") <= 3600);
    for _ in 0..2 {
        let banned = tries(&client, address, "right").await;
        assert_eq!(banned.status, 429);
        assert!((86_000..=86_400).contains(&banned.number("retry-after")));
    }
    limiter.reset("ann");
    let banned = tries(&client, address, "right").await;
    assert_eq!(banned.status, 429, "it is more than a used up quota");
    let problem = banned.json();
    assert_eq!(problem["violated-policies"], serde_json::json!([]));
    let detail = "Requests came too fast for too often, and are refused for a time.";
    assert_eq!(problem["detail"], detail);
    let ban = limiter.bans()[0];
    assert_eq!(ban.refusals, 4);
    assert!(limiter.lift_hash(ban.key));
    assert_eq!(tries(&client, address, "right").await.status, 200);
}
