//! Over loopback: axum's server with a stack around it, and hyper's client.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use buttress_config::{Stack, StackConfig, StackLayer};
use buttress_http::ClientIp;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Notify;
use tower::Layer as _;

type Asks = Client<HttpConnector, Empty<bytes::Bytes>>;

async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

fn stack(text: &str) -> Stack {
    let config = StackConfig::from_toml(text).unwrap();
    config.build().unwrap().key(ClientIp::peer())
}

async fn ask(client: &Asks, address: SocketAddr, path: &str) -> (StatusCode, String) {
    let uri = format!("http://{address}{path}");
    let request = Request::get(uri).body(Empty::new()).unwrap();
    let answer = client.request(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_server_refuses_by_address_and_takes_more_after_a_change() {
    let text =
        "[rate_limit]\nquotas = ['1/hour']\n[priority_queue]\nconcurrency = 1\ncapacity = 0\n";
    let stack = stack(text);
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
        get(async move || {
            entered.notify_one();
            leave.notified().await;
            "slow"
        })
    };
    let router = Router::new()
        .route("/", get(async || "hello"))
        .route("/slow", slow)
        .layer(stack.layer());
    let address = serve(router).await;
    let client: Asks = Client::builder(TokioExecutor::new()).build_http();

    assert_eq!(
        ask(&client, address, "/").await,
        (StatusCode::OK, "hello".to_owned())
    );
    let (status, problem) = ask(&client, address, "/").await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert!(
        problem.starts_with('{') && problem.contains("429"),
        "{problem}"
    );

    let changed = StackConfig::from_toml(text.replace("1/hour", "9/hour")).unwrap();
    stack.apply(&changed).unwrap();
    let holding = tokio::spawn({
        let client = client.clone();
        async move { ask(&client, address, "/slow").await }
    });
    entered.notified().await;
    assert_eq!(
        ask(&client, address, "/").await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let two = text
        .replace("1/hour", "9/hour")
        .replace("concurrency = 1", "concurrency = 2");
    stack.apply(&StackConfig::from_toml(two).unwrap()).unwrap();
    assert_eq!(ask(&client, address, "/").await.0, StatusCode::OK);
    leave.notify_one();
    assert_eq!(holding.await.unwrap(), (StatusCode::OK, "slow".to_owned()));
}

#[tokio::test]
async fn a_client_tries_again_through_its_stack() {
    let failures = Arc::new(std::sync::atomic::AtomicUsize::new(2));
    let router = Router::new().route(
        "/",
        get(async move || {
            let left = failures.load(std::sync::atomic::Ordering::SeqCst);
            failures.store(left.saturating_sub(1), std::sync::atomic::Ordering::SeqCst);
            match left {
                0 => (StatusCode::OK, "at last"),
                _ => (StatusCode::SERVICE_UNAVAILABLE, "not now"),
            }
        }),
    );
    let address = serve(router).await;
    let text = "[retry]\nattempts = 3\nbase = '1ms'\nmax = '1ms'\n[circuit_breaker]\nconsecutive_failures = 9\n[rate_limit]\nquotas = ['9/s']";
    let config = StackConfig::from_toml(text).unwrap();
    let stack = config.build().unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let layer: StackLayer = stack.layer();
    let client = layer.layer(client);
    let uri = format!("http://{address}/");
    let request = Request::get(uri).body(Empty::new()).unwrap();
    let answer = tower::ServiceExt::oneshot(client, request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(
        (&*body, stack.limiter().unwrap().status().admitted),
        (&b"at last"[..], 3)
    );
}
