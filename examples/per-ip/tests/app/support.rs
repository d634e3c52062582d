//! The app in process, and requests to it.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use buttress::{ClientIp, Networks, Quota};
use http_body_util::BodyExt;
use per_ip::{Config, Limiters, Operations, app};
use serde_json::Value;
use tower::ServiceExt;

/// A response that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: axum::http::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// A header field, which must be there once.
    pub(crate) fn field(&self, name: &str) -> &str {
        let mut values = self.fields.get_all(name).iter();
        let value = values
            .next()
            .unwrap_or_else(|| panic!("no `{name}`: {self:?}"));
        assert!(values.next().is_none(), "several `{name}`: {self:?}");
        value.to_str().expect("a field of text")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The limits of a file's text, over the defaults of the command line.
pub(crate) fn limiters(text: &str) -> Limiters {
    let base = Config::new(vec![Quota::per_minute(5)]);
    let config = base.read(text).expect("a valid file");
    Limiters::new(&config).expect("limits that can be enforced")
}

fn served(limiters: &Limiters, client: ClientIp) -> Router {
    app(limiters.clone(), client, &Operations::new(limiters))
}

/// The app behind no proxy.
pub(crate) fn direct(limiters: &Limiters) -> Router {
    served(limiters, ClientIp::peer())
}

/// The app behind proxies.
pub(crate) fn behind(limiters: &Limiters, proxies: &[&str]) -> Router {
    let proxies = Networks::parse(proxies).expect("networks");
    served(limiters, ClientIp::peer().behind(proxies))
}

/// A request from an address.
pub(crate) fn from(
    address: &str,
    request: axum::http::request::Builder,
) -> axum::http::request::Builder {
    let address: IpAddr = address.parse().expect("an address");
    request.extension(ConnectInfo(SocketAddr::new(address, 40_000)))
}

pub(crate) async fn send(
    app: &Router,
    request: axum::http::request::Builder,
    body: &str,
) -> Answer {
    let request = request
        .body(Body::from(body.to_owned()))
        .expect("a request");
    let response = app
        .clone()
        .oneshot(request)
        .await
        .expect("axum never fails");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    Answer {
        status: parts.status.as_u16(),
        fields: parts.headers,
        body: String::from_utf8(body.to_vec()).expect("a body of text"),
    }
}

/// `POST /chat` from an address.
pub(crate) async fn chat(app: &Router, address: &str) -> Answer {
    let request = from(address, axum::http::Request::post("/chat"));
    send(app, request, "hello").await
}
