//! What the server says.

use buttress_core::Reason;
use buttress_http::Hints;
use http::Method;
use tower::Layer;

use crate::support::{Does, OK, Sent, Upstream, http, request, status, steady};

/// Fields of a response.
type Fields = &'static [(&'static str, &'static str)];

#[tokio::test(start_paused = true)]
async fn hints_are_obeyed_to_the_letter() {
    const DATE: (&str, &str) = ("date", "Sun, 01 Mar 2026 12:00:00 GMT");
    const IN_FIVE: (&str, &str) = ("retry-after", "Sun, 01 Mar 2026 12:00:05 GMT");
    let cases: [(u16, Fields, &[u64]); 10] = [
        (429, &[("retry-after", "7")], &[0, 7_000]),
        (503, &[DATE, IN_FIVE], &[0, 5_000]),
        (429, &[("ratelimit", "\"a\";r=0;t=9")], &[0, 9_000]),
        (503, &[("retry-after", "60")], &[0, 60_000]),
        (503, &[("retry-after", "61")], &[0]),
        (503, &[("grpc-retry-pushback-ms", "-1")], &[0]),
        (500, &[("retry-after", "7")], &[0, 1_000]),
        (529, &[("retry-after", "7")], &[0, 1_000]),
        (429, &[("retry-after-ms", "50")], &[0, 1_000]),
        (429, &[("x-should-retry", "false")], &[0, 1_000]),
    ];
    for (code, fields, times) in cases {
        let script: &'static [Does] = Box::leak(Box::new([Does::Status(code, fields), OK]));
        let upstream = Upstream::default();
        let service = http().layer(upstream.service::<Sent>(script));
        status(&service, request(&Method::GET)).await;
        assert_eq!(upstream.times(), times, "{code} {fields:?}");
    }
    let compatible: [(u16, Fields, &[u64]); 5] = [
        (500, &[("retry-after", "7")], &[0, 7_000]),
        (429, &[("retry-after-ms", "50")], &[0, 50]),
        (429, &[("x-should-retry", "false")], &[0]),
        (409, &[("x-should-retry", "true")], &[0, 1_000]),
        (409, &[], &[0]),
    ];
    for (code, fields, times) in compatible {
        let script: &'static [Does] = Box::leak(Box::new([Does::Status(code, fields), OK]));
        let upstream = Upstream::default();
        let layer = http().hints(Hints::Compatible);
        let service = layer.layer(upstream.service::<Sent>(script));
        status(&service, request(&Method::GET)).await;
        assert_eq!(upstream.times(), times, "{code} {fields:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn trap_18_a_refusal_in_a_response_is_no_answer_of_the_upstream() {
    let script = &[Does::Refuses(Reason::CircuitOpen), OK];
    let upstream = Upstream::default();
    let layer = http();
    let budget = layer.retry_budget().clone();
    let balance = || budget.snapshot(&buttress_core::Now::new()).balance;
    let before = balance();
    let service = layer.layer(upstream.service::<Sent>(script));
    assert_eq!(status(&service, request(&Method::GET)).await, 503);
    assert_eq!(upstream.times(), [0]);
    assert_eq!(balance(), before);
    let upstream = Upstream::default();
    let layer = http().retry_refused();
    let service = layer.layer(upstream.service::<Sent>(script));
    assert_eq!(status(&service, request(&Method::GET)).await, 200);
}

#[tokio::test(start_paused = true)]
async fn grpc_calls_are_tried_again_by_their_status() {
    let cases: [(Fields, &[u64]); 9] = [
        (&[("grpc-status", "14")], &[0, 1_000]),
        (&[("grpc-status", "8")], &[0, 1_000]),
        (&[("grpc-status", "0")], &[0]),
        (&[("grpc-status", "13")], &[0]),
        (&[("grpc-status", "5")], &[0]),
        (
            &[("grpc-status", "14"), ("grpc-retry-pushback-ms", "250")],
            &[0, 250],
        ),
        (
            &[("grpc-status", "14"), ("grpc-retry-pushback-ms", "-1")],
            &[0],
        ),
        (
            &[("grpc-status", "14"), ("grpc-retry-pushback-ms", "x")],
            &[0],
        ),
        (&[], &[0]),
    ];
    for (fields, times) in cases {
        let script: &'static [Does] = Box::leak(Box::new([Does::Status(200, fields), OK]));
        let upstream = Upstream::default();
        let service = steady().grpc().layer(upstream.service::<Sent>(script));
        status(&service, request(&Method::POST)).await;
        assert_eq!(upstream.times(), times, "{fields:?}");
    }
}
