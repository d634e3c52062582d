//! Each preset does what its origin publishes.

use buttress_core::{Now, Outcome, When};
use buttress_retry::{BudgetSnapshot, Jitter, Judgement, RetryBudget, RetryLayer};
use tower::Layer;

use crate::support::{Answer, Does, Failure, Upstream, ms, send};

fn snapshot(budget: &RetryBudget) -> BudgetSnapshot {
    budget.snapshot(&Now::new())
}

/// The intervals before jitter, and how many there are.
fn intervals(layer: &RetryLayer, count: usize) -> Vec<u128> {
    let backoff = layer.policy().backoff().with_jitter(Jitter::None).unwrap();
    let mut pauses = backoff.pauses();
    (0..count)
        .map(|_| pauses.next(&backoff, 0).as_millis())
        .collect()
}

/// Shortest and longest of many draws.
fn extremes(layer: &RetryLayer) -> (u128, u128) {
    let backoff = layer.policy().backoff();
    let pause = |draw| backoff.pauses().next(&backoff, draw).as_millis();
    (pause(0), pause(u64::MAX))
}

#[tokio::test(start_paused = true)]
async fn grpc_a6() {
    let layer = RetryLayer::grpc_a6();
    assert_eq!(layer.policy().attempts(), 4);
    assert_eq!(intervals(&layer, 6), [100, 200, 400, 800, 1_000, 1_000]);
    assert_eq!(extremes(&layer), (80, 120));

    // Ten tokens: retries while more than five are left, after the failure has taken its own.
    let budget = layer.retry_budget().clone();
    let upstream = Upstream::new([Does::Fails]);
    let service = layer.layer(upstream.clone());
    let mut calls = Vec::new();
    for _ in 0..4 {
        let before = upstream.calls().len();
        let _ = send(&service, 1).await;
        calls.push(upstream.calls().len() - before);
    }
    assert_eq!(
        calls,
        [4, 1, 1, 1],
        "10-4 failures leave 6, then 5 and no more"
    );
    assert_eq!(snapshot(&budget).balance, Some(3.0));

    let upstream = Upstream::new([Does::Answers(1)]);
    let service = RetryLayer::grpc_a6().budget(budget.clone()).layer(upstream);
    for _ in 0..30 {
        send(&service, 1).await.unwrap();
    }
    assert_eq!(
        snapshot(&budget).balance,
        Some(6.0),
        "a tenth for each success"
    );
}

#[tokio::test(start_paused = true)]
async fn grpc_a6_pushback_is_exact_and_restarts_the_backoff() {
    let judge = |result: Result<&Answer, &Failure>| match result.map(|answer| answer.number) {
        Ok(1) => Judgement::again(Outcome::Overloaded).hinting(When::After(ms(5_000))),
        Ok(2) => Judgement::again(Outcome::Overloaded),
        Ok(3) => Judgement::again(Outcome::Overloaded).hinting(When::Never),
        _ => Judgement::last(Outcome::Success),
    };
    let layer = RetryLayer::grpc_a6().jitter(Jitter::None).retry_if(judge);
    let upstream = Upstream::new([2, 1, 2, 0].map(Does::Answers));
    let _ = send(&layer.layer(upstream.clone()), 1).await;
    assert_eq!(upstream.calls(), [0, 100, 5_100, 5_200]);
    let upstream = Upstream::new([3].map(Does::Answers));
    let before = snapshot(layer.retry_budget()).balance.unwrap();
    let _ = send(&layer.layer(upstream.clone()), 1).await;
    assert_eq!(upstream.calls(), [0], "a negative pushback stops");
    assert_eq!(snapshot(layer.retry_budget()).balance, Some(before - 1.0));
}

#[tokio::test(start_paused = true)]
async fn aws_standard() {
    let layer = RetryLayer::aws_standard();
    assert_eq!(layer.policy().attempts(), 3);
    assert_eq!(
        intervals(&layer, 7),
        [1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]
    );
    assert_eq!(extremes(&layer), (0, 1_000));

    let budget = layer.retry_budget().clone();
    assert_eq!(snapshot(&budget).balance, Some(500.0));
    let upstream = Upstream::new([Does::Fails]);
    let service = layer.clone().layer(upstream.clone());
    let _ = send(&service, 1).await;
    assert_eq!(snapshot(&budget).balance, Some(490.0), "two retries at 5");

    let upstream = Upstream::new([Does::Fails, Does::Answers(1)]);
    let service = layer.clone().layer(upstream);
    send(&service, 1).await.unwrap();
    assert_eq!(
        snapshot(&budget).balance,
        Some(490.0),
        "a success gives back"
    );
    send(&service, 1).await.unwrap();
    assert_eq!(
        snapshot(&budget).balance,
        Some(491.0),
        "and a first one gives 1"
    );

    let upstream = Upstream::new([Does::Hangs]);
    let service = layer.attempts(2).attempt_timeout(ms(10)).layer(upstream);
    assert!(send(&service, 1).await.is_err());
    assert_eq!(snapshot(&budget).balance, Some(481.0), "a timeout costs 10");
}

#[tokio::test(start_paused = true)]
async fn finagle() {
    let layer = RetryLayer::finagle();
    assert_eq!(intervals(&layer, 3), [0, 0, 0], "at once");
    let upstream = Upstream::new([Does::Fails]);
    let service = layer.layer(upstream.clone());
    let _ = send(&service, 1).await;
    assert_eq!(upstream.calls().len(), 1 + 100, "until the budget says no");
    for _ in 0..4 {
        let _ = send(&service, 1).await;
    }
    // With the first, five requests paid for one retry.
    assert_eq!(upstream.calls().len(), 101 + 4 + 1);
}

#[tokio::test(start_paused = true)]
async fn envoy() {
    let layer = RetryLayer::envoy();
    assert_eq!(layer.policy().attempts(), 2);
    assert_eq!(intervals(&layer, 6), [25, 50, 100, 200, 250, 250]);
    assert_eq!(extremes(&layer), (0, 25));
    let upstream = Upstream::new([Does::Fails]);
    let service = layer.jitter(Jitter::None).layer(upstream.clone());
    let calls = (0..5).map(|_| send(&service, 1));
    futures_util::future::join_all(calls).await;
    assert_eq!(upstream.calls().len(), 5 + 3, "three at once and no more");
    let _ = send(&service, 1).await;
    assert_eq!(upstream.calls().len(), 8 + 2, "they are not used up");
}
