//! A client behind the layer, and a server that breaks off.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use buttress_circuit_breaker::{CircuitBreakerLayer, State};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Answers one request a connection: with a whole body, or with half of the one that it promised.
async fn serve_halves() -> SocketAddr {
    const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\nbody";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let read = connection.read(&mut request).await.unwrap();
            let is_whole = request[..read].starts_with(b"GET /whole");
            let end = if is_whole {
                WHOLE.len()
            } else {
                WHOLE.len() - 2
            };
            connection.write_all(&WHOLE[..end]).await.unwrap();
        }
    });
    address
}

fn to(address: SocketAddr, path: &str) -> Request<Empty<Bytes>> {
    let uri = format!("http://{address}{path}");
    Request::builder().uri(uri).body(Empty::new()).unwrap()
}

fn client() -> Client<hyper_util::client::legacy::connect::HttpConnector, Empty<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

#[tokio::test]
async fn a_response_whose_body_breaks_off_is_a_failure_and_whole_ones_are_not() {
    let address = serve_halves().await;
    let layer = CircuitBreakerLayer::consecutive_failures(2).reading_statuses();
    let breaker = layer.breaker().clone();
    let service = layer.layer(client());
    let send = |path| service.clone().oneshot(to(address, path));
    for (path, run) in [("/broken", 1), ("/whole", 0), ("/broken", 1)] {
        let response = send(path).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let whole = response.into_body().collect().await;
        assert_eq!(whole.is_ok(), path == "/whole");
        assert_eq!(breaker.metrics().consecutive_failures, run);
    }
    drop(send("/broken").await.unwrap().into_body().collect().await);
    assert_eq!(breaker.state(), State::Open);
    assert!(send("/whole").await.is_err());
}

#[tokio::test]
async fn a_refused_connection_trips_and_no_request_reaches_a_server_meanwhile() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let layer = CircuitBreakerLayer::consecutive_failures(2).reading_statuses();
    let service = layer.layer(client());
    for _ in 0..2 {
        assert!(service.clone().oneshot(to(nobody, "/")).await.is_err());
    }
    assert_eq!(layer.breaker().state(), State::Open);
}

#[tokio::test]
async fn in_front_of_axum_it_answers_for_the_route() {
    let asked = Arc::new(AtomicU32::new(0));
    let layer = CircuitBreakerLayer::consecutive_failures(3)
        .open_for(Duration::from_secs(600))
        .respond_http();
    let breaker = layer.breaker().clone();
    let count = Arc::clone(&asked);
    let fails = move || {
        count.fetch_add(1, Ordering::Relaxed);
        async { StatusCode::BAD_GATEWAY }
    };
    let app = Router::new().route("/", get(fails)).route_layer(layer);
    let address = serve(app).await;
    let client = client();
    for expected in [502, 502, 502, 503, 503] {
        let response = client.request(to(address, "/")).await.unwrap();
        assert_eq!(response.status(), expected);
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    assert_eq!(breaker.snapshot().refused, 2);
}
