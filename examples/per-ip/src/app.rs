//! The routes and their limits.

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use buttress::rate_limit::{LimitsError, RateLimiterStatus};
use buttress::{ApiKey, ClientIp, RateLimitLayer, RateLimiter};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::Config;

/// The limits of the two limited routes.
#[derive(Clone, Debug)]
pub struct Limiters {
    pub(crate) chat: RateLimiter,
    search: RateLimiter,
}

impl Limiters {
    /// Limiters as configured.
    ///
    /// # Errors
    ///
    /// If the configuration cannot be enforced.
    pub fn new(config: &Config) -> Result<Self, LimitsError> {
        let start = |quotas: &[_]| RateLimiter::builder().quotas(quotas.to_vec()).build();
        let limiters = Self {
            chat: start(&config.chat)?,
            search: start(&config.search.default)?,
        };
        limiters.apply(config)?;
        Ok(limiters)
    }

    /// Puts another configuration in force; what was spent stays spent.
    ///
    /// # Errors
    ///
    /// If it cannot be enforced.
    pub fn apply(&self, config: &Config) -> Result<(), LimitsError> {
        let mut chat = self.chat.limits();
        chat.quotas.clone_from(&config.chat);
        let mut search = self.search.limits();
        search.quotas.clone_from(&config.search.default);
        let tiers = config.search.keys.iter();
        search.overrides = tiers
            .map(|(key, quotas)| (self.search.hash(key), quotas.clone()))
            .collect();
        self.chat.set_limits(chat)?;
        self.search.set_limits(search)
    }
}

/// The app. It must be served with the peer's address
/// (`into_make_service_with_connect_info::<SocketAddr>()`).
pub fn app(limiters: Limiters, client: ClientIp) -> Router {
    let per_ip = RateLimitLayer::from(limiters.chat.clone())
        .by(client)
        .respond_http()
        .headers();
    let per_key = RateLimitLayer::from(limiters.search.clone())
        .by(ApiKey::header("x-api-key"))
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
