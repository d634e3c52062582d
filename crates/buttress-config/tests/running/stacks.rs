//! What a file says is what stands around the service.

use std::time::Duration;

use buttress_config::{
    LayerName, Stack, StackBody, StackConfig, StackLayer, StackRequest, StackService,
};
use buttress_core::time::now;
use buttress_http::FromBody;
use buttress_priority_queue::Priority;
use buttress_token_budget::Amounts;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Upstream, asking, request, send, stack, status};

#[tokio::test(start_paused = true)]
async fn a_rate_limit_is_kept_by_key_and_answers_in_http() {
    let stack =
        stack("[rate_limit]\nquotas = ['1/minute']\n[rate_limit.overrides]\nvip = ['3/minute']");
    let upstream = Upstream::default();
    let service = upstream.behind(&stack);
    assert_eq!(status(&service, request("a")).await, 200);
    let refused = service.clone().oneshot(request("a")).await.unwrap();
    assert_eq!(
        (refused.status(), &refused.headers()["retry-after"]),
        (http::StatusCode::TOO_MANY_REQUESTS, &"60".parse().unwrap())
    );
    assert!(refused.headers().contains_key("ratelimit"));
    assert_eq!(status(&service, request("b")).await, 200);
    for _ in 0..3 {
        assert_eq!(status(&service, request("vip")).await, 200);
    }
    assert_eq!(status(&service, request("vip")).await, 429);
    assert_eq!(
        (upstream.calls(), stack.limiter().unwrap().status().admitted),
        (5, 5)
    );
    let keyless = Request::get("/").body(StackBody::default()).unwrap();
    assert_eq!(status(&service, keyless).await, 500);
}

#[tokio::test(start_paused = true)]
async fn a_wait_paces_and_every_retry_passes_the_layers_below_anew() {
    let stack = stack(
        "[retry]\nattempts = 3\nbase = '1s'\njitter = 'none'\n[rate_limit]\nquotas = ['1/second']\nwait = '30s'",
    );
    assert_eq!(stack.order(), [LayerName::Retry, LayerName::RateLimit]);
    let upstream = Upstream::default();
    let service = upstream.behind(&stack);
    let start = now();
    let mut sent = asking("a", 0, 503);
    *sent.body_mut() = StackBody::new(Full::from("kept"));
    let (answered, body) = send(&service, sent).await;
    assert_eq!((answered.as_u16(), &*body), (503, &b"kept"[..]));
    // At once, after a pause of 1 s, and after one of 2 s.
    assert_eq!(
        (upstream.calls(), start.elapsed()),
        (3, Duration::from_secs(3))
    );
    assert_eq!(stack.limiter().unwrap().status().admitted, 3);
    assert_eq!(status(&service, request("a")).await, 200);
    assert_eq!(start.elapsed(), Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn a_budget_reserves_and_settles_by_what_the_answer_tells() {
    let text = "[token_budget]\nlimits = ['100/minute rolling']";
    let used = FromBody::new(|body: &[u8]| {
        let text = std::str::from_utf8(body).ok()?;
        Some(Amounts::total(text.parse().ok()?))
    });
    let stack = stack(text).tokens(|_: &StackRequest| Amounts::total(60), used);
    let service = Upstream::default().behind(&stack);
    let mut sent = request("a");
    *sent.body_mut() = StackBody::from(Bytes::from("30"));
    assert_eq!(status(&service, sent).await, 200);
    let left = || stack.budget().unwrap().balances("a")[0].remaining;
    assert_eq!(left(), 70);
    assert_eq!(status(&service, asking("a", 0, 404)).await, 404);
    assert_eq!(left(), 70);
    let held = service.clone().oneshot(asking("a", 0, 200)).await.unwrap();
    drop(held);
    assert_eq!(status(&service, request("a")).await, 429);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_trips_and_a_queue_orders_by_priority_and_tenant() {
    let text = "[circuit_breaker]\nconsecutive_failures = 2\nopen_for = '10s'\nby = 'key'\n[priority_queue]\nconcurrency = 1";
    let urgent = |request: &StackRequest| match request.headers().contains_key("urgent") {
        true => Priority::High,
        false => Priority::Low,
    };
    let stack = stack(text).priority(urgent).tenant(crate::support::key);
    let upstream = Upstream::default();
    let service = upstream.behind(&stack);
    for _ in 0..2 {
        assert_eq!(status(&service, asking("bad", 0, 500)).await, 500);
    }
    assert_eq!(status(&service, request("bad")).await, 503);
    assert_eq!(
        (upstream.calls(), status(&service, request("good")).await),
        (2, 200)
    );
    assert_eq!(
        stack.breaker().unwrap().key("bad").state(),
        buttress_circuit_breaker::State::Open
    );

    let first = tokio::spawn({
        let service = service.clone();
        async move { status(&service, asking("x", 1000, 200)).await }
    });
    tokio::task::yield_now().await;
    let (order, mut ended) = tokio::sync::mpsc::unbounded_channel();
    for (name, is_urgent) in [("low", false), ("high", true)] {
        let (service, order) = (service.clone(), order.clone());
        let mut sent = asking("x", 1000, 200);
        if is_urgent {
            sent.headers_mut().insert("urgent", "1".parse().unwrap());
        }
        tokio::spawn(async move {
            status(&service, sent).await;
            order.send(name).unwrap();
        });
        tokio::task::yield_now().await;
    }
    assert_eq!(stack.queue().unwrap().status().waiting(), 2);
    assert_eq!(first.await.unwrap(), 200);
    assert_eq!(
        (ended.recv().await, ended.recv().await),
        (Some("high"), Some("low"))
    );
}

#[tokio::test]
async fn the_order_is_the_one_given() {
    // Above the retry a limit counts calls, below it attempts.
    for (order, admitted) in [("'rate_limit', 'retry'", 1), ("'retry', 'rate_limit'", 2)] {
        let text = format!(
            "stack = [{order}]\n[retry]\nattempts = 2\nbase = '1ms'\nmax = '1ms'\n[rate_limit]\nquotas = ['9/s']"
        );
        let stack = stack(&text);
        let service = Upstream::default().behind(&stack);
        tokio::time::pause();
        assert_eq!(status(&service, asking("a", 0, 503)).await, 503);
        tokio::time::resume();
        assert_eq!(stack.limiter().unwrap().status().admitted, admitted);
    }
}

#[tokio::test]
async fn a_service_that_takes_only_its_own_body_gets_it() {
    let stack = stack("[retry]\nattempts = 2\nbase = '1ms'\nmax = '1ms'");
    let own = service_fn(async |request: Request<axum::body::Body>| {
        Ok::<_, std::io::Error>(Response::new(request.into_body()))
    });
    let service = stack.layer().wrap_bodies(axum::body::Body::new).layer(own);
    let request = Request::put("/")
        .body(Full::from("there and back"))
        .unwrap();
    let body = service.oneshot(request).await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "there and back");
}

#[tokio::test]
async fn an_axum_router_takes_it_and_fails_no_more_than_before() {
    let stack = stack(
        "[rate_limit]\nquotas = ['1/minute']\n[priority_queue]\nconcurrency = 1\n[circuit_breaker]\nconsecutive_failures = 1\n[retry]",
    );
    let router: axum::Router = axum::Router::new()
        .route("/", axum::routing::get(async || "hello"))
        .layer(stack.layer());
    let asked = || {
        Request::get("/")
            .header("key", "a")
            .body(axum::body::Body::empty())
            .unwrap()
    };
    let answer = router.clone().oneshot(asked()).await.unwrap();
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "hello"
    );
    assert_eq!(router.oneshot(asked()).await.unwrap().status(), 429);
}

#[test]
fn what_was_changed_after_it_was_read_is_told_and_not_built() {
    let mut config = StackConfig::from_toml("[rate_limit]\nquotas = ['1/s']").unwrap();
    if let Some(limit) = &mut config.rate_limit {
        limit.quotas.clear();
    }
    let error = config.build().unwrap_err();
    assert_eq!(error.table(), LayerName::RateLimit);
    assert!(
        error
            .to_string()
            .contains("give at least one in `quotas` or `global`"),
        "{error}"
    );
}

#[test]
fn an_empty_file_is_a_stack_of_nothing() {
    let stack = StackConfig::from_toml("").unwrap().build().unwrap();
    assert!(stack.order().is_empty() && stack.limiter().is_none());
}

#[test]
fn the_types_go_where_servers_need_them() {
    fn assert<T: Send + Sync + Clone + 'static>() {}
    assert::<Stack>();
    assert::<StackLayer>();
    assert::<StackService<std::io::Error>>();
    fn sync<T: Send + Sync + 'static>() {}
    sync::<StackBody>();
    sync::<buttress_config::Reload>();
}
