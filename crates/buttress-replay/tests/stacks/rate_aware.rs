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
