//! The routes and their limits.

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use buttress::rate_limit::RateLimiterStatus;
use buttress::{ApiKey, ClientIp, RateLimitLayer, by_head};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::limiters::Limiters;

/// The app. It must be served with the peer's address
/// (`into_make_service_with_connect_info::<SocketAddr>()`).
pub fn app(limiters: Limiters, client: ClientIp) -> Router {
    let per_ip = RateLimitLayer::from(limiters.chat.clone())
        .by(client)
        .respond_http()
        .headers();
    let accounts = limiters.clone();
    let per_key = RateLimitLayer::from(limiters.search.clone())
        .by(ApiKey::header("x-api-key"))
        .quota_for(by_head(move |head| {
            accounts.tier_of(head.headers.get("x-api-key")?.to_str().ok()?)
        }))
        .respond_http()
        .headers();
    Router::new()
        .route("/chat", post(chat).route_layer(per_ip))
        .route("/search", get(search).route_layer(per_key))
        .route("/health", get(async || "ok\n"))
        .route("/status", get(status))
        .with_state(limiters)
}

async fn chat(message: Bytes) -> String {
    format!("heard {} bytes\n", message.len())
}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    q: String,
}

async fn search(Query(Search { q }): Query<Search>) -> Json<Value> {
    Json(json!({ "query": q, "results": [] }))
}

async fn status(State(limiters): State<Limiters>) -> Json<Value> {
    let show = |status: RateLimiterStatus| {
        json!({
            "quotas": status.quotas,
            "live_keys": status.live_keys,
            "admitted": status.admitted,
            "refused": status.refused,
            "evicted": status.evicted,
        })
    };
    Json(json!({
        "chat": show(limiters.chat.status()),
        "search": show(limiters.search.status()),
    }))
}
