//! The status over HTTP: JSON, a page, and commands.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use buttress_core::status::Command;
use serde::Deserialize;

use super::accept::wants_page;
use super::{CommandError, Status};

/// The page. It has everything in itself, and asks the same address for the value.
const PAGE: &str = include_str!("page.html");

/// The page's own style and script may run, by what they hash to, and nothing else may; it talks to its own
/// server only, and no other page may frame it.
const POLICY: &str = include_str!("page.csp");

/// No command is longer.
const LONGEST_COMMAND: usize = 4_096;

/// What is right for an instant is kept by nobody.
const FIELDS: [(HeaderName, &str); 4] = [
    (CACHE_CONTROL, "no-store"),
    (VARY, "accept"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
];

impl Status {
    /// `GET /status` as JSON, or as a page for browsers, and `GET /status.json`; with
    /// [`controls`](Self::controls), `POST /status` takes commands. For another place, nest it.
    ///
    /// Whoever can reach it can read it, so put it where only operators come, or behind a layer that asks who
    /// it is.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new()
            .route("/status", get(show).post(command))
            .route("/status.json", get(show_json))
            .layer(DefaultBodyLimit::max(LONGEST_COMMAND))
            .with_state(self.clone())
    }
}

async fn show(State(status): State<Status>, fields: HeaderMap) -> Response {
    if !wants_page(&fields) {
        return json(&status);
    }
    let policy = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY.trim()),
    ];
    (FIELDS, policy, PAGE).into_response()
}

async fn show_json(State(status): State<Status>) -> Response {
    json(&status)
}

fn json(status: &Status) -> Response {
    match serde_json::to_vec(&status.report()) {
        Ok(text) => (FIELDS, [(CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => {
            let text = format!("the status cannot be written: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, FIELDS, text).into_response()
        }
    }
}

/// What is sent to `POST /status`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    layer: String,
    command: String,
}

async fn command(State(status): State<Status>, fields: HeaderMap, body: Bytes) -> Response {
    let refuse = |code: StatusCode, text: String| (code, FIELDS, text).into_response();
    if !status.has_controls() {
        let text = "commands are off; Status::controls turns them on\n";
        return refuse(StatusCode::FORBIDDEN, text.to_owned());
    }
    if !status.may_command(bearer(&fields)) {
        let text = "send the token as `Authorization: Bearer`\n";
        let challenge = [(WWW_AUTHENTICATE, "Bearer")];
        return (challenge, refuse(StatusCode::UNAUTHORIZED, text.to_owned())).into_response();
    }
    let order: Order = match serde_json::from_slice(&body) {
        Ok(order) => order,
        Err(error) => {
            let text = format!(
                "{error}; send {{\"layer\": NAME, \"command\": COMMAND}} with what the status lists\n"
            );
            return refuse(StatusCode::BAD_REQUEST, text);
        }
    };
    let Some(command) = Command::from_name(&order.command) else {
        let names = Command::ALL.map(Command::as_str).join("`, `");
        let text = format!(
            "`command` is `{}`; it can be `{names}`\n",
            order.command.escape_debug()
        );
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, text);
    };
    match status.command(&order.layer, command) {
        Ok(()) => {
            #[cfg(feature = "tracing")]
            tracing::warn!(layer = order.layer, %command, "told by hand");
            json(&status)
        }
        Err(error) => {
            let code = match error {
                CommandError::NoSuchLayer => StatusCode::NOT_FOUND,
                CommandError::NoSuchCommand(_) => StatusCode::UNPROCESSABLE_ENTITY,
            };
            refuse(code, format!("{error}\n"))
        }
    }
}

/// The token that somebody sends; nothing if there is none.
fn bearer(fields: &HeaderMap) -> &[u8] {
    const SCHEME: &[u8] = b"bearer ";
    let given = fields.get(AUTHORIZATION);
    let given = given.and_then(|given| given.as_bytes().split_at_checked(SCHEME.len()));
    match given {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) => token,
        _ => &[],
    }
}
