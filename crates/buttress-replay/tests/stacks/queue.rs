//! "Queue." of the format, sentence by sentence.

use crate::support::{check, decide};

const ONE: &str = "[priority_queue]\nconcurrency = 1";

#[test]
fn a_place_is_held_to_the_end_of_the_body_whatever_the_head_says() {
    for end in ["", r#""status":500,"#, r#""status":404,"#] {
        let first = format!(r#"{{"at":0,"service":[{{{end}"latency":1,"body":1}}]}}"#);
        check(
            ONE,
            &[first.as_str(), r#"{"at":1}"#, r#"{"at":2}"#],
            &["{}", r#"{"attempts":[2]}"#, r#"{"attempts":[2]}"#],
        );
    }
    for first in [
        r#"{"at":0,"service":[{"latency":2,"error":"reset"}]}"#,
        r#"{"at":0,"service":[{"latency":9}],"cancel":2}"#,
        r#"{"at":0,"service":[{"body":9}],"cancel":2}"#,
    ] {
        check(ONE, &[first, r#"{"at":1}"#], &["{}", r#"{"attempts":[2]}"#]);
    }
}

#[test]
fn the_most_urgent_goes_first_then_whoever_came_first() {
    check(
        ONE,
        &[
            r#"{"at":0,"service":[{"latency":1}]}"#,
            r#"{"at":0.1,"priority":"low","service":[{"latency":1}]}"#,
            r#"{"at":0.2,"service":[{"latency":1}]}"#,
            r#"{"at":0.3,"priority":"critical","service":[{"latency":1}]}"#,
            r#"{"at":0.4,"service":[{"latency":1}]}"#,
        ],
        &[
            r#"{"attempts":[0]}"#,
            r#"{"attempts":[4]}"#,
            r#"{"attempts":[2]}"#,
            r#"{"attempts":[1]}"#,
            r#"{"attempts":[3]}"#,
        ],
    );
}

#[test]
fn one_who_waits_rises_one_priority_per_full_ageing() {
    check(
        "[priority_queue]\nconcurrency = 1\nageing = \"1s\"",
        &[
            r#"{"at":0,"service":[{"latency":3}]}"#,
            r#"{"at":1,"priority":"low","service":[{"latency":1}]}"#,
            r#"{"at":2.5,"priority":"high"}"#,
            r#"{"at":2.5,"priority":"critical","service":[{"latency":1}]}"#,
        ],
        &[
            "{}",
            r#"{"attempts":[4]}"#,
            r#"{"attempts":[5]}"#,
            r#"{"attempts":[3]}"#,
        ],
    );
}

#[test]
fn who_comes_to_a_full_queue_pushes_out_the_latest_of_the_lowest_if_that_is_lower() {
    check(
        "[priority_queue]\nconcurrency = 1\ncapacity = 2",
        &[
            r#"{"at":0,"service":[{"latency":9}]}"#,
            r#"{"at":1,"priority":"low"}"#,
            r#"{"at":2,"priority":"low"}"#,
            r#"{"at":3,"priority":"low"}"#,
            r#"{"at":4}"#,
            r#"{"at":5,"deadline":0}"#,
        ],
        &[
            "{}",
            r#"{"attempts":[9]}"#,
            r#"{"reason":"queue_full","status":503,"ended":4,"retry_after":null}"#,
            r#"{"reason":"queue_full","status":503,"ended":3,"retry_after":null}"#,
            r#"{"attempts":[9]}"#,
            r#"{"reason":"deadline","status":504,"ended":5}"#,
        ],
    );
}

#[test]
fn a_wait_ends_at_its_longest_and_a_grant_at_that_instant_wins() {
    check(
        "[priority_queue]\nconcurrency = 2\nmax_wait = \"1s\"",
        &[
            r#"{"at":1,"service":[{"latency":1}]}"#,
            r#"{"at":1,"service":[{"body":1}]}"#,
            r#"{"at":1,"service":[{"latency":1}]}"#,
            r#"{"at":1,"service":[{"latency":1}]}"#,
            r#"{"at":1.5}"#,
        ],
        &[
            "{}",
            "{}",
            r#"{"attempts":[2]}"#,
            r#"{"attempts":[2]}"#,
            r#"{"reason":"queue_timeout","status":503,"ended":2.5,"retry_after":null}"#,
        ],
    );
}

#[test]
fn nothing_starts_at_its_deadline() {
    check(
        ONE,
        &[
            r#"{"at":0,"service":[{"latency":2}]}"#,
            r#"{"at":0,"deadline":2}"#,
            r#"{"at":0,"deadline":2.001}"#,
        ],
        &[
            "{}",
            r#"{"reason":"deadline","ended":2,"admitted":false}"#,
            r#"{"attempts":[2]}"#,
        ],
    );
}

#[test]
fn of_the_ends_of_one_instant_the_longest_wait_comes_first_then_the_timeout_then_the_deadline() {
    let (max_wait, timeout) = ("max_wait = \"1s\"", "attempt_timeout = \"1s\"");
    for (max_wait, timeout, reason) in [
        (max_wait, timeout, "queue_timeout"),
        (max_wait, "", "queue_timeout"),
        ("", timeout, "attempt_timeout"),
        ("", "", "deadline"),
    ] {
        check(
            &format!(
                "[retry]\nattempts = 1\n{timeout}\n[priority_queue]\nconcurrency = 1\n{max_wait}"
            ),
            &[
                r#"{"at":0,"service":[{"body":9}]}"#,
                r#"{"at":1,"deadline":1}"#,
            ],
            &["{}", &format!(r#"{{"reason":"{reason}","ended":2}}"#)],
        );
    }
}

#[test]
fn tenants_take_turns_by_what_theirs_cost() {
    check(
        "[priority_queue]\nconcurrency = 1\nfair = true",
        &[
            r#"{"at":0,"service":[{"latency":1}]}"#,
            r#"{"at":0.1,"tenant":"a","service":[{"latency":1}]}"#,
            r#"{"at":0.2,"tenant":"a","service":[{"latency":1}]}"#,
            r#"{"at":0.3,"tenant":"b","service":[{"latency":1}]}"#,
        ],
        &[
            "{}",
            r#"{"attempts":[1]}"#,
            r#"{"attempts":[3]}"#,
            r#"{"attempts":[2]}"#,
        ],
    );
}

#[test]
fn a_retry_queues_again_as_a_newcomer() {
    check(
        "[retry]\nattempts = 2\nbase = \"1s\"\njitter = \"none\"\n[priority_queue]\nconcurrency = 1",
        &[
            r#"{"at":0,"service":[{"status":503},{}]}"#,
            r#"{"at":0,"service":[{"latency":2}]}"#,
            r#"{"at":0.5}"#,
        ],
        &[
            r#"{"attempts":[0,2]}"#,
            r#"{"attempts":[0]}"#,
            r#"{"attempts":[2]}"#,
        ],
    );
}

#[test]
fn the_summary_tells_the_longest_queue() {
    let (_, summary) = decide(
        ONE,
        &[
            r#"{"at":0,"service":[{"latency":1}]}"#,
            r#"{"at":0}"#,
            r#"{"at":0,"cancel":0.5}"#,
        ],
    );
    assert_eq!((summary.peak_queue, summary.peak_in_flight), (2, 1));
}
