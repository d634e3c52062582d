//! A queue that asks what stands below it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use buttress_config::{StackConfig, StackRequest};
use buttress_core::time::now;
use buttress_http::FromBody;
use buttress_token_budget::Amounts;
use bytes::Bytes;

use crate::support::{Upstream, asking, request, send, stack, status};

const ALL: &str = "[priority_queue]\nconcurrency = 2\nrate_aware = true\n[circuit_breaker]\nconsecutive_failures = 2\nopen_for = '10s'\n[token_budget]\nlimits = ['100/second']\n[rate_limit]\nquotas = ['2/second']\n";

#[tokio::test(start_paused = true)]
async fn who_is_held_back_by_a_quota_waits_in_the_queue_and_others_pass() {
    let stack = stack(ALL);
    let upstream = Upstream::default();
    let service = upstream.behind(&stack);
    let start = now();
    let of_a: Vec<_> = (0..4)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move { status(&service, request("a")).await })
        })
        .collect();
    tokio::task::yield_now().await;
    assert_eq!(stack.queue().unwrap().status().waiting(), 2);
    assert_eq!(status(&service, request("b")).await, 200);
    assert_eq!(start.elapsed(), Duration::ZERO);
    for answer in of_a {
        assert_eq!(answer.await.unwrap(), 200);
    }
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert_eq!(
        (upstream.calls(), stack.limiter().unwrap().status().admitted),
        (5, 5)
    );
}

#[tokio::test(start_paused = true)]
async fn the_queue_measures_for_the_budget_and_reports_to_the_breaker() {
    let used = FromBody::new(|body: &[u8]| {
        std::str::from_utf8(body)
            .ok()?
            .parse()
            .ok()
            .map(Amounts::total)
    });
    let stack = stack(&ALL.replace("100/second", "100/hour"))
        .tokens(|_: &StackRequest| Amounts::total(50), used);
    let upstream = Upstream::default();
    let service = upstream.behind(&stack);
    let mut sent = request("a");
    *sent.body_mut() = Bytes::from("20").into();
    send(&service, sent).await;
    let left = || stack.budget().unwrap().balances("a")[0].remaining;
    assert_eq!(left(), 80);
    for _ in 0..2 {
        assert_eq!(status(&service, asking("a", 0, 500)).await, 500);
    }
    assert_eq!(left(), 80);
    assert_eq!(status(&service, request("b")).await, 503);
    assert_eq!(upstream.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_off_leaves_its_gates_in_force_and_a_gate_can_be_off_alone() {
    let stack = stack(ALL);
    let upstream = Upstream::default();
    let service = upstream.behind(&stack);
    let apply = |text: String| stack.apply(&StackConfig::from_toml(text).unwrap()).unwrap();
    let off = ALL.replace("rate_aware = true", "rate_aware = true\nenabled = false");
    assert_eq!(apply(off).applied, ["priority_queue.enabled"]);
    let slow: Vec<_> = (0..2)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move { status(&service, asking("a", 5000, 200)).await })
        })
        .collect();
    tokio::task::yield_now().await;
    assert_eq!(stack.queue().unwrap().status().in_flight, 0);
    // Nobody waits any more: the quota refuses.
    assert_eq!(status(&service, request("a")).await, 429);
    for _ in 0..2 {
        assert_eq!(status(&service, request("b")).await, 200);
    }
    assert_eq!(stack.limiter().unwrap().status().admitted, 4);
    let without_limit = ALL.replace(
        "quotas = ['2/second']",
        "quotas = ['2/second']\nenabled = false",
    );
    let changes = apply(without_limit);
    assert_eq!(
        changes.applied,
        ["rate_limit.enabled", "priority_queue.enabled"]
    );
    for _ in 0..9 {
        assert_eq!(status(&service, request("a")).await, 200);
    }
    assert_eq!(stack.limiter().unwrap().status().admitted, 4);
    for answer in slow {
        assert_eq!(answer.await.unwrap(), 200);
    }
    assert_eq!(upstream.running.load(Ordering::SeqCst), 0);
    assert_eq!(stack.queue().unwrap().status().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_new_quota_is_heard_of_by_those_who_wait_for_the_old_one() {
    let stack = stack(&ALL.replace("2/second", "1/hour"));
    let service = Upstream::default().behind(&stack);
    assert_eq!(status(&service, request("a")).await, 200);
    let waiting = tokio::spawn({
        let service = service.clone();
        async move { status(&service, request("a")).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(stack.queue().unwrap().status().waiting(), 1);
    let start = now();
    let changed = StackConfig::from_toml(ALL.replace("2/second", "5/hour")).unwrap();
    stack.apply(&changed).unwrap();
    assert_eq!(waiting.await.unwrap(), 200);
    assert_eq!(start.elapsed(), Duration::ZERO);
}
