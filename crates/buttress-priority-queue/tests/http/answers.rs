//! What a refusal looks like.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::task::{Context, Waker};
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
    let send = || {
        let mut call = Box::pin(service.clone().oneshot(request()));
        let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        call
    };
    let mut all: VecDeque<_> = (0..11).map(|_| send()).collect();
    for _ in 0..20 {
        let first = all.pop_front().unwrap();
        assert_eq!(first.await.unwrap().status(), StatusCode::OK);
        all.push_back(send());
    }
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
