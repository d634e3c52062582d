//! A second attempt beside one that takes long.

use std::time::Duration;

use buttress_core::time::now;
use buttress_core::{Event, Now, Outcome};
use buttress_retry::{BudgetRule, HedgeLayer, RetryBudget, RetryLayer};
use tower::limit::ConcurrencyLimit;
use tower::{Layer, ServiceBuilder};

use crate::support::{Answer, Does, Failure, Heard, SECOND, Upstream, ms, send};

static ONE: Does = Does::Answers(1);
static TWO: Does = Does::Answers(2);
static FAILURE: Does = Does::Fails;

async fn raced(layer: HedgeLayer, script: &[Does]) -> (Option<u32>, u128, Vec<u64>, usize) {
    let upstream = Upstream::new(script);
    let service = layer.layer(upstream.clone());
    let start = now();
    let answer = send(&service, 1).await;
    let running = Upstream::count(&upstream.running);
    let number = answer.ok().map(|answer| answer.number);
    (
        number,
        start.elapsed().as_millis(),
        upstream.calls(),
        running,
    )
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_wins_and_the_other_attempt_is_cancelled() {
    let layer = || HedgeLayer::after(ms(100));
    let slow = Does::After(SECOND, &ONE);
    let quick = Does::After(ms(50), &TWO);
    assert_eq!(
        raced(layer(), &[slow, quick]).await,
        (Some(2), 150, vec![0, 100], 0)
    );
    let later = Does::After(ms(950), &TWO);
    assert_eq!(
        raced(layer(), &[slow, later]).await,
        (Some(1), 1_000, vec![0, 100], 0)
    );
    assert_eq!(
        raced(layer(), &[quick]).await,
        (Some(2), 50, vec![0], 0),
        "none is needed"
    );
    let in_time = Does::After(ms(100), &ONE);
    assert_eq!(
        raced(layer(), &[in_time]).await.2,
        [0],
        "an answer beats the timer"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_loses_against_an_attempt_that_still_runs() {
    let layer = || HedgeLayer::after(ms(100));
    let fails = Does::After(ms(200), &FAILURE);
    let answers = Does::After(ms(500), &TWO);
    assert_eq!(
        raced(layer(), &[fails, answers]).await,
        (Some(2), 600, vec![0, 100], 0)
    );
    let hedge_fails = [Does::After(SECOND, &ONE), Does::Fails];
    assert_eq!(
        raced(layer(), &hedge_fails).await,
        (Some(1), 1_000, vec![0, 100], 0)
    );
    assert_eq!(
        raced(layer(), &[fails, fails]).await,
        (None, 300, vec![0, 100], 0)
    );
    assert_eq!(
        raced(layer(), &[Does::Fails]).await,
        (None, 0, vec![0], 0),
        "it is no retry"
    );
}

#[tokio::test(start_paused = true)]
async fn it_spends_what_a_retry_spends() {
    let rule = BudgetRule::ratio(0.5).per_second(0.0).reserve(0.0);
    let heard = Heard::default();
    let layer = HedgeLayer::after(ms(100))
        .budget(rule)
        .observe(heard.clone());
    let budget = layer.retry_budget().clone();
    let upstream = Upstream::new([Does::After(SECOND, &ONE)]);
    let service = layer.layer(upstream.clone());
    let mut calls = Vec::new();
    for _ in 0..6 {
        let before = upstream.calls().len();
        send(&service, 1).await.unwrap();
        calls.push(upstream.calls().len() - before);
    }
    assert_eq!(
        calls,
        [1, 1, 2, 1, 2, 1],
        "every second call has paid for one"
    );
    assert_eq!(heard.take(), [Event::Hedged; 2]);
    assert_eq!(budget.snapshot(&Now::new()).allowed, 2);
}

#[tokio::test(start_paused = true)]
async fn with_a_retry_around_it_one_budget_is_enough() {
    let budget = RetryBudget::from(BudgetRule::ratio(0.25).per_second(0.0).reserve(2.0));
    let upstream = Upstream::new([Does::After(SECOND, &FAILURE)]);
    let service = ServiceBuilder::new()
        .layer(
            RetryLayer::exponential(SECOND..=SECOND)
                .attempts(2)
                .budget(budget.clone()),
        )
        .layer(HedgeLayer::after(ms(100)).sharing(&budget))
        .service(upstream.clone());
    assert!(send(&service, 1).await.is_err());
    // A hedge, a retry, and nothing left for the retry's own hedge.
    assert_eq!(upstream.calls().len(), 3);
    assert_eq!(
        budget.snapshot(&Now::new()).balance,
        Some(0.25),
        "paid in once"
    );
}

#[tokio::test(start_paused = true)]
async fn it_waits_for_readiness_without_holding_any() {
    let slow = Does::After(SECOND, &ONE);
    let upstream = Upstream::new([slow]);
    let service = HedgeLayer::after(ms(100)).layer(ConcurrencyLimit::new(upstream.clone(), 1));
    assert_eq!(send(&service, 1).await.unwrap().number, 1);
    assert_eq!(upstream.calls(), [0], "there was no place beside it");
    assert_eq!(Upstream::count(&upstream.ready), 0);
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_time_it_holds_nothing() {
    let slow = Does::After(SECOND, &ONE);
    for millis in [0, 50, 100, 101, 500] {
        let rule = BudgetRule::in_flight(5, 1.0).unwrap();
        let layer = HedgeLayer::after(ms(100)).budget(rule);
        let budget = layer.retry_budget().clone();
        let upstream = Upstream::new([slow]);
        let service = layer.layer(upstream.clone());
        let call = tokio::time::timeout(ms(millis), send(&service, 1)).await;
        assert!(call.is_err());
        assert_eq!(Upstream::count(&upstream.running), 0);
        let snapshot = budget.snapshot(&Now::new());
        assert_eq!((snapshot.in_flight, snapshot.balance), (0, Some(5.0)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_a_failure_is_the_users_to_say() {
    let judge = |result: Result<&Answer, &Failure>| match result {
        Ok(answer) if answer.number == 1 => Outcome::Overloaded,
        _ => Outcome::Success,
    };
    let upstream = Upstream::new([Does::After(ms(200), &ONE), Does::After(SECOND, &TWO)]);
    let service = HedgeLayer::after(ms(100)).retry_if(judge).layer(upstream);
    assert_eq!(send(&service, 1).await.unwrap().number, 2);
}

#[cfg(feature = "hdrhistogram")]
#[tokio::test(start_paused = true)]
async fn the_percentile_is_that_of_the_last_half_minute() {
    let layer = HedgeLayer::at_percentile(0.9);
    let delay = layer.delay().clone();
    // Of ten calls one takes a second.
    let mut script = vec![Does::After(ms(20), &ONE); 9];
    script.push(Does::After(SECOND, &ONE));
    let script: Vec<_> = script.iter().cycle().take(128).copied().collect();
    let upstream = Upstream::new(script);
    let service = layer.layer(upstream.clone());
    for sent in 0..128 {
        assert_eq!(delay.get(), None, "after {sent} too little is known");
        send(&service, 1).await.unwrap();
    }
    assert_eq!(upstream.calls().len(), 128);
    let known = delay.get().unwrap();
    assert!((ms(20)..ms(22)).contains(&known), "{known:?}");
    // What is older is forgotten.
    tokio::time::advance(Duration::from_secs(600)).await;
    send(&service, 1).await.unwrap();
    assert_eq!(delay.get(), None);
}
