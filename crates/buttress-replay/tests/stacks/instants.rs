//! "One instant." of the format, where retries and breakers meet.

use crate::support::{check, decide};

const TIMES_OUT: &str = r#"{"at":0,"method":"POST","service":[{"latency":100}]}"#;

#[test]
fn a_backoff_ends_before_the_timeout_of_an_earlier_request() {
    // The timeout would be the second failure in a row if the success of the retry did not come first.
    check(
        "[retry]\nattempts = 2\nbase = \"1s\"\njitter = \"none\"\nattempt_timeout = \"5s\"\n\
         [circuit_breaker]\nconsecutive_failures = 2",
        &[
            TIMES_OUT,
            r#"{"at":4,"service":[{"status":500},{}]}"#,
            r#"{"at":5}"#,
        ],
        &[
            r#"{"ended":5,"reason":"attempt_timeout"}"#,
            r#"{"attempts":[4,5],"status":200,"reason":null}"#,
            r#"{"status":200}"#,
        ],
    );
}

#[test]
fn a_wait_ends_before_the_timeout_of_an_earlier_request() {
    check(
        "stack = [\"retry\", \"rate_limit\", \"circuit_breaker\"]\n\
         [retry]\nattempts = 1\nattempt_timeout = \"5s\"\n\
         [rate_limit]\nquotas = [\"1/5s\"]\nwait = \"1m\"\n\
         [circuit_breaker]\nconsecutive_failures = 1",
        &[
            TIMES_OUT,
            r#"{"at":1,"service":[{"latency":1}]}"#,
            r#"{"at":5}"#,
        ],
        &[
            r#"{"ended":5,"reason":"attempt_timeout"}"#,
            r#"{"attempts":[5],"ended":6,"status":200}"#,
            r#"{"ended":10,"reason":"circuit_open"}"#,
        ],
    );
}

#[test]
fn a_wait_that_ends_with_the_attempts_time_reaches_the_upstream_whose_answer_at_once_counts() {
    let policy = "[retry]\nattempts = 1\nattempt_timeout = \"5s\"\n\
                  [rate_limit]\nquotas = [\"1/5s\"]\nwait = \"1m\"";
    check(
        policy,
        &[r#"{"at":0}"#, r#"{"at":0}"#],
        &["{}", r#"{"attempts":[5],"ended":5,"status":200}"#],
    );
    check(
        policy,
        &[r#"{"at":0}"#, r#"{"at":0,"service":[{"latency":1}]}"#],
        &[
            "{}",
            r#"{"attempts":[5],"ended":5,"reason":"attempt_timeout"}"#,
        ],
    );
}

#[test]
fn timeouts_and_deadlines_come_before_callers_who_leave() {
    let line = r#"{"at":0,"cancel":5,"service":[{"latency":100}]}"#;
    let timed = "[retry]\nattempts = 1\nattempt_timeout = \"5s\"";
    check(
        timed,
        &[line],
        &[r#"{"ended":5,"reason":"attempt_timeout"}"#],
    );
    let dated = "[retry]\nattempts = 1\ndeadline = \"5s\"";
    check(dated, &[line], &[r#"{"ended":5,"reason":"deadline"}"#]);
    check("", &[line], &[r#"{"ended":5,"reason":"cancelled"}"#]);
}

#[test]
fn an_answer_comes_before_a_timeout_a_deadline_a_caller_who_leaves_and_an_arrival() {
    let policy = "[retry]\nattempts = 1\nattempt_timeout = \"5s\"\ndeadline = \"5s\"\n\
                  [circuit_breaker]\nconsecutive_failures = 1";
    check(
        policy,
        &[
            r#"{"at":0,"cancel":5,"service":[{"latency":5}]}"#,
            r#"{"at":5,"service":[{"status":500}]}"#,
            r#"{"at":5}"#,
        ],
        &[
            r#"{"ended":5,"status":200}"#,
            r#"{"status":500}"#,
            r#"{"reason":"circuit_open"}"#,
        ],
    );
}

#[test]
fn at_one_instant_timeouts_are_taken_in_the_order_of_the_trace() {
    // Both time out at 5; with a budget of one the first has the retry.
    check(
        "[retry]\nattempts = 2\nbase = \"1s\"\njitter = \"none\"\nattempt_timeout = \"5s\"\n\
         budget = { ratio = 0, per_second = 0, reserve = 1 }",
        &[
            r#"{"at":0,"service":[{"latency":9},{}]}"#,
            r#"{"at":0,"service":[{"latency":9},{}]}"#,
        ],
        &[
            r#"{"attempts":[0,6],"status":200}"#,
            r#"{"attempts":[0],"ended":5,"reason":"attempt_timeout"}"#,
        ],
    );
    // Backoffs as well: both end at 2, and the unit goes to the earlier line.
    check(
        "[retry]\nattempts = 2\nbase = \"1s\"\njitter = \"none\"\n\
         [rate_limit]\nquotas = [\"3/day\"]",
        &[
            r#"{"at":0,"service":[{"status":503,"latency":1},{}]}"#,
            r#"{"at":1,"service":[{"status":503},{}]}"#,
        ],
        &[
            r#"{"attempts":[0,2],"status":200}"#,
            r#"{"attempts":[1],"ended":2,"reason":"rate_limit"}"#,
        ],
    );
}

#[test]
fn all_that_falls_due_at_one_instant_comes_before_an_arrival_however_much_it_is() {
    // 300 units for first attempts and 201 for retries: none is left for who arrives at 1.
    let policy = "[retry]\nattempts = 2\nbase = \"1s\"\njitter = \"none\"\nbudget = \"none\"\n\
                  [rate_limit]\nquotas = [\"501/day\"]";
    let line = r#"{"at":0,"service":[{"status":503},{}]}"#;
    let mut trace = vec![line; 300];
    trace.push(r#"{"at":1}"#);
    let (decisions, _) = decide(policy, &trace);
    for (index, decision) in decisions.iter().enumerate() {
        let expected = if index < 201 { 200 } else { 429 };
        assert_eq!(decision["status"], expected, "{index}: {decision}");
    }
}

#[test]
fn the_end_of_a_body_that_gives_nothing_back_serves_nobody_before_other_ends() {
    // Line 3's wait falls due between the ends of lines 0 and 1 in the trace's order, and comes after both.
    check(
        "start = \"2026-03-07T04:59:58Z\"\n[token_budget]\nlimits = [\"20/s\"]\nglobal = [\"40/minute calendar UTC\"]\nwait = \"1s\"",
        &[
            r#"{"at":1,"tokens":{"estimate":5,"used":2},"service":[{"latency":1,"body_error":true}]}"#,
            r#"{"at":1,"key":"a","tokens":{"estimate":7,"used":3},"service":[{"latency":1}]}"#,
            r#"{"at":1,"tokens":{"estimate":10,"used":40}}"#,
            r#"{"at":1,"key":"a","tokens":{"estimate":12,"used":3}}"#,
            r#"{"at":2,"key":"a","tokens":{"estimate":20,"used":0}}"#,
        ],
        &[
            r#"{"attempts":[1]}"#,
            r#"{"attempts":[1]}"#,
            r#"{"attempts":[1]}"#,
            r#"{"attempts":[2]}"#,
            r#"{"attempts":[2.15]}"#,
        ],
    );
}
