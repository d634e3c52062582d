//! `enabled` is live in every table.

use std::sync::atomic::Ordering;
use std::time::Duration;

use buttress_config::{Stack, StackConfig, StackRequest};
use buttress_token_budget::Amounts;
use futures_util::FutureExt as _;
use tower::{Service, ServiceExt};

use crate::support::{Upstream, asking, request, stack, status};

fn apply(stack: &Stack, text: &str) -> Vec<&'static str> {
    let changes = stack.apply(&StackConfig::from_toml(text).unwrap()).unwrap();
    assert!(changes.needs_restart.is_empty(), "{changes}");
    changes.applied
}

/// Per table: what it says, and which status it answers the third request with.
const REFUSING: [(&str, &str, u16); 4] = [
    ("rate_limit", "quotas = ['2/hour']", 429),
    ("token_budget", "limits = ['2/hour']", 429),
    ("circuit_breaker", "consecutive_failures = 2", 503),
    ("priority_queue", "concurrency = 1\ncapacity = 0", 503),
];

#[tokio::test(start_paused = true)]
async fn each_layer_that_refuses_is_passed_by_while_it_is_off() {
    for (table, says, refusal) in REFUSING {
        let on = format!("[{table}]\n{says}");
        let off = format!("{on}\nenabled = false");
        let stack = stack(&on).tokens(|_: &StackRequest| Amounts::total(1), ());
        let upstream = Upstream::default();
        let service = upstream.behind(&stack);
        // Two that fail, and one more that holds a place meanwhile.
        assert_eq!(status(&service, asking("a", 0, 500)).await, 500, "{table}");
        assert_eq!(status(&service, asking("a", 0, 500)).await, 500);
        if table == "token_budget" {
            // What failed was given back.
            assert_eq!(status(&service, request("a")).await, 200);
            assert_eq!(status(&service, request("a")).await, 200);
        }
        let held =
            (table == "priority_queue").then(|| service.clone().oneshot(asking("a", 999, 200)));
        let mut held = held.map(Box::pin);
        if let Some(held) = &mut held {
            assert!(held.now_or_never().is_none());
        }
        assert_eq!(status(&service, request("a")).await, refusal, "{table}");
        assert_eq!(apply(&stack, &off), [format!("{table}.enabled")]);
        for _ in 0..5 {
            assert_eq!(status(&service, request("a")).await, 200, "{table}");
        }
        assert_eq!(apply(&stack, &on), [format!("{table}.enabled")]);
        assert_eq!(
            status(&service, request("a")).await,
            refusal,
            "{table}: nothing was forgotten"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn retries_are_off_from_the_next_call_on() {
    let on = "[retry]\nattempts = 3\nbase = '1s'\njitter = 'none'\ndeadline = '1m'";
    let off = format!("{on}\nenabled = false");
    let stack = stack(on);
    let upstream = Upstream::default();
    let service = upstream.behind(&stack);
    let mut running = Box::pin(service.clone().oneshot(asking("a", 0, 503)));
    assert!((&mut running).now_or_never().is_none());
    assert_eq!(apply(&stack, &off), ["retry.enabled"]);
    assert_eq!(status(&service, asking("a", 0, 503)).await, 503);
    assert_eq!(upstream.calls(), 2);
    // The one that ran goes on as it began.
    running.await.unwrap();
    assert_eq!(upstream.calls(), 4);
    assert_eq!(apply(&stack, on), ["retry.enabled"]);
    status(&service, asking("a", 0, 503)).await;
    assert_eq!(upstream.calls(), 7);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_settles_as_it_was_admitted() {
    let on = "[priority_queue]\nconcurrency = 1\n[token_budget]\nlimits = ['100/hour']";
    let off = "[priority_queue]\nconcurrency = 1\nenabled = false\n[token_budget]\nlimits = ['100/hour']\nenabled = false";
    let stack = stack(on).tokens(|_: &StackRequest| Amounts::total(10), ());
    let upstream = Upstream::default();
    let service = upstream.behind(&stack);
    let answer = service.clone().oneshot(request("a")).await.unwrap();
    let failing = service.clone().oneshot(asking("a", 500, 500));
    let mut failing = Box::pin(failing);
    assert!((&mut failing).now_or_never().is_none());
    drop(answer);
    assert!((&mut failing).now_or_never().is_none());
    let (queue, budget) = (stack.queue().unwrap(), stack.budget().unwrap());
    assert_eq!(
        (queue.status().in_flight, budget.status().outstanding),
        (1, 1)
    );
    apply(&stack, off);
    assert_eq!(status(&service, request("a")).await, 200);
    assert_eq!(
        (queue.status().in_flight, budget.status().outstanding),
        (1, 1)
    );
    let left = budget.balances("a")[0].remaining;
    failing.await.unwrap();
    assert_eq!(
        (queue.status().in_flight, budget.status().outstanding),
        (0, 0)
    );
    assert_eq!(budget.balances("a")[0].remaining, left + 10);
    assert_eq!(upstream.running.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_taken_away_is_off_and_comes_back() {
    let text = "[rate_limit]\nquotas = ['1/hour']";
    let stack = stack(text);
    let service = Upstream::default().behind(&stack);
    assert_eq!(status(&service, request("a")).await, 200);
    assert_eq!(apply(&stack, ""), ["rate_limit"]);
    assert_eq!(status(&service, request("a")).await, 200);
    assert_eq!(apply(&stack, ""), [] as [&str; 0]);
    assert_eq!(apply(&stack, text), ["rate_limit.enabled"]);
    assert_eq!(status(&service, request("a")).await, 429);
}

/// The trap: a service that is passed by must not hold the inner service's readiness twice, nor wait for it
/// with somebody else's.
#[tokio::test(start_paused = true)]
async fn a_bypass_uses_the_readiness_that_was_given_and_no_other() {
    let text = "[retry]\nenabled = false\n[priority_queue]\nconcurrency = 5\nenabled = false\n[circuit_breaker]\nconsecutive_failures = 1\nenabled = false\n[token_budget]\nlimits = ['1/s']\nenabled = false\n[rate_limit]\nquotas = ['1/s']\nenabled = false";
    let stack = stack(text);
    let limited = tower::limit::ConcurrencyLimit::new(Upstream::default(), 1);
    let mut service = tower::Layer::layer(&stack.layer(), limited);
    ServiceExt::<StackRequest>::ready(&mut service)
        .await
        .unwrap();
    let first = service.call(asking("a", 1000, 200));
    // The only place is taken by the call, and by nothing else.
    assert!(
        ServiceExt::<StackRequest>::ready(&mut service)
            .now_or_never()
            .is_none()
    );
    first.await.unwrap();
    tokio::time::timeout(
        Duration::from_secs(1),
        ServiceExt::<StackRequest>::ready(&mut service),
    )
    .await
    .unwrap()
    .unwrap();
    service.call(request("a")).await.unwrap();
}
