//! reqwest and hyper-util with layers around them, asked like the clients that they are.

use std::error::Error as _;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Redirect;
use axum::routing::{get as on_get, post};
use buttress::http::received_limits;
use buttress::{Error, Quota, RateLimitLayer, Reason, Rejection, Upstream};
use http_body_util::BodyExt;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;

use crate::support::{client, listen, serve};

async fn echo() -> std::net::SocketAddr {
    serve(
        Router::new()
            .route("/", on_get(async || "yes"))
            .route("/old", on_get(async || Redirect::to("/")))
            .route("/echo", post(async |body: String| body)),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layered_reqwest_is_reqwest() {
    let address = echo().await;
    let http = client();
    let limited =
        buttress::reqwest::client(http.clone()).layer(RateLimitLayer::new(Quota::per_hour(9)));

    let request = http.post(format!("http://{address}/echo")).body("hello");
    let response = limited.execute(request.build().unwrap()).await.unwrap();
    assert_eq!(response.url().as_str(), format!("http://{address}/echo"));
    assert_eq!(response.content_length(), Some(5));
    assert_eq!(response.remote_addr(), Some(address));
    assert_eq!(response.text().await.unwrap(), "hello");

    let request = http.get(format!("http://{address}/old")).build().unwrap();
    let response = limited.execute(request).await.unwrap();
    assert_eq!(
        response.url().as_str(),
        format!("http://{address}/"),
        "the last of a redirect"
    );
    assert_eq!(response.text().await.unwrap(), "yes");
}

#[tokio::test(flavor = "multi_thread")]
async fn reqwest_is_limited_by_host_and_refusals_are_errors() {
    let address = echo().await;
    let http = client();
    let limit = RateLimitLayer::new(Quota::per_hour(1)).by(Upstream::host());
    let limiter = limit.limiter().clone();
    let limited = buttress::reqwest::client(http.clone()).layer(limit);
    let to = |host: &str| {
        let url = format!("http://{host}:{}/", address.port());
        http.get(url).build().unwrap()
    };

    assert_eq!(
        limited.execute(to("127.0.0.1")).await.unwrap().status(),
        200
    );
    match limited.execute(to("127.0.0.1")).await {
        Err(Error::Rejected(rejection)) => assert_eq!(rejection.reason(), Reason::RateLimit),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        limited.execute(to("LOCALHOST")).await.unwrap().status(),
        200
    );
    assert!(limited.clone().execute(to("localhost")).await.is_err());
    limiter.refund("127.0.0.1", 1);
    assert_eq!(
        limited.execute(to("127.0.0.1")).await.unwrap().status(),
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reqwest_waits_for_its_turn() {
    let address = echo().await;
    let http = client();
    let pace = RateLimitLayer::new(Quota::every(Duration::from_millis(10)));
    let limited = buttress::reqwest::client(http.clone()).layer(
        pace.by(Upstream::host_and_port())
            .wait(Duration::from_secs(60)),
    );
    let begin = buttress::core::time::now();
    for _ in 0..4 {
        let request = http.get(format!("http://{address}/")).build().unwrap();
        assert_eq!(limited.execute(request).await.unwrap().status(), 200);
    }
    assert!(begin.elapsed() >= Duration::from_millis(30));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_may_be_a_response_of_reqwest() {
    let address = echo().await;
    let http = client();
    let limited = buttress::reqwest::client(http.clone())
        .layer(RateLimitLayer::new(Quota::per_hour(1)).respond_http());
    let url = format!("http://{address}/");
    let request = || http.get(&url).build().unwrap();

    assert_eq!(limited.execute(request()).await.unwrap().status(), 200);
    let refused: Result<_, reqwest::Error> = limited.execute(request()).await;
    let refused = refused.expect("the error type is the client's");
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.url().as_str(), url);
    assert_eq!(received_limits(refused.headers())[0].remaining, 0);
    let problem = refused.text().await.unwrap();
    assert!(problem.contains("quota-exceeded"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_reqwest_stay_what_they_are() {
    let (listener, address) = listen().await;
    drop(listener);
    let http = client();
    let limited = buttress::reqwest::client(http.clone())
        .layer(RateLimitLayer::new(Quota::per_hour(1)).by(Upstream::host()));
    let request = http.get(format!("http://{address}/")).build().unwrap();
    match limited.execute(request).await {
        Err(Error::Inner(error)) => {
            assert!(error.is_connect(), "{error:?}");
            assert!(error.source().is_some());
        }
        other => panic!("{other:?}"),
    }

    // What is a URL but no URI is for reqwest to tell.
    let open =
        buttress::reqwest::client(http.clone()).layer(RateLimitLayer::new(Quota::per_hour(1)));
    let request = http.get("http://{{host}}/").build().unwrap();
    match open.execute(request).await {
        Err(Error::Inner(error)) => {
            assert!(error.is_builder(), "{error:?}");
            assert_eq!(
                error.url().map(|url| url.as_str()),
                Some("http://{{host}}/")
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_of_one_request_is_kept() {
    let (listener, address) = listen().await;
    let http = client();
    let limited =
        buttress::reqwest::client(http.clone()).layer(RateLimitLayer::new(Quota::per_hour(1)));
    let request = http.get(format!("http://{address}/"));
    let request = request.timeout(Duration::from_millis(1)).build().unwrap();
    match limited.execute(request).await {
        Err(Error::Inner(error)) => assert!(error.is_timeout(), "{error:?}"),
        other => panic!("{other:?}"),
    }
    drop(listener);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layered_hyper_client_is_limited_by_host_waits_and_refuses() {
    let address = echo().await;
    let http = legacy::Client::builder(TokioExecutor::new()).build_http::<Body>();
    let limit = RateLimitLayer::new(Quota::per_hour(1)).by(Upstream::host());
    let limited = buttress::hyper_util::client(http.clone()).layer(limit.clone());
    let to = |host: &str| {
        let uri = format!("http://{host}:{}/", address.port());
        http::Request::get(uri).body(Body::empty()).unwrap()
    };
    let response = limited.request(to("127.0.0.1")).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "yes");
    let refused = limited.request(to("127.0.0.1")).await.unwrap_err();
    let rejection = Rejection::find(&refused).expect("a rejection");
    assert_eq!(rejection.reason(), Reason::RateLimit);
    assert!(limited.request(to("localhost")).await.is_ok());

    let answering = buttress::hyper_util::client(http.clone()).layer(limit.respond_http_any_body());
    let refused = answering.request(to("127.0.0.1")).await;
    let refused = refused.expect("the error type is the client's");
    assert_eq!(refused.status(), 429);
    let problem = refused.into_body().collect().await.unwrap().to_bytes();
    assert!(problem.starts_with(b"{"), "{problem:?}");

    let pace = RateLimitLayer::new(Quota::every(Duration::from_millis(10)));
    let paced = buttress::hyper_util::client(http).layer(pace.wait(Duration::from_secs(60)));
    let begin = buttress::core::time::now();
    for _ in 0..3 {
        assert!(paced.request(to("127.0.0.1")).await.is_ok());
    }
    assert!(begin.elapsed() >= Duration::from_millis(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_layers_are_one_service_builder_outermost_first() {
    let address = echo().await;
    let http = client();
    let outer = RateLimitLayer::new(Quota::per_hour(1)).respond_http();
    let inner = RateLimitLayer::new(Quota::per_hour(9)).respond_http();
    let counted = inner.limiter().clone();
    let stack = tower::ServiceBuilder::new().layer(outer).layer(inner);
    let limited = buttress::reqwest::client(http.clone()).layer(stack);
    for status in [200, 429] {
        let request = http.get(format!("http://{address}/")).build().unwrap();
        assert_eq!(limited.execute(request).await.unwrap().status(), status);
    }
    assert_eq!(counted.status().admitted, 1, "the second never came there");
}

#[test]
fn traits() {
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn sent<T: Send>(_: &T) {}

    let http = client();
    let limited = buttress::reqwest::client(http.clone())
        .layer(RateLimitLayer::new(Quota::per_hour(1)).wait(Duration::from_secs(1)));
    shared(&limited);
    let request = http.get("http://127.0.0.1/").build().unwrap();
    sent(&limited.execute(request));
    sent(&limited.request(http::Request::new(reqwest::Body::default())));
    let http = legacy::Client::builder(TokioExecutor::new()).build_http::<Body>();
    shared(&buttress::hyper_util::client(http));
}
