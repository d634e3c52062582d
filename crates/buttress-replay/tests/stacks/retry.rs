//! "Retry." of the format.

use proptest::prelude::*;

use crate::support::{check, decide, run};

/// Retries with pauses of 1, 2, 4 seconds and so on, and with no end of budget.
fn plain(more: &str) -> String {
    format!("[retry]\nbase = \"1s\"\njitter = \"none\"\nbudget = \"none\"\n{more}")
}

const DOWN: &str = r#"{"at":0,"service":[{"status":503}]}"#;

#[test]
fn the_deadline_ends_retries_as_the_worked_example_says() {
    check(
        "[retry]\nattempts = 4\nbase = \"1s\"\njitter = \"none\"\ndeadline = \"3s\"",
        &[DOWN],
        &[
            r#"{"attempts":[0,1],"ended":1,"status":503,"reason":null,"admitted":true,"retry_after":null}"#,
        ],
    );
}

#[test]
fn pauses_grow_from_base_by_multiplier_up_to_max() {
    check(
        &plain(""),
        &[DOWN],
        &[r#"{"attempts":[0,1,3],"ended":3,"status":503}"#],
    );
    let clamped = plain("max = \"2s\"\nattempts = 5");
    check(&clamped, &[DOWN], &[r#"{"attempts":[0,1,3,5,7]}"#]);
    let threefold = "[retry]\nbase = \"100ms\"\nmultiplier = 3\njitter = \"none\"\nattempts = 4";
    check(threefold, &[DOWN], &[r#"{"attempts":[0,0.1,0.4,1.3]}"#]);
    // Rounded up to a millisecond: 1, 1.5, 2.25 ms.
    let fine = "[retry]\nbase = \"1ms\"\nmultiplier = 1.5\njitter = \"none\"\nattempts = 4";
    check(fine, &[DOWN], &[r#"{"attempts":[0,0.001,0.003,0.006]}"#]);
    // min(max, base) from the first on.
    let large = "[retry]\nbase = \"10s\"\njitter = \"none\"\nattempts = 3";
    check(large, &[DOWN], &[r#"{"attempts":[0,8,16]}"#]);
    check(
        "[retry]\nattempts = 1",
        &[DOWN],
        &[r#"{"attempts":[0],"status":503}"#],
    );
}

#[test]
fn what_is_tried_again() {
    let policy = plain("attempts = 2");
    for status in [408, 425, 429, 500, 502, 503, 504, 529] {
        let line = format!(r#"{{"at":0,"service":[{{"status":{status}}},{{}}]}}"#);
        check(
            &policy,
            &[line],
            &[r#"{"attempts":[0,1],"status":200,"ended":1}"#],
        );
    }
    for status in [
        100, 200, 204, 302, 304, 400, 401, 404, 409, 418, 499, 501, 505, 520, 599,
    ] {
        let line = format!(r#"{{"at":0,"service":[{{"status":{status}}},{{"status":201}}]}}"#);
        let expected = format!(r#"{{"attempts":[0],"status":{status},"reason":null}}"#);
        check(&policy, &[line], &[&expected]);
    }
}

#[test]
fn methods_decide_what_may_be_sent_twice_and_any_may_that_never_arrived() {
    let line = |method: &str, service: &str| {
        format!(r#"{{"at":0,"method":"{method}","service":[{service},{{}}]}}"#)
    };
    let connect = r#"{"error":"connect"}"#;
    let reset = r#"{"error":"reset"}"#;
    let busy = r#"{"status":503}"#;
    let once = r#"{"attempts":[0]}"#;
    let twice = r#"{"attempts":[0,1],"status":200}"#;
    let default = plain("");
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
        for service in [connect, reset, busy] {
            check(&default, &[line(method, service)], &[twice]);
        }
    }
    for method in ["POST", "PATCH", "get", ""] {
        check(&default, &[line(method, connect)], &[twice]);
        check(&default, &[line(method, reset)], &[once]);
        check(&default, &[line(method, busy)], &[once]);
        let every = plain("methods = [\"*\"]");
        check(&every, &[line(method, busy)], &[twice]);
    }
    let post = plain("methods = [\"POST\"]");
    check(
        &post,
        &[line("POST", reset), line("GET", reset)],
        &[twice, once],
    );
    let none = plain("methods = []");
    check(
        &none,
        &[line("GET", busy), line("GET", connect)],
        &[once, twice],
    );
}

#[test]
fn a_transport_error_has_no_status_and_no_reason() {
    check(
        &plain("attempts = 2"),
        &[
            r#"{"at":0,"service":[{"error":"reset","latency":0.5}]}"#,
            r#"{"at":0,"service":[{"error":"connect","status":503}]}"#,
        ],
        &[
            r#"{"attempts":[0,1.5],"ended":2,"status":null,"reason":null,"admitted":true}"#,
            r#"{"attempts":[0,1],"ended":1,"status":null,"reason":null}"#,
        ],
    );
}

#[test]
fn a_body_that_broke_off_is_never_tried_again() {
    let line = r#"{"at":0,"service":[{"body":1,"body_error":true},{"status":201}]}"#;
    check(
        &plain(""),
        &[line],
        &[r#"{"attempts":[0],"ended":0,"status":200,"reason":null}"#],
    );
}

#[test]
fn hints_are_the_pause_itself_up_to_the_longest() {
    let jittered = "[retry]\nbase = \"1s\"\nbudget = \"none\"";
    for (service, expected) in [
        (
            r#"{"status":429,"retry_after":5}"#,
            r#"{"attempts":[0,5],"status":200}"#,
        ),
        (
            r#"{"status":503,"retry_after":0.25}"#,
            r#"{"attempts":[0,0.25]}"#,
        ),
        (
            r#"{"status":429,"retry_after":0}"#,
            r#"{"attempts":[0,0],"ended":0}"#,
        ),
        (
            r#"{"status":503,"retry_after":60}"#,
            r#"{"attempts":[0,60]}"#,
        ),
        (
            r#"{"status":429,"retry_after":60.001}"#,
            r#"{"attempts":[0],"status":429,"reason":null,"retry_after":null,"ended":0}"#,
        ),
    ] {
        let line = format!(r#"{{"at":0,"service":[{service},{{}}]}}"#);
        check(jittered, &[line], &[expected]);
    }
    let short = plain("max_retry_after = \"2s\"");
    check(
        &short,
        &[
            r#"{"at":0,"service":[{"status":503,"retry_after":2},{}]}"#,
            r#"{"at":0,"service":[{"status":503,"retry_after":2.001},{}]}"#,
        ],
        &[r#"{"attempts":[0,2]}"#, r#"{"attempts":[0],"status":503}"#],
    );
    // Only 429 and 503 say when.
    for status in [408, 425, 500, 502, 504, 529] {
        let line = format!(r#"{{"at":0,"service":[{{"status":{status},"retry_after":90}},{{}}]}}"#);
        check(&plain(""), &[line], &[r#"{"attempts":[0,1]}"#]);
    }
    // A hint stands for the pause of its retry; the next goes on from there.
    let line = r#"{"at":0,"service":[{"status":429,"retry_after":5},{"status":503},{}]}"#;
    check(&plain(""), &[line], &[r#"{"attempts":[0,5,7]}"#]);
    let late = plain("deadline = \"5s\"");
    let line = r#"{"at":0,"service":[{"status":429,"retry_after":5},{}]}"#;
    check(
        &late,
        &[line],
        &[r#"{"attempts":[0],"status":429,"ended":0,"reason":null}"#],
    );
}

#[test]
fn no_pause_ends_at_or_after_the_deadline_which_is_the_earlier_one() {
    let just =
        |base: &str| format!("[retry]\nbase = \"{base}\"\njitter = \"none\"\ndeadline = \"3s\"");
    check(&just("2999ms"), &[DOWN], &[r#"{"attempts":[0,2.999]}"#]);
    check(
        &just("3s"),
        &[DOWN],
        &[r#"{"attempts":[0],"ended":0,"status":503}"#],
    );
    check(
        &plain("attempts = 9\ndeadline = \"10s\""),
        &[
            r#"{"at":0,"service":[{"status":503}]}"#,
            r#"{"at":0,"deadline":3,"service":[{"status":503}]}"#,
            r#"{"at":0,"deadline":30,"service":[{"status":503}]}"#,
        ],
        &[
            r#"{"attempts":[0,1,3,7]}"#,
            r#"{"attempts":[0,1]}"#,
            r#"{"attempts":[0,1,3,7]}"#,
        ],
    );
    check(
        &plain("attempts = 9"),
        &[r#"{"at":5,"deadline":3,"service":[{"status":503}]}"#],
        &[r#"{"attempts":[5,6],"ended":6}"#],
    );
}

#[test]
fn an_attempt_is_cut_off_at_the_deadline_and_an_answer_at_it_is_not_too_late() {
    check(
        &plain("deadline = \"3s\""),
        &[
            r#"{"at":0,"service":[{"latency":10}]}"#,
            r#"{"at":0,"service":[{"latency":3}]}"#,
            r#"{"at":0,"deadline":2,"service":[{"latency":3}]}"#,
            r#"{"at":0,"service":[{"status":503,"latency":0.5},{"latency":9}]}"#,
            r#"{"at":0,"deadline":0,"service":[{}]}"#,
            r#"{"at":0,"deadline":0,"service":[{"latency":1}]}"#,
            r#"{"at":0,"service":[{"latency":1,"body":60}]}"#,
        ],
        &[
            r#"{"attempts":[0],"ended":3,"status":504,"reason":"deadline","retry_after":null}"#,
            r#"{"attempts":[0],"ended":3,"status":200,"reason":null}"#,
            r#"{"attempts":[0],"ended":2,"reason":"deadline"}"#,
            r#"{"attempts":[0,1.5],"ended":3,"status":504,"reason":"deadline"}"#,
            r#"{"attempts":[0],"ended":0,"status":200,"reason":null}"#,
            r#"{"attempts":[0],"ended":0,"status":504,"reason":"deadline"}"#,
            r#"{"attempts":[0],"ended":1,"status":200,"reason":null}"#,
        ],
    );
    // Without `[retry]` an attempt in flight runs on.
    let line = r#"{"at":0,"deadline":3,"service":[{"latency":10}]}"#;
    check("", &[line], &[r#"{"ended":10,"status":200,"reason":null}"#]);
}

#[test]
fn an_attempt_times_out_after_its_time_and_not_at_an_answer_at_it() {
    check(
        "[retry]\nattempts = 1\nattempt_timeout = \"5s\"",
        &[
            r#"{"at":0,"service":[{"latency":5}]}"#,
            r#"{"at":0,"service":[{"latency":5.001}]}"#,
        ],
        &[
            r#"{"ended":5,"status":200,"reason":null}"#,
            r#"{"attempts":[0],"ended":5,"status":504,"reason":"attempt_timeout","retry_after":null,"admitted":true}"#,
        ],
    );
    check(
        &plain("attempts = 2\nattempt_timeout = \"5s\""),
        &[
            r#"{"at":0,"service":[{"latency":6}]}"#,
            r#"{"at":0,"service":[{"latency":6},{}]}"#,
            r#"{"at":0,"service":[{"latency":6},{"status":500}]}"#,
            r#"{"at":0,"method":"POST","service":[{"latency":6},{}]}"#,
        ],
        &[
            r#"{"attempts":[0,6],"ended":11,"reason":"attempt_timeout","status":504}"#,
            r#"{"attempts":[0,6],"ended":6,"status":200,"reason":null}"#,
            r#"{"attempts":[0,6],"ended":6,"status":500,"reason":null}"#,
            r#"{"attempts":[0],"ended":5,"reason":"attempt_timeout"}"#,
        ],
    );
}

#[test]
fn an_attempt_timeout_is_the_reason_also_where_time_or_budget_is_what_lacks() {
    let line = [r#"{"at":0,"service":[{"latency":9}]}"#];
    let timed_out = [r#"{"attempts":[0],"ended":2,"reason":"attempt_timeout"}"#];
    check(
        &plain("attempt_timeout = \"2s\"\ndeadline = \"3s\""),
        &line,
        &timed_out,
    );
    let broke =
        "[retry]\nattempt_timeout = \"2s\"\nbudget = { ratio = 0, per_second = 0, reserve = 0 }";
    check(broke, &line, &timed_out);
    // At one instant the attempt's timeout is the reason.
    check(
        &plain("attempt_timeout = \"2s\"\ndeadline = \"2s\""),
        &line,
        &timed_out,
    );
    check(
        &plain("attempt_timeout = \"3s\"\ndeadline = \"2s\""),
        &line,
        &[r#"{"ended":2,"reason":"deadline"}"#],
    );
    // A later attempt that runs into the deadline.
    check(
        &plain("attempt_timeout = \"2s\"\ndeadline = \"4s\""),
        &line,
        &[r#"{"attempts":[0,3],"ended":4,"reason":"deadline"}"#],
    );
}

#[test]
fn a_caller_may_leave_at_any_time() {
    let line = |cancel: &str, second: &str| {
        format!(r#"{{"at":0,"cancel":{cancel},"service":[{{"status":503}},{second}]}}"#)
    };
    check(
        &plain(""),
        &[
            line("0", "{}"),
            line("0.5", "{}"),
            line("1", "{}"),
            line("1", r#"{"latency":0.001}"#),
            line("1.5", r#"{"latency":1}"#),
        ],
        &[
            r#"{"attempts":[0],"ended":0,"reason":"cancelled","status":null}"#,
            r#"{"attempts":[0],"ended":0.5,"reason":"cancelled","status":null,"retry_after":null}"#,
            r#"{"attempts":[0,1],"ended":1,"status":200,"reason":null}"#,
            r#"{"attempts":[0,1],"ended":1,"reason":"cancelled"}"#,
            r#"{"attempts":[0,1],"ended":1.5,"reason":"cancelled"}"#,
        ],
    );
}

#[test]
fn a_response_that_is_tried_again_is_dropped_at_its_head() {
    let line = r#"{"at":0,"service":[{"status":503,"body":60},{"body":1}]}"#;
    let (_, summary) = decide(&plain(""), &[line]);
    assert_eq!(
        (
            summary.peak_in_flight,
            summary.retries,
            summary.upstream_calls
        ),
        (1, 1, 2)
    );
    assert_eq!(
        summary.virtual_time, 2_000,
        "nobody waits for the body that was dropped"
    );
    let cut = plain("attempts = 1\nattempt_timeout = \"1s\"");
    let (_, summary) = decide(&cut, &[r#"{"at":0,"service":[{"latency":60}]}"#]);
    assert_eq!(summary.virtual_time, 1_000);
    assert_eq!(summary.refused.values().sum::<usize>(), 1);
}

/// The pauses between the attempts of one request, in milliseconds.
fn pauses(policy: &str) -> Vec<u64> {
    let (decisions, _) = run(policy, &[DOWN]);
    let attempts = &decisions[0].attempts;
    attempts.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn jitter_stays_in_its_bounds_and_comes_from_the_seed(seed: u64) {
        let policy = |jitter: &str| {
            format!("seed = {seed}\n[retry]\nattempts = 6\nbase = \"1s\"\nmax = \"5s\"\njitter = \"{jitter}\"")
        };
        let intervals = [1_000, 2_000, 4_000, 5_000, 5_000];
        for (pause, v) in pauses(&policy("full")).into_iter().zip(intervals) {
            prop_assert!(pause <= v);
        }
        for (pause, v) in pauses(&policy("equal")).into_iter().zip(intervals) {
            prop_assert!((v / 2..=v).contains(&pause));
        }
        let mut previous = 1_000;
        for pause in pauses(&policy("decorrelated")) {
            prop_assert!((1_000..=5_000.min(3 * previous)).contains(&pause));
            previous = pause;
        }
        for jitter in ["full", "equal", "decorrelated"] {
            let drawn = pauses(&policy(jitter));
            prop_assert_eq!(drawn.len(), 5);
            prop_assert_eq!(&drawn, &pauses(&policy(jitter)));
        }
    }
}

#[test]
fn different_seeds_give_different_jitter() {
    let policy = |seed| format!("seed = {seed}\n[retry]\nattempts = 6");
    assert_ne!(pauses(&policy(1)), pauses(&policy(2)));
    assert_eq!(pauses("[retry]\nattempts = 6"), pauses(&policy(0)));
}
