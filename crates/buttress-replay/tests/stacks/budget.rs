//! "Retry budget:" of the format.

use crate::support::{check, decide, repeated};

fn budget(ratio: &str, per_second: &str, reserve: &str) -> String {
    format!(
        "[retry]\nattempts = 2\nbase = \"100ms\"\njitter = \"none\"\n\
         budget = {{ ratio = {ratio}, per_second = {per_second}, reserve = {reserve} }}\n"
    )
}

fn down(at: &str) -> String {
    format!(r#"{{"at":{at},"service":[{{"status":503}}]}}"#)
}

fn up(at: &str) -> String {
    format!(r#"{{"at":{at}}}"#)
}

const ONCE: &str = r#"{"status":503,"reason":null}"#;

/// How many of so many requests at one instant are tried again.
fn tried_again(policy: &str, requests: usize) -> usize {
    let (_, summary) = decide(policy, &repeated(&down("10"), requests));
    summary.retries
}

#[test]
fn it_starts_at_its_reserve_and_a_retry_takes_one() {
    let policy = budget("0", "0", "1");
    check(
        &policy,
        &[down("0"), down("0"), down("50")],
        &[
            r#"{"attempts":[0,0.1],"status":503}"#,
            r#"{"attempts":[0],"status":503,"ended":0,"reason":null}"#,
            r#"{"attempts":[50]}"#,
        ],
    );
    assert_eq!(tried_again(&budget("0", "0", "7"), 20), 7);
    assert_eq!(tried_again(&budget("0", "0", "0"), 20), 0);
    assert_eq!(tried_again(&budget("0", "0", "0.9"), 20), 0);
    assert_eq!(tried_again(&budget("0", "0", "150"), 200), 150);
}

#[test]
fn first_attempts_that_ended_pay_in_whatever_their_end() {
    let policy = budget("0.5", "0", "0");
    check(
        &policy,
        &[down("0"), down("1"), down("2"), down("3")],
        &[
            r#"{"attempts":[0]}"#,
            r#"{"attempts":[1,1.1]}"#,
            r#"{"attempts":[2]}"#,
            r#"{"attempts":[3,3.1]}"#,
        ],
    );
    check(
        &policy,
        &[up("0"), down("1"), up("2")],
        &["{}", r#"{"attempts":[1,1.1]}"#, "{}"],
    );
    let broken = r#"{"at":1,"service":[{"error":"reset"},{}]}"#.to_owned();
    check(
        &policy,
        &[up("0"), broken],
        &["{}", r#"{"attempts":[1,1.1],"status":200}"#],
    );
    // Retries pay nothing in, though the last one ended in an answer.
    let line = |at: u32| format!(r#"{{"at":{at},"service":[{{"status":503}},{{}}]}}"#);
    check(
        &budget("0.6", "0", "0.4"),
        &[line(0), line(1)],
        &[
            r#"{"attempts":[0,0.1]}"#,
            r#"{"attempts":[1],"status":503}"#,
        ],
    );
}

#[test]
fn an_attempt_timed_out_a_refusal_and_a_caller_who_left_pay_nothing_in() {
    let timed = format!("{}attempt_timeout = \"1s\"", budget("0.4", "0", "0.2"));
    let hangs = r#"{"at":0,"service":[{"latency":5}]}"#.to_owned();
    check(
        &timed,
        &[hangs, down("2"), down("3")],
        &[
            r#"{"attempts":[0],"reason":"attempt_timeout"}"#,
            r#"{"attempts":[2]}"#,
            r#"{"attempts":[3,3.1]}"#,
        ],
    );
    let limited = format!(
        "{}[rate_limit]\nquotas = [\"1000/second\"]\n[rate_limit.overrides]\nx = [\"1/day\"]\n",
        budget("0.4", "0", "0")
    );
    let x = r#"{"at":0,"key":"x"}"#.to_owned();
    check(
        &limited,
        &[x.clone(), x, down("2"), down("3")],
        &[
            r#"{"status":200}"#,
            r#"{"reason":"rate_limit"}"#,
            r#"{"attempts":[2]}"#,
            r#"{"attempts":[3,3.1]}"#,
        ],
    );
    let left = r#"{"at":0,"cancel":1,"service":[{"latency":5}]}"#.to_owned();
    check(
        &budget("0.6", "0", "0"),
        &[left, down("2"), down("3")],
        &[
            r#"{"reason":"cancelled"}"#,
            r#"{"attempts":[2]}"#,
            r#"{"attempts":[3,3.1]}"#,
        ],
    );
}

#[test]
fn time_pays_in_continuously() {
    check(
        &budget("0", "1", "0"),
        &[
            down("0"),
            down("0.999"),
            down("1.5"),
            down("1.999"),
            down("2"),
        ],
        &[
            r#"{"attempts":[0]}"#,
            r#"{"attempts":[0.999]}"#,
            r#"{"attempts":[1.5,1.6]}"#,
            r#"{"attempts":[1.999]}"#,
            r#"{"attempts":[2,2.1]}"#,
        ],
    );
    // From the first line on, whenever that is.
    check(
        &budget("0", "1", "0"),
        &[down("100"), down("101")],
        &[r#"{"attempts":[100]}"#, r#"{"attempts":[101,101.1]}"#],
    );
}

#[test]
fn it_never_exceeds_a_hundred_or_its_reserve() {
    let mut trace = vec![up("0")];
    trace.extend(repeated(&down("10"), 120));
    for (reserve, expected) in [("0", 100), ("100", 100), ("110", 110)] {
        let (_, summary) = decide(&budget("0", "1000", reserve), &trace);
        assert_eq!(summary.retries, expected, "reserve {reserve}");
    }
}

#[test]
fn the_default_is_a_fifth_ten_a_second_and_a_reserve_of_a_hundred_and_none_is_no_end() {
    let policy =
        |budget: &str| format!("[retry]\nattempts = 2\nbase = \"1s\"\njitter = \"none\"\n{budget}");
    // 100 at first, full; every request pays 0.2 in: the 125th finds 0.8, the 126th 1, and four more 0.2 each.
    let default = policy("");
    assert_eq!(tried_again(&default, 130), 125);
    let said = policy("budget = { ratio = 0.2, per_second = 10, reserve = 100 }");
    assert_eq!(tried_again(&said, 130), 125);
    let partly = policy("budget = { ratio = 0 }");
    assert_eq!(
        tried_again(&partly, 130),
        100,
        "a key that is missing has its default"
    );
    assert_eq!(tried_again(&policy("budget = \"none\""), 130), 130);
}

#[test]
fn a_retry_is_paid_when_it_is_decided() {
    // Whoever leaves during the pause has paid all the same.
    let left = r#"{"at":0,"cancel":0.05,"service":[{"status":503}]}"#.to_owned();
    check(
        &budget("0", "0", "1"),
        &[left, down("1")],
        &[
            r#"{"reason":"cancelled","attempts":[0]}"#,
            r#"{"attempts":[1]}"#,
        ],
    );
    // Who cannot be tried again for another reason pays nothing.
    let post = r#"{"at":0,"method":"POST","service":[{"status":503}]}"#.to_owned();
    let late = r#"{"at":0,"deadline":0.1,"service":[{"status":503}]}"#.to_owned();
    let told = r#"{"at":0,"service":[{"status":503,"retry_after":61}]}"#.to_owned();
    check(
        &budget("0", "0", "1"),
        &[post, late, told, down("1")],
        &[ONCE, ONCE, ONCE, r#"{"attempts":[1,1.1]}"#],
    );
}
