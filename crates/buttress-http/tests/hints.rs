//! What servers say about when to come back.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use buttress_core::When;
use buttress_http::{Hints, has_idempotency_key, is_idempotent};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;

const DATE: (&str, &str) = ("date", "Sun, 01 Mar 2026 12:00:00 GMT");

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(
            name.parse::<HeaderName>().unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    headers
}

fn after(millis: u64) -> When {
    When::After(Duration::from_millis(millis))
}

#[track_caller]
fn says(hints: Hints, lines: &[(&str, &str)], expected: When) {
    assert_eq!(hints.when(&headers(lines)), expected, "{hints:?} {lines:?}");
}

#[test]
fn the_standards_are_heard_in_both_modes() {
    for hints in [Hints::Standard, Hints::Compatible] {
        says(hints, &[], When::Unknown);
        says(hints, &[("retry-after", "5")], after(5_000));
        says(hints, &[("retry-after", "0")], after(0));
        let future = ("retry-after", "Sun, 01 Mar 2026 12:00:30 GMT");
        says(hints, &[DATE, future], after(30_000));
        let past = ("retry-after", "Sun, 01 Mar 2026 11:00:00 GMT");
        says(hints, &[DATE, past], after(0));
        says(hints, &[future], When::Unknown);
        let many = ("retry-after", "99999999999999999999");
        says(hints, &[many], When::After(Duration::from_secs(u64::MAX)));

        let limits = ("ratelimit", "\"a\";r=0;t=7, \"b\";r=0;t=30, \"c\";r=5;t=99");
        says(hints, &[limits], after(30_000));
        says(hints, &[limits, ("retry-after", "3")], after(3_000));
        says(hints, &[("ratelimit", "\"a\";r=3;t=7")], When::Unknown);
        says(hints, &[("ratelimit", "a;r=0;t=7")], When::Unknown);

        says(hints, &[("grpc-retry-pushback-ms", "250")], after(250));
        for stop in ["-1", "soon", "", "1.5", "99999999999"] {
            says(hints, &[("grpc-retry-pushback-ms", stop)], When::Never);
        }
        let twice = ("grpc-retry-pushback-ms", "5");
        says(hints, &[twice, twice], When::Never);
        says(hints, &[twice, ("retry-after", "9")], after(5));
    }
}

#[test]
fn older_shapes_are_heard_only_if_asked_to() {
    let cases: [(&[(&str, &str)], When); 17] = [
        (&[("retry-after-ms", "1500")], after(1_500)),
        (
            &[("retry-after-ms", "0.5")],
            When::After(Duration::from_micros(500)),
        ),
        (&[("retry-after-ms", "5"), ("retry-after", "1")], after(5)),
        (
            &[("retry-after-ms", "-5"), ("retry-after", "1")],
            after(1_000),
        ),
        (&[("retry-after", "1.25")], after(1_250)),
        (
            &[("retry-after", "1.0000000001")],
            When::After(Duration::new(1, 1)),
        ),
        (
            &[DATE, ("retry-after", "2026-03-01T12:00:10Z")],
            after(10_000),
        ),
        (
            &[DATE, ("retry-after", "2026-03-01T12:00:10.2Z")],
            after(11_000),
        ),
        (&[DATE, ("retry-after", "2026-02-28T23:59:59Z")], after(0)),
        (
            &[DATE, ("retry-after", "2026-03-01T12:00:10+01:00")],
            When::Unknown,
        ),
        (&[("retry-after", "2026-03-01T12:00:10Z")], When::Unknown),
        (&[("x-ratelimit-reset", "30")], after(30_000)),
        (
            &[("x-ratelimit-reset", "30"), ("x-ratelimit-remaining", "0")],
            after(30_000),
        ),
        (
            &[("x-ratelimit-reset", "30"), ("x-ratelimit-remaining", "2")],
            When::Unknown,
        ),
        // 2026-03-01T12:01:00Z.
        (&[DATE, ("x-ratelimit-reset", "1772366460")], after(60_000)),
        (&[("x-ratelimit-reset", "1772366460")], When::Unknown),
        (&[("x-ratelimit-reset", "6m0s")], When::Unknown),
    ];
    for (lines, expected) in cases {
        says(Hints::Compatible, lines, expected);
    }
    for (lines, _) in cases {
        if lines.iter().all(|(_, value)| *value != "1") {
            says(Hints::Standard, lines, When::Unknown);
        }
    }
}

#[test]
fn a_server_may_say_whether() {
    let lines = |value| headers(&[("x-should-retry", value), ("retry-after", "2")]);
    assert_eq!(Hints::Compatible.when(&lines("false")), When::Never);
    assert_eq!(Hints::Compatible.when(&lines("TRUE")), after(2_000));
    assert!(Hints::Compatible.asks_to_retry(&lines("true")));
    for (hints, value) in [
        (Hints::Compatible, "false"),
        (Hints::Compatible, "yes"),
        (Hints::Standard, "true"),
    ] {
        assert!(!hints.asks_to_retry(&lines(value)), "{value}");
    }
    assert_eq!(Hints::Standard.when(&lines("false")), after(2_000));
}

#[test]
fn what_may_be_repeated() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
        assert!(is_idempotent(&method.parse::<Method>().unwrap()));
    }
    for method in ["POST", "PATCH", "CONNECT", "QUERY", "get"] {
        assert!(
            !is_idempotent(&method.parse::<Method>().unwrap()),
            "{method}"
        );
    }
    assert!(has_idempotency_key(&headers(&[(
        "idempotency-key",
        "\"8e03978e\""
    )])));
    assert!(!has_idempotency_key(&headers(&[("idempotency-key", " ")])));
    assert!(!has_idempotency_key(&HeaderMap::new()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_that_a_server_sends_panics(
        name in prop::sample::select(vec![
            "retry-after", "retry-after-ms", "x-should-retry", "ratelimit", "x-ratelimit-reset",
            "x-ratelimit-remaining", "grpc-retry-pushback-ms", "date",
        ]),
        value in "[ -~]{0,40}|[0-9.:TZ-]{0,40}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?Z",
    ) {
        let headers = headers(&[DATE, (name, &value)]);
        for hints in [Hints::Standard, Hints::Compatible] {
            let _ = (hints.when(&headers), hints.asks_to_retry(&headers));
        }
    }
}
