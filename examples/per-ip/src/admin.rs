//! The ban list, for those who run the app.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use buttress::RateLimiter;
use buttress::core::KeyHash;
use serde_json::{Value, json};

use crate::limiters::Limiters;

/// Who is banned from `/chat` (`GET /bans`), and an end to it (`DELETE /bans/{hash}`), for those who bear the
/// token.
pub fn admin(limiters: &Limiters, token: &str) -> Router {
    Router::new()
        .route("/bans", get(list))
        .route("/bans/{hash}", delete(lift))
        .route_layer(from_fn_with_state(Arc::<str>::from(token), guard))
        .with_state(limiters.chat.clone())
}

async fn guard(State(token): State<Arc<str>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(AUTHORIZATION);
    let given = given.and_then(|given| given.as_bytes().strip_prefix(b"Bearer "));
    match given {
        Some(given) if is_same(given, token.as_bytes()) => next.run(request).await,
        _ => (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")]).into_response(),
    }
}

/// Looks at every byte, so that the time it takes does not tell how many were right.
fn is_same(given: &[u8], token: &[u8]) -> bool {
    let differ = given
        .iter()
        .zip(token)
        .fold(0, |differ, (one, other)| differ | (one ^ other));
    differ == 0 && given.len() == token.len()
}

async fn list(State(chat): State<RateLimiter>) -> Json<Value> {
    let bans = chat.bans().into_iter().map(|ban| {
        json!({
            "hash": ban.key.to_string(),
            "seconds": ban.remaining().as_secs_f64().ceil(),
            "refusals": ban.refusals,
        })
    });
    Json(bans.collect())
}

async fn lift(State(chat): State<RateLimiter>, Path(hash): Path<String>) -> StatusCode {
    match KeyHash::from_hex(&hash) {
        None => StatusCode::BAD_REQUEST,
        Some(hash) if chat.lift_hash(hash) => StatusCode::NO_CONTENT,
        Some(_) => StatusCode::NOT_FOUND,
    }
}
