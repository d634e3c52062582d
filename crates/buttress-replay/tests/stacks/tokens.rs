//! "Token budget." of the format, sentence by sentence.

use crate::support::{check, decide};

const ROLLING: &str = "[token_budget]\nlimits = [\"100/minute rolling\"]";

#[test]
fn a_request_without_tokens_is_not_asked() {
    check(
        ROLLING,
        &[r#"{"at":0,"tokens":{"estimate":100}}"#, r#"{"at":0}"#],
        &[r#"{"status":200}"#, r#"{"status":200,"reason":null}"#],
    );
}

#[test]
fn what_was_used_replaces_the_estimate_at_the_end_of_the_body() {
    // 60 become 80 at 1 + 2, and only then.
    check(
        ROLLING,
        &[
            r#"{"at":0,"tokens":{"estimate":60,"used":80},"service":[{"latency":1,"body":2}]}"#,
            r#"{"at":2.999,"tokens":{"estimate":41}}"#,
            r#"{"at":2.999,"tokens":{"estimate":20,"used":20}}"#,
            r#"{"at":3,"tokens":{"estimate":1}}"#,
        ],
        &[
            r#"{"status":200}"#,
            r#"{"reason":"token_budget","status":429,"retry_after":57.001}"#,
            r#"{"status":200}"#,
            r#"{"reason":"token_budget","retry_after":57}"#,
        ],
    );
}

#[test]
fn what_was_not_said_leaves_the_estimate() {
    for used in ["", r#","used":null"#] {
        let first = format!(r#"{{"at":0,"tokens":{{"estimate":60{used}}}}}"#);
        check(
            ROLLING,
            &[first.as_str(), r#"{"at":1,"tokens":{"estimate":41}}"#],
            &[r#"{"status":200}"#, r#"{"retry_after":59}"#],
        );
    }
}

#[test]
fn no_response_and_a_status_that_is_not_2xx_give_all_back_at_once() {
    let ends = [
        r#"{"error":"connect"}"#,
        r#"{"error":"reset"}"#,
        r#"{"status":500,"body":9}"#,
        r#"{"status":404,"body":9}"#,
        r#"{"status":304,"body":9}"#,
        r#"{"status":429,"body":9}"#,
    ];
    for end in ends {
        let first = format!(r#"{{"at":0,"tokens":{{"estimate":100,"used":7}},"service":[{end}]}}"#);
        check(
            ROLLING,
            &[first.as_str(), r#"{"at":0,"tokens":{"estimate":100}}"#],
            &["{}", r#"{"status":200}"#],
        );
    }
}

#[test]
fn a_refusal_further_in_gives_all_back() {
    check(
        "[token_budget]\nlimits = [\"100/minute rolling\"]\n[rate_limit]\nquotas = [\"1/minute\"]",
        &[
            r#"{"at":0,"tokens":{"estimate":50}}"#,
            r#"{"at":0,"tokens":{"estimate":50}}"#,
            r#"{"at":60,"tokens":{"estimate":100}}"#,
        ],
        &[
            r#"{"status":200}"#,
            r#"{"reason":"rate_limit"}"#,
            r#"{"status":200}"#,
        ],
    );
}

#[test]
fn the_estimate_stays_when_the_caller_left_the_upstream_or_the_body_broke() {
    let firsts = [
        r#"{"at":0,"cancel":1,"tokens":{"estimate":60,"used":90},"service":[{"latency":5}]}"#,
        r#"{"at":0,"cancel":1,"tokens":{"estimate":60,"used":90},"service":[{"body":5}]}"#,
        r#"{"at":0,"tokens":{"estimate":60,"used":90},"service":[{"body":1,"body_error":true}]}"#,
    ];
    for first in firsts {
        check(
            ROLLING,
            &[
                first,
                r#"{"at":2,"tokens":{"estimate":41}}"#,
                r#"{"at":2,"tokens":{"estimate":40}}"#,
            ],
            &[
                "{}",
                r#"{"reason":"token_budget","retry_after":58}"#,
                r#"{"status":200}"#,
            ],
        );
    }
}

#[test]
fn a_caller_who_leaves_while_it_waits_further_in_gets_all_back() {
    let inside = [
        "[rate_limit]\nquotas = [\"1/minute\"]\nwait = \"1h\"",
        "[priority_queue]\nconcurrency = 1",
    ];
    for (inside, layer) in inside.into_iter().zip(["rate_limit", "priority_queue"]) {
        check(
            &format!("stack = [\"token_budget\", \"{layer}\"]\n{ROLLING}\n{inside}"),
            &[
                r#"{"at":0,"service":[{"latency":100}]}"#,
                r#"{"at":0,"cancel":1,"tokens":{"estimate":100}}"#,
                r#"{"at":1,"cancel":1,"tokens":{"estimate":100}}"#,
            ],
            &[
                "{}",
                r#"{"reason":"cancelled","ended":1,"admitted":false}"#,
                r#"{"reason":"cancelled","ended":2}"#,
            ],
        );
    }
}

#[test]
fn a_caller_who_leaves_a_second_attempt_that_waits_was_with_the_upstream_before() {
    check(
        "stack = [\"token_budget\", \"retry\", \"rate_limit\"]\n\
         [token_budget]\nlimits = [\"100/minute rolling\"]\n\
         [retry]\nbase = \"1s\"\njitter = \"none\"\n[rate_limit]\nquotas = [\"1/minute\"]\nwait = \"1h\"",
        &[
            r#"{"at":0,"cancel":5,"tokens":{"estimate":60},"service":[{"status":503}]}"#,
            r#"{"at":6,"tokens":{"estimate":41}}"#,
        ],
        &[
            r#"{"reason":"cancelled","attempts":[0]}"#,
            r#"{"reason":"token_budget","retry_after":54}"#,
        ],
    );
}

#[test]
fn an_attempt_timed_out_keeps_its_estimate_and_every_attempt_reserves_anew() {
    check(
        "[retry]\nattempts = 2\nbase = \"1s\"\njitter = \"none\"\nattempt_timeout = \"1s\"\n\
         [token_budget]\nlimits = [\"100/minute rolling\"]",
        &[
            r#"{"at":0,"tokens":{"estimate":40,"used":50},"service":[{"latency":9},{}]}"#,
            r#"{"at":3,"tokens":{"estimate":11}}"#,
            r#"{"at":3,"tokens":{"estimate":10}}"#,
        ],
        &[
            r#"{"attempts":[0,2],"status":200}"#,
            r#"{"reason":"token_budget","retry_after":57}"#,
            r#"{"status":200}"#,
        ],
    );
}

#[test]
fn an_attempt_timed_out_while_it_waits_further_in_gets_all_back() {
    let inside = [
        "[rate_limit]\nquotas = [\"1/minute\"]\nwait = \"1h\"",
        "[priority_queue]\nconcurrency = 1",
    ];
    for (inside, layer) in inside.into_iter().zip(["rate_limit", "priority_queue"]) {
        let ends = ["attempt_timeout = \"1s\"", "deadline = \"1s\""];
        for (end, reason) in ends.into_iter().zip(["attempt_timeout", "deadline"]) {
            // A limit foresees that the wait is longer than the deadline, and refuses at once.
            let ended = u8::from((layer, reason) != ("rate_limit", "deadline"));
            check(
                &format!(
                    "stack = [\"retry\", \"token_budget\", \"{layer}\"]\n[retry]\nattempts = 1\n{end}\n{ROLLING}\n{inside}"
                ),
                &[
                    r#"{"at":0,"service":[{"body":3}]}"#,
                    r#"{"at":0,"tokens":{"estimate":100}}"#,
                    r#"{"at":1,"tokens":{"estimate":100}}"#,
                    r#"{"at":3,"cost":0,"tokens":{"estimate":100}}"#,
                ],
                &[
                    r#"{"attempts":[0],"status":200}"#,
                    &format!(r#"{{"reason":"{reason}","ended":{ended},"admitted":false}}"#),
                    &format!(r#"{{"reason":"{reason}","admitted":false}}"#),
                    r#"{"attempts":[3],"status":200}"#,
                ],
            );
        }
    }
}

#[test]
fn a_response_that_is_dropped_at_its_head_is_settled_by_it() {
    check(
        "[retry]\nattempts = 2\nbase = \"1s\"\njitter = \"none\"\n\
         [token_budget]\nlimits = [\"100/minute rolling\"]",
        &[
            r#"{"at":0,"tokens":{"estimate":100,"used":30},"service":[{"status":503,"body":60},{}]}"#,
            r#"{"at":2,"tokens":{"estimate":70}}"#,
        ],
        &[r#"{"attempts":[0,1],"status":200}"#, r#"{"status":200}"#],
    );
}

#[test]
fn a_refund_goes_to_the_moment_of_its_reservation() {
    check(
        ROLLING,
        &[
            r#"{"at":0,"tokens":{"estimate":100,"used":10},"service":[{"latency":59.999}]}"#,
            r#"{"at":59.999,"tokens":{"estimate":90,"used":90}}"#,
            r#"{"at":60,"tokens":{"estimate":11}}"#,
        ],
        &["{}", r#"{"status":200}"#, r#"{"retry_after":59.999}"#],
    );
}

#[test]
fn a_paced_limit_adds_a_refund_when_it_is_known_and_never_above_its_capacity() {
    check(
        "[token_budget]\nlimits = [\"60/minute\"]",
        &[
            r#"{"at":0,"tokens":{"estimate":60,"used":0},"service":[{"latency":30}]}"#,
            r#"{"at":30,"tokens":{"estimate":60,"used":60}}"#,
            r#"{"at":30,"tokens":{"estimate":1}}"#,
        ],
        &["{}", r#"{"status":200}"#, r#"{"retry_after":1}"#],
    );
}

#[test]
fn below_zero_nothing_is_admitted_until_it_is_repaid() {
    check(
        "[token_budget]\nlimits = [\"60/minute\"]",
        &[
            r#"{"at":0,"tokens":{"estimate":60,"used":70}}"#,
            r#"{"at":0,"tokens":{"estimate":0}}"#,
            r#"{"at":10,"tokens":{"estimate":0}}"#,
            r#"{"at":10,"tokens":{"estimate":61}}"#,
        ],
        &[
            r#"{"status":200}"#,
            r#"{"reason":"token_budget","retry_after":10}"#,
            r#"{"status":200}"#,
            r#"{"reason":"token_budget","retry_after":null,"ended":10}"#,
        ],
    );
}

#[test]
fn waiting_is_in_order_of_arrival_and_ends_with_what_comes_back() {
    let policy = format!("{ROLLING}\nwait = \"60s\"");
    check(
        &policy,
        &[
            r#"{"at":0,"tokens":{"estimate":100,"used":20},"service":[{"latency":5}]}"#,
            r#"{"at":1,"tokens":{"estimate":80,"used":80}}"#,
            r#"{"at":2,"tokens":{"estimate":10}}"#,
            r#"{"at":3,"deadline":1,"tokens":{"estimate":10}}"#,
        ],
        &[
            "{}",
            r#"{"attempts":[5]}"#,
            r#"{"attempts":[60]}"#,
            r#"{"reason":"deadline","ended":3,"retry_after":null}"#,
        ],
    );
}

#[test]
fn the_summary_counts_tokens() {
    let (_, summary) = decide(
        ROLLING,
        &[
            r#"{"at":0,"tokens":{"estimate":60,"used":20}}"#,
            r#"{"at":0,"tokens":{"estimate":10,"used":15}}"#,
            r#"{"at":0,"tokens":{"estimate":5},"service":[{"status":500}]}"#,
        ],
    );
    assert_eq!((summary.tokens_used, summary.tokens_refunded), (35, 45));
}
