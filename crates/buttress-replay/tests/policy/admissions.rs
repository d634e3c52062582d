//! The policy's `[token_budget]` and `[priority_queue]`: every rule of the format, once kept and once broken.

use std::time::Duration;

use buttress_replay::policy::{Layer, Policy};

use super::{good, refused};

#[test]
fn what_is_left_out_has_its_default_and_every_key_is_read() {
    let queue = good("[priority_queue]\nconcurrency = 12")
        .tables
        .priority_queue;
    let queue = queue.expect("it is enabled");
    assert_eq!((queue.concurrency, queue.capacity), (12, 100));
    assert!(!queue.fair && !queue.rate_aware && queue.max_wait.is_none() && queue.ageing.is_none());
    let queue = good(
        "[priority_queue]\nconcurrency = 1\ncapacity = 7\nmax_wait = \"60s\"\nfair = true\nageing = \"30s\"\nrate_aware = true",
    );
    let queue = queue.tables.priority_queue.expect("it is enabled");
    assert_eq!(queue.capacity, 7);
    assert_eq!(queue.max_wait, Some(Duration::from_secs(60)));
    assert_eq!(queue.ageing, Some(Duration::from_secs(30)));
    assert!(queue.fair && queue.rate_aware);
    let budget =
        good("[token_budget]\nlimits = [\"150k/minute\"]\nglobal = [\"2M/day\"]\nwait = \"1m\"");
    let budget = budget.tables.token_budget.expect("it is enabled");
    assert_eq!((budget.limits.len(), budget.global.len()), (1, 1));
    assert_eq!(budget.wait, Some(Duration::from_secs(60)));
}

#[test]
fn without_stack_the_order_is_that_of_the_format() {
    let all = good(
        "[rate_limit]\nquotas = [\"1/s\"]\n[token_budget]\nlimits = [\"1/s\"]\n[retry]\n\
         [priority_queue]\nconcurrency = 1\n[circuit_breaker]\nconsecutive_failures = 1",
    );
    assert_eq!(all.stack, Layer::ORDER);
}

#[test]
fn a_disabled_table_is_checked_and_passed_over() {
    for table in [
        "[priority_queue]\nenabled = false\nconcurrency = 1",
        "[token_budget]\nenabled = false\nlimits = [\"1/s\"]",
    ] {
        assert!(good(table).stack.is_empty());
    }
    let refused_at = |text, line, field| refused(text, line, field, &[]);
    refused_at(
        "[priority_queue]\nenabled = false",
        1,
        "priority_queue.concurrency",
    );
    refused_at("[token_budget]\nenabled = false", 1, "token_budget");
}

#[test]
fn values_are_checked() {
    for (line, field, words) in [
        ("concurrency = 0", "concurrency", "`0`"),
        ("concurrency = \"1\"", "concurrency", "`\"1\"`"),
        ("concurrency = 1\ncapacity = -1", "capacity", "`-1`"),
        ("concurrency = 1\nmax_wait = \"0s\"", "max_wait", "`\"0s\"`"),
        ("concurrency = 1\nageing = \"0s\"", "ageing", "`\"0s\"`"),
        ("concurrency = 1\nageing = \"1us\"", "ageing", "`\"1us\"`"),
        (
            "concurrency = 1\nfair = 1",
            "fair",
            "expected true or false",
        ),
        (
            "concurrency = 1\nrate_aware = 1",
            "rate_aware",
            "expected true or false",
        ),
        ("concurrency = 1\nwait = \"1s\"", "wait", "unknown"),
    ] {
        let place = line.matches('\n').count() + 2;
        refused(
            &format!("[priority_queue]\n{line}"),
            place,
            &format!("priority_queue.{field}"),
            &[words],
        );
    }
    for (line, field, words) in [
        ("limits = [\"5\"]", "limits[0]", "`\"5\"`"),
        ("limits = [\"1/s\"]\nwait = \"0s\"", "wait", "`\"0s\"`"),
        ("limits = [\"1/s\"]\nshadow = true", "shadow", "unknown"),
        ("limits = [\"1/s\"]\nkeys = 5", "keys", "unknown"),
    ] {
        let place = line.matches('\n').count() + 2;
        refused(
            &format!("[token_budget]\n{line}"),
            place,
            &format!("token_budget.{field}"),
            &[words],
        );
    }
    refused(
        "[token_budget]\nlimits = []",
        1,
        "token_budget",
        &["`limits`", "`global`"],
    );
}

#[test]
fn who_is_asked_by_a_queue_does_not_wait() {
    const TABLES: &str = "[priority_queue]\nconcurrency = 1\nrate_aware = true\n\
                          [rate_limit]\nquotas = [\"1/s\"]\nwait = \"30s\"";
    refused(TABLES, 6, "rate_limit.wait", &["`\"30s\"`", "rate_aware"]);
    good(&format!(
        "stack = [\"rate_limit\", \"priority_queue\"]\n{TABLES}"
    ));
    good(&TABLES.replace("rate_aware = true", "rate_aware = false"));
    good(&TABLES.replace("rate_aware = true", "rate_aware = true\nenabled = false"));
    let tokens = TABLES
        .replace("rate_limit", "token_budget")
        .replace("quotas", "limits");
    refused(&tokens, 6, "token_budget.wait", &["rate_aware"]);
}

#[test]
fn a_wait_longer_than_the_queues_is_a_contradiction() {
    let text = "[priority_queue]\nconcurrency = 1\nmax_wait = \"5s\"\n\
                [token_budget]\nlimits = [\"1/s\"]\nwait = \"6s\"\n[rate_limit]\nquotas = [\"1/s\"]\nwait = \"5001ms\"";
    let warnings = |text: &str| Policy::parse(text.as_bytes()).expect("it is good").warnings;
    let found: Vec<_> = warnings(text)
        .iter()
        .map(|warning| (warning.line, warning.fields))
        .collect();
    assert_eq!(
        found,
        [
            (6, ["token_budget.wait", "priority_queue.max_wait"]),
            (9, ["rate_limit.wait", "priority_queue.max_wait"]),
        ]
    );
    assert!(warnings(&text.replace("6s", "5s").replace("5001ms", "5s")).is_empty());
    assert!(
        warnings(
            &text
                .replace("[rate_limit]", "[rate_limit]\nenabled = false")
                .replace("6s", "5s")
        )
        .is_empty()
    );
}
