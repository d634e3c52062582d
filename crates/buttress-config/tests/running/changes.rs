//! What is changed is in force at once; what cannot be is told.

use std::time::Duration;

use buttress_config::{Changes, Stack, StackConfig, StackRequest};
use buttress_core::time::now;
use buttress_token_budget::Amounts;
use futures_util::FutureExt as _;
use tower::ServiceExt as _;

use crate::support::{Upstream, asking, request, stack, status};

fn apply(stack: &Stack, text: &str) -> Changes {
    let config = StackConfig::from_toml(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    stack.apply(&config).unwrap()
}

fn restarts(changes: &Changes) -> Vec<&'static str> {
    changes
        .needs_restart
        .iter()
        .map(|waits| waits.field)
        .collect()
}

const BEFORE: &str = "[retry]\n[priority_queue]\nconcurrency = 1\n[circuit_breaker]\nconsecutive_failures = 5\n[token_budget]\nlimits = ['100/hour']\n[rate_limit]\nquotas = ['9/hour']\n";

#[test]
fn every_field_is_told_as_applied_or_as_waiting_for_a_restart() {
    use buttress_config::fields::TABLES;
    for table in TABLES.iter().filter(|table| !table.name.is_empty()) {
        for field in table.fields {
            let stack = stack(BEFORE);
            let head = format!("[{}]\n", table.name);
            let mut text = String::new();
            for line in BEFORE.lines() {
                if !line.starts_with(&format!("{} = ", field.name)) {
                    text.push_str(line);
                    text.push('\n');
                }
            }
            let mut said = format!("{head}{} = {}\n", field.name, field.example);
            if field.name == "slow_call_rate" {
                said.push_str("slow_call = '1s'\n");
            }
            let changes = apply(&stack, &text.replace(&head, &said));
            let path = format!("{}.{}", table.name, field.name);
            // A breaker's settings are one, and a preset is what it sets.
            let covers = |told: &&'static str| {
                *told == path.as_str()
                    || *told == table.name
                    || field.name == "preset" && told.starts_with(table.name)
            };
            match field.live {
                true => {
                    assert!(
                        changes.applied.iter().any(covers)
                            || field.example == "5" && table.name == "circuit_breaker",
                        "{path}: {changes}"
                    );
                    assert!(changes.needs_restart.is_empty(), "{path}: {changes}");
                }
                false => {
                    assert_eq!(restarts(&changes), [path.as_str()], "{changes}");
                    assert!(changes.applied.is_empty(), "{path}: {changes}");
                }
            }
        }
    }
}

#[test]
fn what_needs_a_restart_is_said_at_every_load_until_then() {
    let stack = stack("[rate_limit]\nquotas = ['9/hour']");
    let text = "stack = ['rate_limit', 'retry']\nseed = 5\n[retry]\n[rate_limit]\nquotas = ['9/hour']\nkeys = 10";
    let changes = apply(&stack, text);
    assert_eq!(restarts(&changes), ["seed", "retry", "rate_limit.keys"]);
    assert_eq!(apply(&stack, text), changes);
    let said = changes.to_string();
    assert!(
        said.contains("needs a restart: seed: keys are hashed with it"),
        "{said}"
    );
    assert!(apply(&stack, "[rate_limit]\nquotas = ['9/hour']").is_empty());
}

#[test]
fn another_order_needs_a_restart_and_nothing_else_of_the_file_does() {
    let stack = stack(BEFORE);
    let changes = apply(
        &stack,
        &format!(
            "stack = ['rate_limit', 'retry', 'priority_queue', 'circuit_breaker', 'token_budget']\n{}",
            BEFORE.replace("9/hour", "8/hour")
        ),
    );
    assert_eq!(
        (restarts(&changes), changes.applied),
        (vec!["stack"], vec!["rate_limit.quotas"])
    );
}

#[tokio::test(start_paused = true)]
async fn quotas_keep_what_was_spent_and_a_wait_comes_and_goes() {
    let stack = stack("[rate_limit]\nquotas = ['3/minute']");
    let service = Upstream::default().behind(&stack);
    for _ in 0..3 {
        assert_eq!(status(&service, request("a")).await, 200);
    }
    assert_eq!(
        apply(&stack, "[rate_limit]\nquotas = ['5/minute']").applied,
        ["rate_limit.quotas"]
    );
    assert_eq!(
        [
            status(&service, request("a")).await,
            status(&service, request("a")).await,
            status(&service, request("a")).await
        ],
        [200, 200, 429]
    );
    assert_eq!(
        apply(&stack, "[rate_limit]\nquotas = ['5/minute']\nwait = '1m'").applied,
        ["rate_limit.wait"]
    );
    let start = now();
    assert_eq!(status(&service, request("a")).await, 200);
    assert_eq!(start.elapsed(), Duration::from_secs(12));
    let mut waits = Box::pin(service.clone().oneshot(request("a")));
    assert!((&mut waits).now_or_never().is_none());
    apply(&stack, "[rate_limit]\nquotas = ['5/minute']");
    assert_eq!(status(&service, request("a")).await, 429);
    // Who waits already goes on waiting.
    assert_eq!(waits.await.unwrap().status(), 200);
    let global = "[rate_limit]\nquotas = ['5/minute']\nglobal = ['1/hour']\nshadow = true\n[rate_limit.overrides]\nvip = ['9/s']";
    assert_eq!(
        apply(&stack, global).applied,
        [
            "rate_limit.global",
            "rate_limit.overrides",
            "rate_limit.shadow"
        ]
    );
    assert_eq!(status(&service, request("a")).await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_queue_gets_more_places_and_less_patience() {
    let stack = stack("[priority_queue]\nconcurrency = 1");
    let service = Upstream::default().behind(&stack);
    let slow = || {
        let service = service.clone();
        tokio::spawn(async move { status(&service, asking("a", 1000, 200)).await })
    };
    let running: Vec<_> = (0..3).map(|_| slow()).collect();
    tokio::task::yield_now().await;
    assert_eq!(stack.queue().unwrap().status().waiting(), 2);
    let changes = apply(
        &stack,
        "[priority_queue]\nconcurrency = 3\ncapacity = 1\nmax_wait = '100ms'",
    );
    assert_eq!(
        changes.applied,
        [
            "priority_queue.concurrency",
            "priority_queue.capacity",
            "priority_queue.max_wait"
        ]
    );
    assert_eq!(stack.queue().unwrap().status().in_flight, 3);
    let late = slow();
    tokio::task::yield_now().await;
    assert_eq!(late.await.unwrap(), 503);
    for answer in running {
        assert_eq!(answer.await.unwrap(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn retries_and_their_budget_change_without_losing_what_is_held() {
    let budget = "{ ratio = 0.0, per_second = 0, reserve = 5 }";
    let text = format!("[retry]\nattempts = 3\nbase = '1s'\njitter = 'none'\nbudget = {budget}");
    let stack = stack(&text);
    let upstream = Upstream::default();
    let service = upstream.behind(&stack);
    status(&service, asking("a", 0, 503)).await;
    let changes = apply(
        &stack,
        &text
            .replace("attempts = 3", "attempts = 2")
            .replace("ratio = 0.0", "ratio = 1.0"),
    );
    assert_eq!(changes.applied, ["retry.attempts", "retry.budget"]);
    let held = || {
        stack
            .retry_budget()
            .unwrap()
            .snapshot(&buttress_core::Now::new())
    };
    assert_eq!((held().balance, held().allowed), (Some(3.0), 2));
    status(&service, asking("a", 0, 503)).await;
    assert_eq!(upstream.calls(), 5);
    assert_eq!((held().balance, held().allowed), (Some(3.0), 3));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_stays_open_under_new_settings_and_a_budget_gets_a_limit_for_all() {
    let text = "[circuit_breaker]\nconsecutive_failures = 1\nopen_for = '10s'\n[token_budget]\nlimits = ['100/hour']";
    let stack = stack(text).tokens(|_: &StackRequest| Amounts::total(10), ());
    let service = Upstream::default().behind(&stack);
    assert_eq!(status(&service, asking("a", 0, 500)).await, 500);
    let changed = text
        .replace("= 1", "= 9")
        .replace("limits", "global = ['15/hour']\nlimits");
    assert_eq!(
        apply(&stack, &changed).applied,
        ["token_budget.global", "circuit_breaker"]
    );
    assert_eq!(status(&service, request("a")).await, 503);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(status(&service, request("a")).await, 200);
    assert_eq!(status(&service, request("b")).await, 429);
}

#[test]
fn what_was_changed_by_hand_stays_until_the_file_changes_the_same() {
    let stack = stack("[rate_limit]\nquotas = ['5/minute']\nshadow = false");
    let limiter = stack.limiter().unwrap();
    limiter.set_quota("7/minute".parse().unwrap());
    apply(&stack, "[rate_limit]\nquotas = ['5/minute']\nshadow = true");
    assert_eq!(limiter.limits().quotas[0].to_string(), "7/minute");
    apply(&stack, "[rate_limit]\nquotas = ['6/minute']\nshadow = true");
    assert_eq!(limiter.limits().quotas[0].to_string(), "6/minute");
}

#[test]
fn what_cannot_be_in_force_changes_nothing_at_all() {
    let stack = stack(BEFORE);
    let mut config = StackConfig::from_toml(BEFORE.replace("9/hour", "8/hour")).unwrap();
    if let Some(queue) = &mut config.priority_queue {
        queue.max_wait = Some(Duration::ZERO);
    }
    let error = stack.apply(&config).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("[priority_queue]: `max_wait` is 0ns"),
        "{error}"
    );
    assert_eq!(
        stack.limiter().unwrap().limits().quotas[0].to_string(),
        "9/hour"
    );
    assert_eq!(stack.config(), StackConfig::from_toml(BEFORE).unwrap());
}
