//! What is sent again, with what, and what is answered.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_core::time::now;
use buttress_core::{Outcome, Rejection};
use buttress_http::{CallDeadline, ReplayBody};
use buttress_retry::{Judgement, Methods};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Does, OK, SECOND, Sent, Upstream, http, request, status, steady};

#[tokio::test(start_paused = true)]
async fn these_statuses_and_no_others_are_tried_again() {
    for code in 200..600_u16 {
        let script: &'static [Does] = Box::leak(Box::new([Does::Status(code, &[]), OK]));
        let upstream = Upstream::default();
        let service = http().layer(upstream.service::<Sent>(script));
        let answer = status(&service, request(&Method::GET)).await;
        let again = matches!(code, 408 | 425 | 429 | 500 | 502 | 503 | 504 | 529);
        let calls = if again { 2 } else { 1 };
        assert_eq!(upstream.seen().len(), calls, "{code}");
        assert_eq!(answer, if again { 200 } else { code });
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_may_be_repeated_is() {
    let script = &[Does::Status(503, &[]), OK];
    for (method, again) in [
        (Method::GET, true),
        (Method::PUT, true),
        (Method::DELETE, true),
        (Method::POST, false),
        (Method::PATCH, false),
    ] {
        let upstream = Upstream::default();
        let service = http().layer(upstream.service::<Sent>(script));
        status(&service, request(&method)).await;
        assert_eq!(upstream.seen().len(), if again { 2 } else { 1 }, "{method}");
        assert!(upstream.seen().iter().all(|seen| seen.body == "an order"));
    }
    let upstream = Upstream::default();
    let service = http().layer(upstream.service::<Sent>(script));
    let mut with_key = request(&Method::POST);
    with_key
        .headers_mut()
        .insert("idempotency-key", "\"1\"".parse().unwrap());
    assert_eq!(status(&service, with_key).await, 200);

    let upstream = Upstream::default();
    let service = http()
        .on([Method::POST])
        .layer(upstream.service::<Sent>(script));
    assert_eq!(status(&service, request(&Method::GET)).await, 503);
    let upstream = Upstream::default();
    let service = http()
        .on(Methods::any())
        .layer(upstream.service::<Sent>(script));
    assert_eq!(status(&service, request(&Method::PATCH)).await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_never_made_may_be_tried_again_with_any_method() {
    let refused = Does::Error(io::ErrorKind::ConnectionRefused);
    let reset = Does::Error(io::ErrorKind::ConnectionReset);
    for (script, method, calls) in [
        (&[refused, OK][..], Method::POST, 2),
        (Box::leak(Box::new([reset, OK])), Method::POST, 1),
        (Box::leak(Box::new([reset, OK])), Method::GET, 2),
    ] {
        let script: &'static [Does] = Box::leak(script.to_vec().into());
        let upstream = Upstream::default();
        let service = http().layer(upstream.service::<Sent>(script));
        let result = service.oneshot(request(&method)).await;
        assert_eq!((upstream.seen().len(), result.is_ok()), (calls, calls == 2));
        assert!(result.is_err() || upstream.seen()[1].body == "an order");
    }
    let upstream = Upstream::default();
    let script = Box::leak(Box::new([refused, OK]));
    let layer = http().only_repeatable();
    let service = layer.layer(upstream.service::<Sent>(script));
    assert!(service.oneshot(request(&Method::POST)).await.is_err());
    let [seen] = &upstream.seen()[..] else {
        panic!()
    };
    assert_eq!(seen.attempt, None, "nothing was kept or added");
}

#[tokio::test(start_paused = true)]
async fn trap_17_a_body_above_the_limit_is_sent_once_and_is_no_error() {
    let script = &[Does::Status(503, &[]), OK];
    for (limit, expected) in [(8, 200), (7, 503)] {
        let upstream = Upstream::default();
        let layer = http().max_body(limit);
        let service = layer.layer(upstream.service::<Sent>(script));
        assert_eq!(status(&service, request(&Method::PUT)).await, expected);
        assert!(upstream.seen().iter().all(|seen| seen.body == "an order"));
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_tell_their_number_cause_and_deadline() {
    let script = &[Does::Status(429, &[]), Does::Status(500, &[]), OK];
    let upstream = Upstream::default();
    let layer = http().number_attempts().deadline(60 * SECOND);
    let service = layer.layer(upstream.service::<Sent>(script));
    assert_eq!(status(&service, request(&Method::GET)).await, 200);
    let seen = upstream.seen();
    let causes: Vec<_> = seen.iter().map(|seen| seen.attempt.unwrap()).collect();
    assert_eq!(
        causes,
        [
            (1, None),
            (2, Some(Outcome::Throttled(None))),
            (3, Some(Outcome::Failure))
        ]
    );
    let fields: Vec<_> = seen.iter().map(|seen| seen.field).collect();
    assert_eq!(fields, [Some(1), Some(2), Some(3)]);
    assert!(seen.iter().all(|seen| seen.deadline == Some(60_000)));

    // The request's own deadline is kept if it is earlier.
    let upstream = Upstream::default();
    let layer = http().deadline(60 * SECOND);
    let service = layer.layer(upstream.service::<Sent>(&[Does::Status(500, &[])]));
    let mut hurried = request(&Method::GET);
    let end = now() + Duration::from_millis(2_500);
    CallDeadline::tighten(hurried.extensions_mut(), end);
    assert_eq!(status(&service, hurried).await, 500);
    assert_eq!(upstream.times(), [0, 1_000]);
    assert!(
        upstream
            .seen()
            .iter()
            .all(|seen| seen.deadline == Some(2_500))
    );
}

#[tokio::test(start_paused = true)]
async fn an_own_end_is_answered_with_504_or_its_grpc_status() {
    let hangs = || {
        service_fn(|_: Request<Sent>| {
            std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
        })
    };
    let service = http().deadline(SECOND).respond_http().layer(hangs());
    let response = service.oneshot(request(&Method::GET)).await.unwrap();
    assert_eq!(response.status(), 504);
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.outcome(), Outcome::TimedOut);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );

    let layer = http().attempt_timeout(SECOND).attempts(2);
    let service = layer.respond_http_any_body().layer(hangs());
    assert_eq!(
        service
            .oneshot(request(&Method::GET))
            .await
            .unwrap()
            .status(),
        504
    );

    let service = steady()
        .grpc()
        .deadline(SECOND)
        .respond_grpc()
        .layer(hangs());
    let response = service.oneshot(request(&Method::POST)).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "4");
}

#[tokio::test(start_paused = true)]
async fn the_inner_service_may_keep_its_body_type() {
    type Boxed = http_body_util::combinators::UnsyncBoxBody<Bytes, tower::BoxError>;
    let wrap = |body: ReplayBody<Boxed>| body.map_err(Into::into).boxed_unsync();
    let script = &[Does::Status(503, &[]), OK];
    let upstream = Upstream::default();
    let layer = http().wrap_bodies(wrap);
    let service = layer.layer(upstream.service::<Boxed>(script));
    let body = Full::from("an order").map_err(Into::into).boxed_unsync();
    let response = service.oneshot(Request::put("/").body(body).unwrap()).await;
    assert_eq!(response.unwrap().status(), 200);
    assert!(upstream.seen().iter().all(|seen| seen.body == "an order"));
}

#[tokio::test(start_paused = true)]
async fn errors_are_the_users_to_judge_and_may_be_boxed() {
    let script = &[Does::Error(io::ErrorKind::Other), OK];
    let upstream = Upstream::default();
    let layer = http().retry_if_error(|result: Result<&(), &io::Error>| match result {
        Err(error) if error.kind() == io::ErrorKind::Other => Judgement::unsent(),
        _ => Judgement::last(Outcome::Failure),
    });
    let service = layer.layer(upstream.service::<Sent>(script));
    assert_eq!(status(&service, request(&Method::GET)).await, 200);
    let upstream = Upstream::default();
    let buffered = tower::buffer::Buffer::new(upstream.service::<Sent>(script), 4);
    let service = http().boxed_errors().as_box_error().layer(buffered);
    assert_eq!(status(&service, request(&Method::GET)).await, 200);
}

#[tokio::test(start_paused = true)]
async fn only_what_may_be_repeated_gets_a_second_attempt() {
    use buttress_retry::HedgeLayer;
    for (method, reads, calls) in [
        (Method::GET, true, 2),
        (Method::POST, true, 1),
        (Method::PUT, false, 1),
    ] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let inner = {
            let seen = Arc::clone(&seen);
            service_fn(move |request: Request<Sent>| {
                let seen = Arc::clone(&seen);
                async move {
                    let mut body = request.into_body();
                    if reads {
                        let all = (&mut body).collect().await.unwrap().to_bytes();
                        seen.lock().unwrap().push(all);
                    } else {
                        seen.lock().unwrap().push(Bytes::new());
                    }
                    tokio::time::sleep_until(now() + SECOND).await;
                    Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
                }
            })
        };
        let service = HedgeLayer::after(SECOND / 10).http().layer(inner);
        let answer = service.oneshot(request(&method)).await.unwrap();
        assert_eq!(answer.status(), 200);
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), calls, "{method}");
        assert!(!reads || seen.iter().all(|body| body == "an order"));
    }
}
