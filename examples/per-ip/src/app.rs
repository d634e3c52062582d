//! The routes and their limits.

use axum::body::Bytes;
use axum::extract::Query;
use axum::routing::{get, post};
use axum::{Json, Router};
use buttress::{ApiKey, ClientIp, RateLimitLayer, by_head};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::limiters::Limiters;
use crate::operations::Operations;

/// The app. It must be served with the peer's address
/// (`into_make_service_with_connect_info::<SocketAddr>()`).
pub fn app(limiters: Limiters, client: ClientIp, operations: &Operations) -> Router {
    let per_ip = RateLimitLayer::from(limiters.chat.clone())
        .by(client)
        .observe(operations.observer("chat"))
        .respond_http()
        .headers();
    let per_key = RateLimitLayer::from(limiters.search.clone())
        .by(ApiKey::header("x-api-key"))
        .quota_for(by_head(move |head| {
            limiters.tier_of(head.headers.get("x-api-key")?.to_str().ok()?)
        }))
        .observe(operations.observer("search"))
        .respond_http()
        .headers();
    Router::new()
        .route("/chat", post(chat).route_layer(per_ip))
        .route("/search", get(search).route_layer(per_key))
        .route("/health", get(async || "ok\n"))
        .layer(operations.measure())
        .merge(operations.routes())
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
