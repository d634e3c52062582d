//! Retry, breaker and rate limit in several orders.

use crate::support::{check, decide};

const RETRY: &str = "[retry]\nattempts = 4\nbase = \"1s\"\njitter = \"none\"\n";
const DOWN: &str = r#"{"at":0,"service":[{"status":503}]}"#;

#[test]
fn a_refusal_from_further_in_ends_the_request_also_after_an_answer() {
    check(
        &format!("{RETRY}[circuit_breaker]\nconsecutive_failures = 1"),
        &[DOWN, r#"{"at":2}"#],
        &[
            r#"{"attempts":[0],"ended":1,"reason":"circuit_open","status":503,"retry_after":59,"admitted":true}"#,
            r#"{"attempts":[],"ended":2,"reason":"circuit_open","retry_after":58,"admitted":false}"#,
        ],
    );
    // 2/minute holds 1/30 more after 1 s, and 1/10 at 3 s.
    check(
        &format!("{RETRY}[rate_limit]\nquotas = [\"2/minute\"]"),
        &[DOWN],
        &[
            r#"{"attempts":[0,1],"ended":3,"reason":"rate_limit","status":429,"retry_after":27,"remaining":0,"limit":2}"#,
        ],
    );
}

#[test]
fn every_attempt_spends_inside_of_retry_and_the_request_once_outside() {
    let limit = "[rate_limit]\nquotas = [\"10/day\"]\n";
    let inside = format!("{RETRY}{limit}");
    check(
        &inside,
        &[DOWN],
        &[r#"{"attempts":[0,1,3,7],"remaining":6,"limit":10}"#],
    );
    let outside = format!("stack = [\"rate_limit\", \"retry\"]\n{RETRY}{limit}");
    check(
        &outside,
        &[DOWN],
        &[r#"{"attempts":[0,1,3,7],"remaining":9,"limit":10}"#],
    );
}

#[test]
fn the_default_order_is_retry_breaker_rate_limit() {
    // The breaker is asked first: an open one spends nothing.
    check(
        "[rate_limit]\nquotas = [\"10/day\"]\n[circuit_breaker]\nconsecutive_failures = 1\n[retry]\nattempts = 1",
        &[DOWN, r#"{"at":1}"#],
        &[
            r#"{"remaining":9}"#,
            r#"{"reason":"circuit_open","remaining":9}"#,
        ],
    );
    check(
        "stack = [\"rate_limit\", \"circuit_breaker\"]\n\
         [rate_limit]\nquotas = [\"10/day\"]\n[circuit_breaker]\nconsecutive_failures = 1",
        &[DOWN, r#"{"at":1}"#],
        &[
            r#"{"remaining":9}"#,
            r#"{"reason":"circuit_open","remaining":8}"#,
        ],
    );
}

#[test]
fn a_breaker_outside_of_retry_sees_requests_and_not_attempts() {
    let policy = format!(
        "stack = [\"circuit_breaker\", \"retry\"]\n{RETRY}attempt_timeout = \"5s\"\n[circuit_breaker]\nconsecutive_failures = 2"
    );
    check(
        &policy,
        &[
            DOWN,
            r#"{"at":10,"method":"POST","service":[{"latency":9}]}"#,
            r#"{"at":15}"#,
        ],
        &[
            r#"{"attempts":[0,1,3,7],"status":503}"#,
            r#"{"ended":15,"reason":"attempt_timeout"}"#,
            r#"{"reason":"circuit_open","retry_after":60}"#,
        ],
    );
}

#[test]
fn an_attempt_timed_out_is_a_failure_for_the_breaker_below_by_timeout_and_by_deadline() {
    for limit in ["attempt_timeout", "deadline"] {
        check(
            &format!(
                "[retry]\nattempts = 1\n{limit} = \"1s\"\n[circuit_breaker]\nconsecutive_failures = 1"
            ),
            &[r#"{"at":0,"service":[{"latency":5}]}"#, r#"{"at":2}"#],
            &[
                "{\"ended\":1}",
                r#"{"reason":"circuit_open","retry_after":59}"#,
            ],
        );
        check(
            &format!(
                "stack = [\"circuit_breaker\", \"retry\"]\n[retry]\nattempts = 1\n{limit} = \"1s\"\n\
                 [circuit_breaker]\nconsecutive_failures = 1"
            ),
            &[r#"{"at":0,"service":[{"latency":5}]}"#, r#"{"at":2}"#],
            &[
                "{\"ended\":1}",
                r#"{"reason":"circuit_open","retry_after":59}"#,
            ],
        );
    }
}

#[test]
fn refusals_from_further_in_are_not_recorded_by_the_breaker() {
    let policy = "[circuit_breaker]\nconsecutive_failures = 1\n[rate_limit]\nquotas = [\"1/day\"]";
    let refused = r#"{"reason":"rate_limit"}"#;
    let line = r#"{"at":0}"#;
    check(policy, &[line, line, line], &["{}", refused, refused]);
}

#[test]
fn a_response_that_retry_drops_at_its_head_is_settled_by_its_head() {
    // The success of 408 ends the run: 1, 0, 1.
    check(
        "[retry]\nattempts = 3\nbase = \"1s\"\njitter = \"none\"\n[circuit_breaker]\nconsecutive_failures = 2",
        &[
            r#"{"at":0,"service":[{"status":500},{"status":408,"body":100},{"status":500}]}"#,
            r#"{"at":10}"#,
        ],
        &[r#"{"attempts":[0,1,3],"status":500}"#, r#"{"status":200}"#],
    );
}

#[test]
fn an_attempts_time_includes_its_waits() {
    let limited = "[rate_limit]\nquotas = [\"1/10s\"]\nwait = \"30s\"\n";
    let policy = |attempts: u32| {
        format!(
            "[retry]\nattempts = {attempts}\nbase = \"1s\"\njitter = \"none\"\nattempt_timeout = \"5s\"\n{limited}"
        )
    };
    check(
        &policy(2),
        &[r#"{"at":0}"#, r#"{"at":0}"#],
        &[
            "{}",
            r#"{"attempts":[10],"ended":10,"status":200,"reason":null}"#,
        ],
    );
    check(
        &policy(1),
        &[r#"{"at":0}"#, r#"{"at":0}"#],
        &[
            "{}",
            r#"{"attempts":[],"admitted":false,"ended":5,"reason":"attempt_timeout","status":504}"#,
        ],
    );
}

#[test]
fn layers_inside_know_the_deadline_of_retry_and_those_outside_only_the_traces() {
    let limited =
        "[retry]\ndeadline = \"5s\"\n[rate_limit]\nquotas = [\"1/10s\"]\nwait = \"30s\"\n";
    check(
        limited,
        &[r#"{"at":0}"#, r#"{"at":0}"#],
        &[
            "{}",
            r#"{"ended":0,"reason":"deadline","status":504,"attempts":[]}"#,
        ],
    );
    let outside = format!("stack = [\"rate_limit\", \"retry\"]\n{limited}");
    check(
        &outside,
        &[r#"{"at":0}"#, r#"{"at":0}"#, r#"{"at":0,"deadline":3}"#],
        &[
            "{}",
            r#"{"ended":10,"reason":"deadline","status":504,"attempts":[]}"#,
            r#"{"ended":0,"reason":"deadline"}"#,
        ],
    );
    // The deadline counts from the arrival, also where something was waited for before.
    check(
        &outside.replace("5s", "12s"),
        &[r#"{"at":0}"#, r#"{"at":0,"service":[{"latency":9}]}"#],
        &["{}", r#"{"attempts":[10],"ended":12,"reason":"deadline"}"#],
    );
}

#[test]
fn a_retry_waits_as_a_newcomer_and_shadow_hears_of_every_attempt() {
    check(
        "[retry]\nattempts = 2\nbase = \"1s\"\njitter = \"none\"\n[rate_limit]\nquotas = [\"1/10s\"]\nwait = \"1m\"",
        &[r#"{"at":0,"service":[{"status":503},{}]}"#, r#"{"at":0.5}"#],
        &[
            r#"{"attempts":[0,20],"status":200}"#,
            r#"{"attempts":[10]}"#,
        ],
    );
    check(
        "[retry]\nattempts = 2\nbase = \"1s\"\njitter = \"none\"\n[rate_limit]\nquotas = [\"1/10s\"]\nshadow = true",
        &[r#"{"at":0,"service":[{"status":503},{}]}"#, r#"{"at":20}"#],
        &[r#"{"attempts":[0,1],"shadow":true}"#, r#"{"shadow":false}"#],
    );
}

#[test]
fn the_summary_counts_attempts() {
    let policy = format!("{RETRY}[circuit_breaker]\nconsecutive_failures = 3");
    let (_, summary) = decide(&policy, &[DOWN, r#"{"at":100}"#]);
    assert_eq!((summary.requests, summary.admitted), (2, 2));
    assert_eq!((summary.retries, summary.upstream_calls), (2, 4));
    assert_eq!(summary.refused.values().sum::<usize>(), 1);
    assert_eq!((summary.peak_in_flight, summary.peak_queue), (1, 0));
}

#[test]
fn the_same_input_gives_the_same_output() {
    let policy = "seed = 3\n[retry]\nattempts = 5\nattempt_timeout = \"900ms\"\ndeadline = \"9s\"\n\
                  [circuit_breaker]\nfailure_rate = 0.6\nwindow = \"5s\"\nminimum_calls = 8\nopen_for = \"2s\"\nby = \"key\"\n\
                  [rate_limit]\nquotas = [\"9/second\"]\nwait = \"2s\"\n";
    let line = |n: u32| {
        format!(
            r#"{{"at":{},"key":"k{}","cancel":{},"service":[{{"status":{},"latency":{}}},{{"latency":0.{}}}]}}"#,
            n / 11,
            n % 3,
            n % 13,
            [200, 503, 500, 429][n as usize % 4],
            n % 2,
            n % 10,
        )
    };
    let trace: Vec<String> = (0..600).map(line).collect();
    let (first, _) = decide(policy, &trace);
    assert_eq!(first, decide(policy, &trace).0);
    for decision in &first {
        assert_eq!(
            decision["admitted"],
            !decision["attempts"].as_array().unwrap().is_empty()
        );
    }
}
