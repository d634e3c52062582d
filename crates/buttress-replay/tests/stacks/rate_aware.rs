//! `rate_aware` of the format, sentence by sentence; and all layers in any order.

use crate::support::{check, decide};

const AWARE: &str = "[priority_queue]\nconcurrency = 2\nrate_aware = true\n";

#[test]
fn a_place_is_handed_out_only_with_all_that_it_needs() {
    // Held back by its tokens, the second has spent no unit of the rate limit.
    check(
        &format!(
            "{AWARE}[token_budget]\nlimits = [\"100/10s rolling\"]\n[rate_limit]\nquotas = [\"2/minute rolling\"]"
        ),
        &[
            r#"{"at":0,"tokens":{"estimate":60,"used":60}}"#,
            r#"{"at":1,"tokens":{"estimate":60}}"#,
            r#"{"at":2,"key":"other","tokens":{"estimate":60}}"#,
        ],
        &[
            r#"{"attempts":[0],"remaining":1,"limit":2}"#,
            r#"{"attempts":[10],"remaining":0,"limit":2}"#,
            r#"{"attempts":[2],"remaining":1,"limit":2}"#,
        ],
    );
}

#[test]
fn who_is_held_back_holds_back_those_who_need_the_same_and_nobody_else() {
    let policy = format!("{AWARE}[token_budget]\nlimits = [\"100/10s rolling\"]");
    check(
        &policy,
        &[
            r#"{"at":0,"tokens":{"estimate":60,"used":60}}"#,
            r#"{"at":1,"priority":"high","tokens":{"estimate":60}}"#,
            r#"{"at":2,"tokens":{"estimate":10}}"#,
            r#"{"at":2}"#,
            r#"{"at":2,"key":"other","tokens":{"estimate":10}}"#,
        ],
        &[
            "{}",
            r#"{"attempts":[10]}"#,
            r#"{"attempts":[10]}"#,
            r#"{"attempts":[2]}"#,
            r#"{"attempts":[2]}"#,
        ],
    );
    check(
        &policy.replace("limits", "global"),
        &[
            r#"{"at":0,"tokens":{"estimate":60,"used":60}}"#,
            r#"{"at":1,"tokens":{"estimate":60}}"#,
            r#"{"at":2,"key":"other","tokens":{"estimate":10}}"#,
        ],
        &["{}", r#"{"attempts":[10]}"#, r#"{"attempts":[10]}"#],
    );
}

#[test]
fn what_costs_nothing_needs_no_quota() {
    check(
        &format!("{AWARE}[rate_limit]\nquotas = [\"1/minute\"]"),
        &[
            r#"{"at":0}"#,
            r#"{"at":1}"#,
            r#"{"at":2,"cost":0}"#,
            r#"{"at":3,"cost":2}"#,
        ],
        &[
            "{}",
            r#"{"attempts":[60],"remaining":0}"#,
            r#"{"attempts":[2],"remaining":0}"#,
            r#"{"reason":"rate_limit","retry_after":null}"#,
        ],
    );
}

#[test]
fn never_and_breaker_refusals_are_given_at_once_if_no_one_is_ahead() {
    check(
        &format!(
            "{AWARE}[circuit_breaker]\nconsecutive_failures = 1\n[rate_limit]\nquotas = [\"5/minute\"]"
        ),
        &[
            r#"{"at":0,"cost":6}"#,
            r#"{"at":0,"service":[{"status":500}]}"#,
            r#"{"at":1}"#,
            r#"{"at":60}"#,
        ],
        &[
            r#"{"reason":"rate_limit","ended":0,"retry_after":null,"remaining":5}"#,
            r#"{"status":500,"remaining":4}"#,
            r#"{"reason":"circuit_open","ended":1,"retry_after":59,"remaining":4}"#,
            r#"{"status":200}"#,
        ],
    );
}

#[test]
fn each_sees_what_is_left_just_after_its_own_admission() {
    check(
        &format!("{AWARE}[rate_limit]\nquotas = [\"2/s rolling\"]"),
        &[r#"{"at":0}"#, r#"{"at":0}"#, r#"{"at":0}"#, r#"{"at":0}"#],
        &[
            r#"{"attempts":[0],"remaining":1}"#,
            r#"{"attempts":[0],"remaining":0}"#,
            r#"{"attempts":[1],"remaining":1}"#,
            r#"{"attempts":[1],"remaining":0}"#,
        ],
    );
}

#[test]
fn tokens_given_back_at_a_head_let_the_next_go_though_the_body_goes_on() {
    check(
        &format!("{AWARE}[token_budget]\nlimits = [\"100/minute\"]"),
        &[
            r#"{"at":0,"tokens":{"estimate":100},"service":[{"latency":1,"status":404,"body":9}]}"#,
            r#"{"at":0,"tokens":{"estimate":100},"service":[{"latency":1,"status":500,"body":9}]}"#,
            r#"{"at":0,"tokens":{"estimate":100}}"#,
        ],
        &[
            r#"{"attempts":[0]}"#,
            r#"{"attempts":[1]}"#,
            r#"{"attempts":[10]}"#,
        ],
    );
}

#[test]
fn every_attempt_asks_the_layers_inside_of_retry_and_the_queue_pays_for_the_first() {
    let stack = "stack = [\"priority_queue\", \"retry\", \"rate_limit\"]\n";
    check(
        &format!("{stack}{AWARE}[retry]\njitter = \"none\"\n[rate_limit]\nquotas = [\"2/minute\"]"),
        &[r#"{"at":0,"service":[{"status":503}]}"#],
        &[
            r#"{"reason":"rate_limit","attempts":[0,0.5],"ended":1.5,"status":429,"retry_after":28.5,"remaining":0}"#,
        ],
    );
    // Between the two stands what is asked once a request: one unit for both attempts.
    check(
        &format!(
            "stack = [\"priority_queue\", \"rate_limit\", \"retry\"]\n{AWARE}[retry]\njitter = \"none\"\n[rate_limit]\nquotas = [\"1/minute\"]"
        ),
        &[r#"{"at":0,"service":[{"status":503},{}]}"#],
        &[r#"{"reason":null,"attempts":[0,0.5],"status":200,"remaining":0}"#],
    );
}

#[test]
fn each_attempt_below_a_rate_aware_queue_settles_its_own() {
    let retry = "[retry]\nattempts = 4\nbase = \"1s\"\nmultiplier = 1.0\njitter = \"none\"\n";
    // The first attempt's tokens are free between the two, the second's until the end of its body.
    check(
        &format!(
            "stack = [\"priority_queue\", \"retry\", \"token_budget\"]\n{AWARE}{retry}[token_budget]\nlimits = [\"100/minute rolling\"]"
        ),
        &[
            r#"{"at":0,"tokens":{"estimate":60,"used":20},"service":[{"status":503},{"body":4}]}"#,
            r#"{"at":0.5,"tokens":{"estimate":60,"used":10}}"#,
            r#"{"at":2,"tokens":{"estimate":31}}"#,
            r#"{"at":6,"tokens":{"estimate":39}}"#,
        ],
        &[
            r#"{"attempts":[0,1],"status":200}"#,
            r#"{"attempts":[0.5]}"#,
            r#"{"attempts":[5]}"#,
            r#"{"attempts":[6]}"#,
        ],
    );
    // A failure is recorded when it is known, and the next attempt hears of it.
    check(
        &format!(
            "stack = [\"priority_queue\", \"retry\", \"circuit_breaker\"]\n{AWARE}{retry}[circuit_breaker]\nconsecutive_failures = 2"
        ),
        &[
            r#"{"at":0,"service":[{"status":500}]}"#,
            r#"{"at":1.5}"#,
            r#"{"at":61}"#,
        ],
        &[
            r#"{"attempts":[0,1],"reason":"circuit_open","ended":2,"retry_after":59}"#,
            r#"{"reason":"circuit_open","retry_after":59.5}"#,
            r#"{"attempts":[61]}"#,
        ],
    );
}

#[test]
fn what_the_queue_paid_for_an_attempt_that_never_comes_ends_with_the_place() {
    // The queue knows the trace's deadline only; `[retry]`, whose own is over, refuses.
    check(
        &format!(
            "stack = [\"priority_queue\", \"retry\", \"token_budget\"]\n{AWARE}[retry]\ndeadline = \"1s\"\n[token_budget]\nlimits = [\"100/minute rolling\"]"
        ),
        &[
            r#"{"at":0,"service":[{"body":5}]}"#,
            r#"{"at":0,"service":[{"body":5}]}"#,
            r#"{"at":0,"tokens":{"estimate":100}}"#,
            r#"{"at":5,"tokens":{"estimate":100}}"#,
        ],
        &[
            "{}",
            "{}",
            r#"{"reason":"deadline","ended":5,"admitted":false}"#,
            r#"{"attempts":[5]}"#,
        ],
    );
}

/// Every order of `rest` behind `done`.
fn orders<'a>(done: &mut Vec<&'a str>, rest: &[&'a str], each: &mut impl FnMut(&[&str])) {
    if rest.is_empty() {
        each(done);
    }
    for (index, layer) in rest.iter().enumerate() {
        let others = [&rest[..index], &rest[index + 1..]].concat();
        done.push(layer);
        orders(done, &others, each);
        done.pop();
    }
}

#[test]
fn the_layers_run_in_any_order() {
    let layers = [
        "retry",
        "priority_queue",
        "circuit_breaker",
        "token_budget",
        "rate_limit",
    ];
    let mut count = 0;
    orders(&mut Vec::new(), &layers, &mut |stack| {
        for rate_aware in [false, true] {
            let policy = format!(
                "stack = {stack:?}\n[retry]\njitter = \"none\"\n[circuit_breaker]\nconsecutive_failures = 9\n\
                 [priority_queue]\nconcurrency = 1\nrate_aware = {rate_aware}\n\
                 [token_budget]\nlimits = [\"1000/minute\"]\n[rate_limit]\nquotas = [\"100/minute\"]"
            );
            let (decisions, _) = decide(
                &policy,
                &[
                    r#"{"at":0,"tokens":{"estimate":5},"service":[{"status":503},{"latency":1}]}"#,
                    r#"{"at":0,"tokens":{"estimate":5},"service":[{"latency":1}]}"#,
                ],
            );
            assert!(
                decisions.iter().all(|line| line["status"] == 200),
                "{policy}"
            );
            assert_eq!(decisions[0]["attempts"].as_array().map(Vec::len), Some(2));
            count += 1;
        }
    });
    assert_eq!(count, 240);
}
