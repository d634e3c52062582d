//! The traps of other crates that a retry can fall into.

use buttress_core::{Event, Now, Reason, Rejection, When};
use buttress_retry::{BudgetRule, Jitter, RetryLayer};
use futures_util::poll;
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt};

use crate::support::{Answer, Does, Failure, Heard, SECOND, Upstream, ms, send};

fn steady() -> RetryLayer {
    RetryLayer::exponential(SECOND..=8 * SECOND).jitter(Jitter::None)
}

fn on_503(result: Result<&Answer, &Failure>) -> bool {
    result.is_ok_and(|answer| answer.number == 503)
}

#[tokio::test(start_paused = true)]
async fn trap_03_readiness_fails_only_if_the_inner_service_does() {
    let (mock, mut handle) = tower_test::mock::pair::<u32, u32>();
    let mut service = steady()
        .retry_if(|r: Result<&u32, &tower::BoxError>| r.is_err())
        .layer(mock);
    let call = service.ready().await.unwrap().call(1);
    let (_, send) = handle.next_request().await.unwrap();
    send.send_error("down");
    let mut call = Box::pin(call);
    assert!(poll!(&mut call).is_pending());
    assert!(
        service.ready().await.is_ok(),
        "a failed attempt is no broken service"
    );
    handle.send_error("closed");
    drop(handle);
    assert!(
        call.await.is_err(),
        "the inner error of readying again is the answer"
    );
}

#[tokio::test(start_paused = true)]
async fn trap_04_every_attempt_is_readied_again_whoever_calls() {
    // The upstream panics when it is called without being readied.
    let upstream = Upstream::new([Does::Fails, Does::Fails, Does::Answers(1)]);
    let mut service = steady().layer(upstream.clone());
    let first = service.ready().await.unwrap().call(1);
    let mut clone = service.clone();
    let second = clone.ready().await.unwrap().call(2);
    let third = service.ready().await.unwrap().call(3);
    let (first, second, third) = tokio::join!(first, second, third);
    assert!(first.is_ok() && second.is_ok() && third.is_ok());
    assert_eq!(upstream.calls(), [0, 0, 0, 1_000, 1_000]);
}

#[tokio::test(start_paused = true)]
async fn trap_05_nobody_waits_while_holding_the_inner_services_readiness() {
    let upstream = Upstream::new([Does::Fails, Does::Answers(1)]);
    let limited = ConcurrencyLimit::new(upstream.clone(), 1);
    let service = steady().layer(limited);
    let mut waiting = Box::pin(send(&service, 1));
    assert!(poll!(&mut waiting).is_pending());
    assert_eq!(Upstream::count(&upstream.ready), 0);
    // The only place is free during the pause.
    assert_eq!(send(&service, 2).await.unwrap().number, 1);
    assert_eq!(waiting.await.unwrap().number, 1);
    assert_eq!(upstream.calls(), [0, 0, 1_000]);
}

#[tokio::test(start_paused = true)]
async fn trap_06_all_services_of_a_layer_share_its_budget() {
    let rule = BudgetRule::ratio(0.0).per_second(0.0).reserve(3.0);
    let layer = steady().attempts(9).budget(rule);
    let upstream = Upstream::new([Does::Fails]);
    let one = layer.layer(upstream.clone());
    let other = layer.clone().layer(upstream.clone());
    let (_, _) = tokio::join!(send(&one, 1), send(&other, 2));
    assert_eq!(upstream.calls().len(), 2 + 3);
}

#[tokio::test(start_paused = true)]
async fn trap_14_a_hint_is_bounded_and_never_early() {
    // Full jitter would come back earlier in nearly every draw.
    let told = |_: Result<&Answer, &Failure>| buttress_core::Outcome::Throttled(Some(ms(30_000)));
    for seed in 0..20 {
        let layer = RetryLayer::exponential(SECOND..=SECOND)
            .attempts(2)
            .seed(seed);
        let upstream = Upstream::new([Does::Answers(429)]);
        let _ = send(&layer.retry_if(told).layer(upstream.clone()), 1).await;
        assert_eq!(upstream.calls(), [0, 30_000]);
    }
}

#[tokio::test(start_paused = true)]
async fn trap_15_the_failed_response_is_gone_before_the_wait() {
    let upstream = Upstream::new([Does::Answers(503), Does::Answers(200)]);
    let service = steady().retry_if(on_503).layer(upstream.clone());
    let mut call = Box::pin(send(&service, 1));
    assert!(poll!(&mut call).is_pending());
    assert_eq!(upstream.calls(), [0]);
    assert_eq!(
        Upstream::count(&upstream.responses),
        0,
        "it is not held in the pause"
    );
    assert_eq!(Upstream::count(&upstream.running), 0);
    let answer = call.await.unwrap();
    assert_eq!(
        (answer.number, Upstream::count(&upstream.responses)),
        (200, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn trap_16_every_call_has_a_backoff_of_its_own() {
    let upstream = Upstream::new([Does::Fails]);
    let service = steady().attempts(4).layer(upstream.clone());
    let _ = send(&service, 1).await;
    let before = upstream.calls().len();
    let start = *upstream.calls().last().unwrap();
    let _ = send(&service, 2).await;
    let second: Vec<u64> = upstream.calls()[before..]
        .iter()
        .map(|at| at - start)
        .collect();
    assert_eq!(second, [0, 1_000, 3_000, 7_000], "it starts anew");
}

#[tokio::test(start_paused = true)]
async fn trap_18_a_refusal_from_further_in_ends_the_call_and_costs_nothing() {
    let rule = BudgetRule::ratio(1.0).per_second(0.0).reserve(5.0);
    for reason in [Reason::CircuitOpen, Reason::RateLimit, Reason::QueueFull] {
        let heard = Heard::default();
        let layer = steady().budget(rule).observe(heard.clone());
        let budget = layer.retry_budget().clone();
        let refused = Rejection::new(reason, When::After(SECOND));
        let upstream = Upstream::new([Does::Refuses(refused)]);
        assert!(send(&layer.layer(upstream.clone()), 1).await.is_err());
        assert_eq!(upstream.calls(), [0]);
        let balance = budget.snapshot(&Now::new()).balance;
        assert_eq!(balance, Some(5.0), "neither spent nor paid in");
        assert_eq!(heard.take(), []);
        // Also after an answer of the upstream.
        let upstream = Upstream::new([Does::Fails, Does::Refuses(refused)]);
        let result = send(&steady().layer(upstream.clone()), 1).await;
        let error = result.err().unwrap();
        assert_eq!(Rejection::find(&error).unwrap().reason(), reason);
        assert_eq!(upstream.calls(), [0, 1_000]);
    }
}

#[tokio::test(start_paused = true)]
async fn trap_22_what_is_counted_in_flight_is_counted_down_however_it_ends() {
    let rule = BudgetRule::in_flight(1, 0.0).unwrap();
    let layer = steady().budget(rule);
    let budget = layer.retry_budget().clone();
    let in_flight = || budget.snapshot(&Now::new()).in_flight;
    let upstream = Upstream::new([Does::Fails, Does::Hangs]);
    let service = layer.layer(upstream.clone());
    let mut call = Box::pin(send(&service, 1));
    assert!(poll!(&mut call).is_pending());
    assert_eq!(in_flight(), 1, "it is on its way from the decision on");
    tokio::time::advance(2 * SECOND).await;
    assert!(poll!(&mut call).is_pending());
    assert_eq!((upstream.calls().len(), in_flight()), (2, 1));
    drop(call);
    assert_eq!(in_flight(), 0);
    assert_eq!(Upstream::count(&upstream.running), 0);
}

/// An observer and a judge that use the budget, which would block under a lock of ours.
#[tokio::test(start_paused = true)]
async fn trap_24_the_users_functions_run_outside_of_locks() {
    let layer = steady().budget(BudgetRule::finagle());
    let budget = layer.retry_budget().clone();
    let looks = {
        let budget = budget.clone();
        move || budget.snapshot(&Now::new())
    };
    let observer = {
        let looks = looks.clone();
        move |_: Event| {
            looks();
        }
    };
    let judge = move |result: Result<&Answer, &Failure>| {
        looks();
        result.is_err()
    };
    let upstream = Upstream::new([Does::Fails, Does::Answers(1)]);
    let service = layer.retry_if(judge).observe(observer).layer(upstream);
    assert!(send(&service, 1).await.is_ok());
    assert_eq!(budget.snapshot(&Now::new()).allowed, 1);
}
