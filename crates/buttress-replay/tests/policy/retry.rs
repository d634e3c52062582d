//! The policy's `[retry]`: every rule of the format, once kept and once broken.

use std::time::Duration;

use buttress_replay::policy::Layer;
use buttress_retry::{BudgetRule, Jitter, Methods};

use super::{good, refused};

#[test]
fn what_is_left_out_has_its_default() {
    let policy = good("[retry]");
    assert_eq!(policy.stack, [Layer::Retry]);
    let config = policy.tables.retry.expect("it is enabled");
    let (policy, backoff) = (config.policy, config.policy.backoff());
    assert_eq!(policy.attempts(), 3);
    assert_eq!(backoff.base(), Duration::from_millis(500));
    assert_eq!(backoff.max(), Duration::from_secs(8));
    assert_eq!(
        (backoff.multiplier(), backoff.jitter()),
        (2.0, Jitter::Full)
    );
    assert_eq!((policy.attempt_timeout(), policy.deadline()), (None, None));
    assert_eq!(policy.max_retry_after(), Duration::from_secs(60));
    assert_eq!(config.methods, Methods::default());
    assert_eq!(config.budget, BudgetRule::default());
}

#[test]
fn every_key_is_read() {
    let policy = good(
        "[retry]\nenabled = true\nattempts = 4\nbase = \"1s\"\nmax = \"1m30s\"\nmultiplier = 3\n\
         jitter = \"decorrelated\"\nmethods = [\"*\"]\nattempt_timeout = \"30s\"\ndeadline = \"60s\"\n\
         max_retry_after = \"2m\"\nbudget = { ratio = 0.5, per_second = 1, reserve = 7 }\n",
    );
    assert_eq!(policy.warnings, []);
    let config = policy.tables.retry.expect("it is enabled");
    let (policy, backoff) = (config.policy, config.policy.backoff());
    assert_eq!(policy.attempts(), 4);
    assert_eq!(backoff.max(), Duration::from_secs(90));
    assert_eq!(
        (backoff.multiplier(), backoff.jitter()),
        (3.0, Jitter::Decorrelated)
    );
    assert_eq!(policy.attempt_timeout(), Some(Duration::from_secs(30)));
    assert_eq!(policy.deadline(), Some(Duration::from_secs(60)));
    assert_eq!(policy.max_retry_after(), Duration::from_secs(120));
    assert_eq!(config.methods, Methods::any());
    assert_eq!(
        config.budget,
        BudgetRule::ratio(0.5).per_second(1.0).reserve(7.0)
    );
    for (name, jitter) in [
        ("none", Jitter::None),
        ("full", Jitter::Full),
        ("equal", Jitter::Equal),
    ] {
        let policy = good(&format!("[retry]\njitter = \"{name}\""));
        assert_eq!(
            policy
                .tables
                .retry
                .map(|config| config.policy.backoff().jitter()),
            Some(jitter)
        );
    }
    let endless = good("[retry]\nbudget = \"none\"").tables.retry;
    assert_eq!(
        endless.map(|config| config.budget),
        Some(BudgetRule::unlimited())
    );
    let table = good("[retry.budget]\nratio = 0.1").tables.retry;
    assert_eq!(
        table.map(|config| config.budget),
        Some(BudgetRule::ratio(0.1))
    );
}

#[test]
fn a_disabled_table_is_checked_and_passed_over() {
    for stack in ["", "stack = []\n", "stack = [\"retry\"]\n"] {
        let policy = good(&format!("{stack}[retry]\nenabled = false"));
        assert!(policy.stack.is_empty() && policy.tables.retry.is_none());
    }
    refused(
        "[retry]\nenabled = false\nattempts = 0",
        3,
        "retry.attempts",
        &["`0`", "expected at least 1"],
    );
}

/// A wrong line, the key that it is about, and words of the error.
const WRONG: &[(&str, &str, [&str; 2])] = &[
    ("attempts = 0", "attempts", ["`0`", "expected at least 1"]),
    (
        "attempts = -1",
        "attempts",
        ["`-1`", "expected a whole number"],
    ),
    (
        "attempts = 1.5",
        "attempts",
        ["`1.5`", "expected a whole number"],
    ),
    (
        "attempts = \"3\"",
        "attempts",
        ["`\"3\"`", "expected a whole number"],
    ),
    (
        "base = \"0s\"",
        "base",
        ["`\"0s\"`", "expected a duration above zero"],
    ),
    (
        "base = 500",
        "base",
        ["`500`", "expected a duration in quotes"],
    ),
    (
        "max = \"1us\"",
        "max",
        ["`\"1us\"`", "expected a duration in ms"],
    ),
    ("max = \"0ms\"", "max", ["`\"0ms\"`", "above zero"]),
    (
        "multiplier = 0.5",
        "multiplier",
        ["`0.5`", "expected a number from 1 on"],
    ),
    (
        "multiplier = \"2\"",
        "multiplier",
        ["`\"2\"`", "expected a number"],
    ),
    (
        "multiplier = nan",
        "multiplier",
        ["`nan`", "expected a number"],
    ),
    (
        "jitter = \"some\"",
        "jitter",
        ["`\"some\"`", "`decorrelated`"],
    ),
    (
        "methods = \"GET\"",
        "methods",
        ["`\"GET\"`", "expected a list"],
    ),
    (
        "methods = [\"get it\"]",
        "methods",
        ["get it", "expected names of methods"],
    ),
    (
        "attempt_timeout = \"0s\"",
        "attempt_timeout",
        ["`\"0s\"`", "above zero"],
    ),
    ("deadline = \"0s\"", "deadline", ["`\"0s\"`", "above zero"]),
    (
        "max_retry_after = \"0s\"",
        "max_retry_after",
        ["`\"0s\"`", "above zero"],
    ),
    (
        "deadline = \"10000000001s\"",
        "deadline",
        ["`\"10000000001s\"`", "at most"],
    ),
    ("budget = 5", "budget", ["`5`", "expected a budget"]),
    (
        "budget = \"all\"",
        "budget",
        ["`\"all\"`", "expected a budget"],
    ),
    (
        "retries = 3",
        "retries",
        ["an unknown key", "expected one of"],
    ),
    (
        "attempt = 3",
        "attempt",
        ["an unknown key", "did you mean `attempts`?"],
    ),
];

#[test]
fn the_retries_are_checked() {
    for (line, field, words) in WRONG {
        let field = format!("retry.{field}");
        refused(&format!("[retry]\n{line}"), 2, &field, words);
    }
    refused(
        "[retry]\nbudget = { ratio = -1 }",
        2,
        "retry.budget",
        &["ratio", "expected"],
    );
    refused(
        "[retry]\nbudget = { ration = 1 }",
        2,
        "retry.budget.ration",
        &["did you mean `ratio`?"],
    );
}

#[test]
fn a_deadline_shorter_than_an_attempt_is_a_warning_that_names_both() {
    let policy = good("[retry]\nattempt_timeout = \"5s\"\ndeadline = \"4999ms\"");
    let [warning] = &policy.warnings[..] else {
        panic!("one warning: {:?}", policy.warnings);
    };
    assert_eq!(
        (warning.line, warning.fields),
        (3, ["retry.deadline", "retry.attempt_timeout"])
    );
    assert!(
        good("[retry]\nattempt_timeout = \"5s\"\ndeadline = \"5s\"")
            .warnings
            .is_empty()
    );
}

#[test]
fn the_order_of_the_stack_is_the_one_that_is_said() {
    const TABLES: &str =
        "[rate_limit]\nquotas = [\"1/s\"]\n[circuit_breaker]\nconsecutive_failures = 1\n[retry]\n";
    let default = [Layer::Retry, Layer::CircuitBreaker, Layer::RateLimit];
    assert_eq!(good(TABLES).stack, default);
    let said = "stack = [\"rate_limit\", \"retry\", \"circuit_breaker\"]\n";
    let order = [Layer::RateLimit, Layer::Retry, Layer::CircuitBreaker];
    assert_eq!(good(&format!("{said}{TABLES}")).stack, order);
    refused(
        &format!("stack = [\"rate_limit\", \"retry\"]\n{TABLES}"),
        1,
        "stack",
        &["`circuit_breaker` is missing"],
    );
}
