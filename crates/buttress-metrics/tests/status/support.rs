//! Requests to the status in process.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt;
use tower::ServiceExt;

/// A token that is long enough.
pub(crate) const TOKEN: &str = "a-token-for-tests";

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) fields: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends `GET /path` and the like, with fields and a body.
pub(crate) async fn send(app: &Router, line: &str, fields: &[(&str, &str)], body: &str) -> Answer {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Body::from(body.to_owned()))
        .expect("a request");
    let (parts, body) = app
        .clone()
        .oneshot(request)
        .await
        .expect("an answer")
        .into_parts();
    let text = body.collect().await.expect("an answer").to_bytes();
    Answer {
        code: parts.status.as_u16(),
        fields: parts.headers,
        text: String::from_utf8(text.to_vec()).expect("an answer"),
    }
}
