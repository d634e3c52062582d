//! Limits around clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get as on_get;
use buttress::{Error, Quota, RateLimitLayer, Reason, Rejection};
use futures_util::future::join_all;
use http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

use crate::memory::in_memory;
use crate::support::{client, serve};

/// Asks for a page as often at once, and tells which statuses came and how long all took.
async fn ask<S, B>(service: S, times: usize) -> (Vec<u16>, Duration)
where
    S: Service<Request<Body>, Response = http::Response<B>, Error: std::fmt::Debug> + Clone,
{
    let begin = buttress::core::time::now();
    let answers = join_all((0..times).map(|_| {
        let request = Request::get("http://memory/").body(Body::empty());
        service.clone().oneshot(request.expect("a request"))
    }));
    let answers = answers.await.into_iter();
    let statuses = answers.map(|answer| answer.expect("an answer").status().as_u16());
    (statuses.collect(), begin.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_client_that_paces_itself_is_never_refused() {
    let quota = || Quota::per_second(10).burst(3);
    let limit = RateLimitLayer::new(quota()).respond_http();
    let limiter = limit.limiter().clone();
    let app = Router::new()
        .route("/", on_get(async || "yes"))
        .route_layer(limit);
    let client = Client::builder(TokioExecutor::new()).build::<_, Body>(in_memory(app));

    let (statuses, elapsed) = ask(client.clone(), 10).await;
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!(
        (refused, elapsed),
        (7, Duration::ZERO),
        "unpaced: {statuses:?}"
    );

    tokio::time::advance(Duration::from_secs(1)).await;
    let paced = ServiceBuilder::new()
        .layer(RateLimitLayer::new(quota()).wait(Duration::from_secs(60)))
        .service(client);
    let (statuses, elapsed) = ask(paced, 53).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(elapsed, Duration::from_secs(5), "50 of 53 had to wait");
    let status = limiter.status();
    assert_eq!((status.admitted, status.refused), (3 + 53, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn reqwest_behind_a_limit_asks_no_more_than_it_may() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let count = move || {
        counter.fetch_add(1, Ordering::Relaxed);
        std::future::ready("yes")
    };
    let address = serve(Router::new().route("/", on_get(count))).await;

    let mut service = ServiceBuilder::new()
        .layer(
            RateLimitLayer::new(Quota::per_hour(3))
                .by(|request: &reqwest::Request| request.url().host_str().map(str::to_owned))
                .wait(Duration::from_secs(1)),
        )
        .service(client());
    let url: reqwest::Url = format!("http://{address}/").parse().unwrap();
    for _ in 0..3 {
        let request = reqwest::Request::new(reqwest::Method::GET, url.clone());
        let response = service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.text().await.unwrap(), "yes");
    }
    // The next unit is twenty minutes away, and one second is all it would wait.
    let request = reqwest::Request::new(reqwest::Method::GET, url);
    match service.ready().await.unwrap().call(request).await {
        Err(Error::Rejected(rejection)) => {
            assert_eq!(rejection.reason(), Reason::RateLimit);
            assert!(rejection.retry_after().unwrap() > Duration::from_secs(1190));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_client_keeps_its_type_and_a_rejection_is_found_in_a_box() {
    // A port that was free a moment ago, and that nobody listens on.
    let (listener, address) = crate::support::listen().await;
    drop(listener);
    let url: reqwest::Url = format!("http://{address}/").parse().unwrap();
    let request = || reqwest::Request::new(reqwest::Method::GET, url.clone());

    let limit = RateLimitLayer::new(Quota::per_hour(1));
    let service = ServiceBuilder::new().layer(limit).service(client());
    match service.clone().oneshot(request()).await {
        Err(Error::Inner(error)) => assert!(error.is_connect(), "{error:?}"),
        other => panic!("{other:?}"),
    }
    let spent = service.oneshot(request()).await.unwrap_err();
    assert!(
        matches!(spent, Error::Rejected(_)),
        "a failed call is a call"
    );

    let boxed = ServiceBuilder::new()
        .timeout(Duration::from_secs(3600))
        .layer(RateLimitLayer::new(Quota::per_hour(1)).as_box_error())
        .service(client());
    let error: BoxError = boxed.clone().oneshot(request()).await.unwrap_err();
    assert!(
        error
            .downcast_ref::<reqwest::Error>()
            .is_some_and(reqwest::Error::is_connect)
    );
    let error: BoxError = boxed.oneshot(request()).await.unwrap_err();
    let rejection = Rejection::find(&*error).expect("a rejection");
    assert_eq!(rejection.reason(), Reason::RateLimit);
}
