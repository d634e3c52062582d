//! A server on loopback, and requests to it.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use buttress::http::received_limits;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::net::TcpListener;

/// A response that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// A header field that there must be one line of.
    pub(crate) fn field(&self, name: &str) -> &str {
        match *self.lines(name) {
            [line] => line,
            _ => panic!("not one `{name}`: {self:?}"),
        }
    }

    /// All lines of a header field.
    pub(crate) fn lines(&self, name: &str) -> Vec<&str> {
        let lines = self.fields.get_all(name).iter();
        lines
            .map(|line| line.to_str().expect("a field of text"))
            .collect()
    }

    /// A header field that is a number.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.field(name).parse().expect("a number")
    }

    /// What is left of each limit, by its name.
    pub(crate) fn left(&self) -> Vec<(String, u64)> {
        let limits = received_limits(&self.fields).into_iter();
        limits.map(|limit| (limit.name, limit.remaining)).collect()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Serves an app with the addresses of its peers.
pub(crate) async fn serve(app: Router) -> SocketAddr {
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let (listener, address) = listen().await;
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

/// Serves an app and keeps the addresses of its peers to itself.
pub(crate) async fn serve_without_addresses(app: Router) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// A socket on a free port.
pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}

/// A client that goes straight to where it is sent.
pub(crate) fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy();
    client.build().expect("a client without TLS")
}

/// Sends a request and reads the response.
pub(crate) async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("a response");
    Answer {
        status: response.status().as_u16(),
        fields: response.headers().clone(),
        body: response.text().await.expect("a whole body"),
    }
}

/// `GET`, on a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    send(client().get(format!("http://{address}{path}"))).await
}

/// `GET` with a header field, on a connection of its own.
pub(crate) async fn get_with(address: SocketAddr, path: &str, name: &str, value: &str) -> Answer {
    let request = client().get(format!("http://{address}{path}"));
    send(request.header(name, value)).await
}

/// The address that a handler sees, so that tests that name one do not guess.
pub(crate) async fn peer(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> String {
    peer.ip().to_string()
}
