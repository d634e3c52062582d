//! What counts only if its outcome says so.

#![cfg(not(buttress_loom))]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_core::{AdmitLayer, AtHead, End, Error, Event, Outcome, Path, as_timed_out};
use buttress_rate_limit::{Charged, Quota, RateLimitLayer, RateLimiter};
use futures_util::poll;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock;

const MINUTE: Duration = Duration::from_secs(60);

type Mock = (mock::Mock<u32, u32>, mock::Handle<u32, u32>);

fn left(limiter: &RateLimiter) -> u64 {
    let hash = buttress_core::KeyHash::EVERYONE;
    limiter.peek_hash(hash)[0].remaining
}

/// Only failures count.
fn only_failures(outcome: Outcome) -> bool {
    outcome != Outcome::Success
}

#[tokio::test(start_paused = true)]
async fn a_failure_counts_and_a_success_is_given_back_when_it_is_known() {
    let (mock, mut handle): Mock = mock::pair();
    let layer = RateLimitLayer::new(Quota::rolling(2, MINUTE)).charge_if(only_failures);
    let limiter = layer.limiter().clone();
    let mut service = layer.layer(mock);
    let response = service.ready().await.unwrap().call(1);
    assert_eq!(left(&limiter), 1, "it is spent while nobody knows");
    handle.next_request().await.unwrap().1.send_response(1);
    response.await.unwrap();
    assert_eq!(left(&limiter), 2);
    for spent in 1..=2 {
        let response = service.ready().await.unwrap().call(1);
        handle.next_request().await.unwrap().1.send_error("wrong");
        response.await.unwrap_err();
        assert_eq!(left(&limiter), 2 - spent);
    }
    let refused = service.ready().await.unwrap().call(1).await.unwrap_err();
    assert!(matches!(refused, Error::Rejected(_)));
    assert_eq!(limiter.status().admitted, 3, "what was given back came");
}

#[tokio::test(start_paused = true)]
async fn more_at_once_than_the_limit_are_never_under_way() {
    let (mock, mut handle): Mock = mock::pair();
    let layer = RateLimitLayer::new(Quota::rolling(3, MINUTE)).charge_if(only_failures);
    let mut service = layer.layer(mock);
    let mut under_way = Vec::new();
    for _ in 0..3 {
        under_way.push(service.ready().await.unwrap().call(0));
    }
    for _ in 0..5 {
        let refused = service.ready().await.unwrap().call(0).await;
        assert!(matches!(refused, Err(Error::Rejected(_))));
    }
    for response in under_way {
        handle.next_request().await.unwrap().1.send_error("wrong");
        response.await.unwrap_err();
    }
    let refused = service.ready().await.unwrap().call(0).await;
    assert!(matches!(refused, Err(Error::Rejected(_))));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_request_stays_charged_and_a_timeout_is_an_outcome() {
    let (mock, mut handle): Mock = mock::pair();
    let layer = RateLimitLayer::new(Quota::rolling(9, MINUTE))
        .charge_if(|outcome| outcome != Outcome::TimedOut);
    let limiter = layer.limiter().clone();
    let mut service = layer.layer(mock);
    drop(service.ready().await.unwrap().call(0));
    assert_eq!(left(&limiter), 8, "never polled");
    let response = service.ready().await.unwrap().call(0);
    let mut response = Box::pin(response);
    assert!(poll!(&mut response).is_pending());
    handle.next_request().await.unwrap();
    drop(response);
    assert_eq!(left(&limiter), 7, "dropped under way");
    let response = service.ready().await.unwrap().call(0);
    as_timed_out(|| drop(response));
    assert_eq!(left(&limiter), 7, "cut off by us, which was not to count");
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_woken_by_what_is_given_back() {
    let (mock, mut handle): Mock = mock::pair();
    let layer = RateLimitLayer::new(Quota::rolling(1, MINUTE))
        .wait(MINUTE)
        .charge_if(only_failures);
    let limiter = layer.limiter().clone();
    let service = layer.layer(mock);
    let start = buttress_core::time::now();
    let first = tokio::spawn(service.clone().oneshot(1));
    let (_, answer) = handle.next_request().await.unwrap();
    let second = tokio::spawn(service.clone().oneshot(2));
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(limiter.status().waiting, 1);
    answer.send_response(1);
    first.await.unwrap().unwrap();
    let (request, answer) = handle.next_request().await.unwrap();
    assert_eq!(request, 2);
    assert_eq!(
        start.elapsed(),
        Duration::from_secs(5),
        "not when a minute is over"
    );
    answer.send_error("wrong");
    second.await.unwrap().unwrap_err();
    assert_eq!(left(&limiter), 0, "a wait is charged too");
}

#[tokio::test(start_paused = true)]
async fn what_waited_and_was_never_sent_is_given_back() {
    let quota = Quota::rolling(1, MINUTE);
    let layer = RateLimitLayer::new(quota)
        .wait(2 * MINUTE)
        .charge_if(|_| true);
    let limiter = layer.limiter().clone();
    limiter_spends(&limiter);
    let (mock, mut handle): Mock = mock::pair();
    handle.allow(0);
    let mut service = layer.layer(mock.clone());
    let mut waiting = Box::pin(service.call(0));
    assert!(poll!(&mut waiting).is_pending());
    tokio::time::advance(MINUTE).await;
    assert!(
        poll!(&mut waiting).is_pending(),
        "admitted, but the service is not ready"
    );
    assert_eq!(left(&limiter), 0);
    drop(waiting);
    assert_eq!(left(&limiter), 1);
}

fn limiter_spends(limiter: &RateLimiter) {
    use buttress_core::{KeyHash, Now, Policy};
    let demand = buttress_rate_limit::RateDemand::new(KeyHash::EVERYONE, 1);
    drop(limiter.try_admit(&demand, &Now::new()).expect("a unit"));
}

#[tokio::test(start_paused = true)]
async fn in_a_rolling_window_the_refund_goes_to_the_instant_of_the_spending() {
    let (mock, mut handle): Mock = mock::pair();
    let layer = RateLimitLayer::new(Quota::rolling(2, MINUTE)).charge_if(only_failures);
    let limiter = layer.limiter().clone();
    let mut service = layer.layer(mock);
    let early = service.ready().await.unwrap().call(1);
    let (_, early_answer) = handle.next_request().await.unwrap();
    tokio::time::advance(MINUTE / 2).await;
    let late = service.ready().await.unwrap().call(2);
    handle.next_request().await.unwrap().1.send_error("wrong");
    late.await.unwrap_err();
    early_answer.send_response(1);
    early.await.unwrap();
    assert_eq!(left(&limiter), 1);
    tokio::time::advance(MINUTE / 2).await;
    assert_eq!(left(&limiter), 1, "the later one still counts");
    tokio::time::advance(MINUTE / 2).await;
    assert_eq!(left(&limiter), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refund_that_comes_after_its_window_credits_no_later_one() {
    let (mock, mut handle): Mock = mock::pair();
    let layer = RateLimitLayer::new(Quota::rolling(2, MINUTE)).charge_if(only_failures);
    let limiter = layer.limiter().clone();
    let mut service = layer.layer(mock);
    let slow = service.ready().await.unwrap().call(1);
    let (_, answer) = handle.next_request().await.unwrap();
    tokio::time::advance(2 * MINUTE).await;
    let failed = service.ready().await.unwrap().call(2);
    handle.next_request().await.unwrap().1.send_error("wrong");
    failed.await.unwrap_err();
    assert_eq!(left(&limiter), 1);
    answer.send_response(1);
    slow.await.unwrap();
    assert_eq!(left(&limiter), 1);
}

#[tokio::test(start_paused = true)]
async fn by_the_answer_itself_and_not_for_those_who_are_exempt() {
    let judged = Arc::new(Mutex::new(0));
    let count = Arc::clone(&judged);
    let layer = RateLimitLayer::new(Quota::rolling(10, MINUTE))
        .cost(|request: &u32| u64::from(*request))
        .unless(|request: &u32| *request > 5)
        .charge_if_response(move |result: Result<&u32, &Infallible>| {
            *count.lock().unwrap() += 1;
            result.is_ok_and(|response| response % 2 == 1)
        });
    let limiter = layer.limiter().clone();
    let service = layer.layer(service_fn(async |request: u32| {
        Ok::<_, Infallible>(request)
    }));
    for (request, remaining) in [(3, 7), (4, 7), (5, 2), (7, 2)] {
        service.clone().oneshot(request).await.unwrap();
        assert_eq!(left(&limiter), remaining, "after {request}");
    }
    assert_eq!(*judged.lock().unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn in_shadow_mode_nothing_is_spent_so_nothing_is_given_back() {
    let layer = RateLimitLayer::new(Quota::rolling(1, MINUTE)).shadow();
    let layer = layer.charge_if(|_| false);
    let limiter = layer.limiter().clone();
    limiter_spends(&limiter);
    let service = layer.layer(service_fn(async |request: u32| {
        Ok::<_, Infallible>(request)
    }));
    service.oneshot(1).await.unwrap();
    assert_eq!(left(&limiter), 0);
    assert_eq!(limiter.status().admitted, 1);
}

#[tokio::test(start_paused = true)]
async fn observers_hear_of_it() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    let layer = RateLimitLayer::new(Quota::rolling(2, MINUTE))
        .charge_if_response(|result: Result<&u32, &Infallible>| result.is_err())
        .observe(move |event| heard.lock().unwrap().push(event));
    let limiter = layer.limiter().clone();
    let service = layer.layer(service_fn(async |request: u32| {
        Ok::<_, Infallible>(request)
    }));
    service.oneshot(1).await.unwrap();
    assert_eq!(left(&limiter), 2);
    let events = events.lock().unwrap();
    let Event::Ended(End::Settled(Outcome::Success, Some(usage))) = events[1] else {
        panic!("{events:?}");
    };
    assert_eq!(usage.get(buttress_rate_limit::UNITS), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_limiter_of_ones_own_is_charged_through_core() {
    let limiter = RateLimiter::new(Quota::rolling(1, MINUTE));
    let layer = AdmitLayer::from_path(Path {
        ask: EveryoneAsks,
        admission: Charged::new(limiter.clone(), limiter.clone(), only_failures),
        settle: AtHead::default(),
        on_reject: buttress_core::AsError,
    });
    let service = layer.layer(service_fn(async |request: u32| {
        Ok::<_, Infallible>(request)
    }));
    for _ in 0..3 {
        service.clone().oneshot(1).await.unwrap();
    }
}

#[derive(Clone)]
struct EveryoneAsks;

impl buttress_core::Ask<u32> for EveryoneAsks {
    type Demand = buttress_rate_limit::RateDemand;

    fn ask(
        &self,
        _: &u32,
        _: &buttress_core::Now,
    ) -> Result<Option<Self::Demand>, buttress_core::Rejection> {
        let key = buttress_core::KeyHash::EVERYONE;
        Ok(Some(buttress_rate_limit::RateDemand::new(key, 1)))
    }
}

#[test]
fn what_is_not_charged_by_outcome_pays_nothing_for_it() {
    use buttress_rate_limit::{ChargedTicket, Spent};
    fn is_send<T: Send + Sync>() {}
    is_send::<ChargedTicket<fn(Outcome) -> bool>>();
    is_send::<Charged<RateLimiter>>();
    assert_eq!(size_of::<Spent>(), 32);
    assert_eq!(size_of::<ChargedTicket<()>>(), 40);
}
