//! What a refusal looks like.

use std::convert::Infallible;
use std::time::Duration;

use buttress_core::test_util::advance;
use buttress_priority_queue::PriorityQueueLayer;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};

type Body = Full<Bytes>;

async fn slow(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    advance(Duration::from_secs(2)).await;
    Ok(Response::new(Full::from("done")))
}

fn request() -> Request<Body> {
    Request::new(Full::default())
}

#[tokio::test(start_paused = true)]
async fn retry_after_tells_when_those_ahead_will_have_gone_at_the_present_pace() {
    let layer = PriorityQueueLayer::new(1).capacity(10).respond_http();
    let service = layer.layer(service_fn(slow));
    let mut calls = 0;
    let send = || Box::pin(service.clone().oneshot(request()));
    let mut all: std::collections::VecDeque<_> = (0..11).map(|_| send()).collect();
    for call in &mut all {
        assert!(futures_util::poll!(call).is_pending());
    }
    while all.len() > 1 || layer.queue().status().waiting() == 0 {
        let first = all.pop_front().unwrap();
        assert_eq!(first.await.unwrap().status(), StatusCode::OK);
        if calls < 20 {
            calls += 1;
            let mut next = send();
            assert!(futures_util::poll!(&mut next).is_pending());
            all.push_back(next);
        } else {
            break;
        }
    }
    let mut next = send();
    assert!(futures_util::poll!(&mut next).is_pending());
    let refused = service.clone().oneshot(request()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        refused.headers()["retry-after"],
        "20",
        "ten are ahead, at two seconds each"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_answered_504_and_grpc_has_its_own_words() {
    let past = |_: &Request<Body>| Some(buttress_core::time::now());
    let service = PriorityQueueLayer::new(1)
        .deadline(past)
        .respond_http()
        .layer(service_fn(slow));
    let late = service.oneshot(request()).await.unwrap();
    assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
    let layer = PriorityQueueLayer::new(1).respond_grpc();
    layer.queue().close();
    let refused = layer
        .layer(service_fn(slow))
        .oneshot(request())
        .await
        .unwrap();
    assert_eq!(refused.headers()["grpc-status"], "14");
}
