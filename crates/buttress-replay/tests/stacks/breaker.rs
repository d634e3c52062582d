//! "Breaker." of the format, but for what happens half-open.

use crate::support::check;

fn status(at: &str, status: u16) -> String {
    format!(r#"{{"at":{at},"service":[{{"status":{status}}}]}}"#)
}

fn ok(at: &str) -> String {
    status(at, 200)
}

const THROUGH: &str = r#"{"reason":null,"admitted":true}"#;
const OPEN: &str = r#"{"reason":"circuit_open","status":503,"admitted":false,"attempts":[]}"#;

#[test]
fn it_trips_at_a_run_of_failures_that_429_leaves_as_it_is() {
    let trace = [
        status("0", 500),
        status("1", 500),
        status("2", 500),
        status("3", 500),
        status("4", 429),
        status("5", 500),
        ok("6"),
    ];
    let refused = r#"{"reason":"circuit_open","status":503,"retry_after":59,"ended":6}"#;
    let expected = [
        THROUGH, THROUGH, THROUGH, THROUGH, THROUGH, THROUGH, refused,
    ];
    check(
        "[circuit_breaker]\nconsecutive_failures = 5\nopen_for = \"60s\"",
        &trace,
        &expected,
    );
}

#[test]
fn it_is_open_for_exactly_as_long_as_it_says() {
    check(
        "[circuit_breaker]\nconsecutive_failures = 1",
        &[status("3", 500), ok("3"), ok("62.999"), ok("63")],
        &[
            r#"{"status":500,"reason":null}"#,
            r#"{"reason":"circuit_open","retry_after":60}"#,
            r#"{"reason":"circuit_open","retry_after":0.001}"#,
            r#"{"status":200,"reason":null}"#,
        ],
    );
}

#[test]
fn what_ends_a_run_and_what_is_a_failure() {
    let policy = "[circuit_breaker]\nconsecutive_failures = 2";
    for fine in [200, 204, 304, 400, 404, 408, 499] {
        let trace = [
            status("0", 500),
            status("1", fine),
            status("2", 500),
            ok("3"),
        ];
        check(policy, &trace, &[THROUGH; 4]);
    }
    for failure in [500, 501, 503, 504, 529, 599] {
        let trace = [status("0", failure), status("1", failure), ok("2")];
        check(policy, &trace, &[THROUGH, THROUGH, OPEN]);
    }
    for error in ["connect", "reset"] {
        let line = |at: u32| format!(r#"{{"at":{at},"service":[{{"error":"{error}"}}]}}"#);
        check(
            policy,
            &[line(0), line(1), ok("2")],
            &[THROUGH, THROUGH, OPEN],
        );
    }
    let throttled = [
        status("0", 429),
        status("1", 429),
        status("2", 429),
        ok("3"),
    ];
    check(policy, &throttled, &[THROUGH; 4]);
}

#[test]
fn rates_trip_at_or_above_after_every_record_once_there_are_enough_calls() {
    let half = "[circuit_breaker]\nfailure_rate = 0.5\nwindow = 4\nminimum_calls = 4";
    let calls = |statuses: &[u16]| -> Vec<String> {
        let calls = statuses.iter().enumerate();
        calls
            .map(|(at, code)| status(&at.to_string(), *code))
            .collect()
    };
    let at_half = calls(&[200, 500, 200, 500, 200]);
    check(half, &at_half, &[THROUGH, THROUGH, THROUGH, THROUGH, OPEN]);
    // A success is a record too.
    let by_success = calls(&[500, 500, 500, 200, 200]);
    check(
        half,
        &by_success,
        &[THROUGH, THROUGH, THROUGH, THROUGH, OPEN],
    );
    let below = calls(&[200, 500, 200, 200, 200, 500]);
    check(half, &below, &[THROUGH; 6]);
    // 429 counts for the rate.
    let throttled = calls(&[429, 200, 429, 200, 200]);
    check(
        half,
        &throttled,
        &[THROUGH, THROUGH, THROUGH, THROUGH, OPEN],
    );
    // Only the last so many.
    let all = "[circuit_breaker]\nfailure_rate = 1\nwindow = 2\nminimum_calls = 2";
    check(
        all,
        &calls(&[200, 500, 500, 200]),
        &[THROUGH, THROUGH, THROUGH, OPEN],
    );
    check(all, &calls(&[500, 200, 500, 200, 500, 200]), &[THROUGH; 6]);
}

#[test]
fn a_window_of_calls_holds_a_hundred_and_ten_are_enough_if_nothing_is_said() {
    let policy = "[circuit_breaker]\nfailure_rate = 1";
    let failures = |count: usize| -> Vec<String> {
        let mut trace = vec![status("0", 500); count];
        trace.push(ok("1"));
        trace
    };
    check(policy, &failures(9), &[THROUGH; 10]);
    let mut expected = [THROUGH; 11];
    expected[10] = OPEN;
    check(policy, &failures(10), &expected);
}

#[test]
fn a_window_of_time_is_ten_slices_from_where_at_is_zero() {
    let policy = "[circuit_breaker]\nfailure_rate = 1\nwindow = \"20s\"\nminimum_calls = 2";
    for (first, second, trips) in [
        ("1", "19.9", true),
        ("1", "19.999", true),
        ("1", "20", false),
        ("0", "19.999", true),
        ("3", "21.999", true),
        ("3", "22", false),
        ("1000000003", "1000000021.999", true),
        ("1000000003", "1000000022", false),
    ] {
        let trace = [status(first, 500), status(second, 500), ok("2000000000")];
        // Long after, a tripped circuit lets a probe through: the evidence is a second arrival at once.
        let at_once = [status(first, 500), status(second, 500), ok(second)];
        let last = if trips { OPEN } else { THROUGH };
        check(policy, &at_once, &[THROUGH, THROUGH, last]);
        check(policy, &trace, &[THROUGH; 3]);
    }
    // A long silence empties it.
    let quiet = [status("0", 500), status("100000", 500), ok("100000")];
    check(policy, &quiet, &[THROUGH; 3]);
}

#[test]
fn slow_is_strictly_longer_to_the_head_and_recorded_at_the_end_of_the_body() {
    let policy =
        "[circuit_breaker]\nslow_call_rate = 1\nslow_call = \"4s\"\nwindow = 1\nminimum_calls = 1";
    check(
        policy,
        &[
            r#"{"at":0,"service":[{"latency":4,"body":60}]}"#,
            r#"{"at":100}"#,
        ],
        &[THROUGH, THROUGH],
    );
    check(
        policy,
        &[
            r#"{"at":0,"service":[{"latency":4.001,"body":3}]}"#,
            r#"{"at":7}"#,
            r#"{"at":7.001}"#,
            r#"{"at":7.002}"#,
        ],
        &[
            THROUGH,
            THROUGH,
            r#"{"reason":"circuit_open","retry_after":60}"#,
            r#"{"reason":"circuit_open","retry_after":59.999}"#,
        ],
    );
}

#[test]
fn a_failure_is_recorded_when_it_is_known() {
    let policy = "[circuit_breaker]\nconsecutive_failures = 1";
    check(
        policy,
        &[
            r#"{"at":0,"service":[{"status":500,"latency":1,"body":10}]}"#,
            r#"{"at":0.999}"#,
            r#"{"at":1}"#,
        ],
        &[
            THROUGH,
            THROUGH,
            r#"{"reason":"circuit_open","retry_after":60}"#,
        ],
    );
    check(
        policy,
        &[
            r#"{"at":0,"service":[{"body":10,"body_error":true}]}"#,
            r#"{"at":9.999}"#,
            r#"{"at":10}"#,
        ],
        &[
            r#"{"status":200,"ended":0}"#,
            THROUGH,
            r#"{"reason":"circuit_open","retry_after":60}"#,
        ],
    );
    // A success counts when its body has ended: until then the run goes on.
    check(
        "[circuit_breaker]\nconsecutive_failures = 2",
        &[
            r#"{"at":0,"service":[{"status":500}]}"#,
            r#"{"at":1,"service":[{"body":10}]}"#,
            r#"{"at":2,"service":[{"status":500}]}"#,
            r#"{"at":3}"#,
        ],
        &[THROUGH, THROUGH, THROUGH, OPEN],
    );
    check(
        "[circuit_breaker]\nconsecutive_failures = 2",
        &[
            r#"{"at":0,"service":[{"status":500}]}"#,
            r#"{"at":1,"service":[{"status":204,"body":10}]}"#,
            r#"{"at":2,"service":[{"status":500}]}"#,
            r#"{"at":3}"#,
        ],
        &[THROUGH, THROUGH, THROUGH, OPEN],
    );
}

#[test]
fn a_caller_who_left_is_not_recorded_unless_it_had_waited_too_long_for_the_head() {
    let leaves = |cancel: &str, service: &str| {
        [
            format!(r#"{{"at":0,"cancel":{cancel},"service":[{service}]}}"#),
            r#"{"at":50}"#.to_owned(),
        ]
    };
    let hangs = r#"{"latency":40}"#;
    let plain = "[circuit_breaker]\nconsecutive_failures = 1";
    check(
        plain,
        &leaves("30", hangs),
        &[r#"{"reason":"cancelled","admitted":true}"#, THROUGH],
    );
    let slow = "[circuit_breaker]\nconsecutive_failures = 1\nslow_call = \"1s\"";
    check(slow, &leaves("1", hangs), &["{}", THROUGH]);
    check(slow, &leaves("1.001", hangs), &["{}", OPEN]);
    // During the body nobody waits for the head any more, however long that took.
    check(
        slow,
        &leaves("9", r#"{"latency":5,"body":30}"#),
        &["{}", THROUGH],
    );
}

#[test]
fn one_for_all_or_one_per_key() {
    let trace = [
        r#"{"at":0,"key":"a","service":[{"status":500}]}"#,
        r#"{"at":1,"key":"a"}"#,
        r#"{"at":1,"key":"b"}"#,
        r#"{"at":1}"#,
    ];
    let all = "[circuit_breaker]\nconsecutive_failures = 1";
    check(all, &trace, &[THROUGH, OPEN, OPEN, OPEN]);
    let keyed = "[circuit_breaker]\nconsecutive_failures = 1\nby = \"key\"";
    check(keyed, &trace, &[THROUGH, OPEN, THROUGH, THROUGH]);
}

#[test]
fn any_of_the_conditions_trips() {
    let policy = "[circuit_breaker]\nconsecutive_failures = 3\nfailure_rate = 0.5\nwindow = 10\nminimum_calls = 8\n\
                  slow_call_rate = 0.9\nslow_call = \"1s\"";
    let trace = [
        status("0", 500),
        status("1", 500),
        status("2", 500),
        ok("3"),
    ];
    check(policy, &trace, &[THROUGH, THROUGH, THROUGH, OPEN]);
}
