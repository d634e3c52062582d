//! How often, after what, and when.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_core::{Event, GiveUp, Outcome, Reason, Rejection, When};
use buttress_retry::{
    Attempt, BudgetRule, Jitter, Judgement, Repeats, Replay, RetryLayer, Template,
};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Answer, Does, Failure, Heard, SECOND, Upstream, ms, send};

fn steady() -> RetryLayer {
    RetryLayer::exponential(SECOND..=8 * SECOND).jitter(Jitter::None)
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_after_a_pause_that_doubles() {
    let upstream = Upstream::new([Does::Fails]);
    let service = steady().attempts(4).layer(upstream.clone());
    assert!(send(&service, 7).await.is_err());
    assert_eq!(upstream.calls(), [0, 1_000, 3_000, 7_000]);
    assert_eq!(*upstream.requests.lock().unwrap(), [7; 4]);
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_is_the_last_attempt() {
    let upstream = Upstream::new([Does::Fails, Does::Answers(5), Does::Fails]);
    let service = steady().layer(upstream.clone());
    assert_eq!(send(&service, 7).await.unwrap().number, 5);
    assert_eq!(upstream.calls(), [0, 1_000]);
}

#[tokio::test(start_paused = true)]
async fn a_single_attempt_is_no_retry() {
    let upstream = Upstream::new([Does::Fails]);
    let service = steady().attempts(1).layer(upstream.clone());
    assert!(send(&service, 7).await.is_err());
    assert_eq!(upstream.calls(), [0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_tried_again_is_one_closure_away() {
    let outcome = |result: Result<&Answer, &Failure>| match result {
        Ok(answer) if answer.number == 503 => Outcome::Overloaded,
        Ok(answer) if answer.number == 429 => Outcome::Throttled(Some(ms(2_500))),
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Refused,
    };
    let script = [503, 429, 404].map(Does::Answers);
    let upstream = Upstream::new(script);
    let service = steady()
        .attempts(9)
        .retry_if(outcome)
        .layer(upstream.clone());
    assert_eq!(send(&service, 1).await.unwrap().number, 404);
    assert_eq!(
        upstream.calls(),
        [0, 1_000, 3_500],
        "as long as it was told"
    );

    let is_bad =
        |result: Result<&Answer, &Failure>| result.is_ok_and(|answer| answer.number >= 500);
    let upstream = Upstream::new(script);
    let service = steady().retry_if(is_bad).layer(upstream.clone());
    assert_eq!(send(&service, 1).await.unwrap().number, 429);
    assert_eq!(upstream.calls(), [0, 1_000]);
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_exact_up_to_its_bound_and_beyond_it_the_end() {
    let told = |wait| {
        move |result: Result<&Answer, &Failure>| match result {
            Ok(_) => Judgement::last(Outcome::Success),
            Err(_) => Judgement::again(Outcome::Failure).hinting(wait),
        }
    };
    for (wait, calls) in [
        (When::After(60 * SECOND), vec![0, 60_000]),
        (When::After(60 * SECOND + ms(1)), vec![0]),
        (When::After(Duration::MAX), vec![0]),
        (When::After(Duration::ZERO), vec![0, 0]),
        (When::Never, vec![0]),
        (When::Unknown, vec![0, 1_000]),
    ] {
        let heard = Heard::default();
        let upstream = Upstream::new([Does::Fails, Does::Answers(1)]);
        let layer = steady().retry_if(told(wait)).observe(heard.clone());
        let answer = send(&layer.layer(upstream.clone()), 1).await;
        assert_eq!(upstream.calls(), calls, "{wait:?}");
        assert_eq!(answer.is_ok(), calls.len() == 2);
        let gave_up = heard.take().iter().any(|event| {
            matches!(
                event,
                Event::GivenUp {
                    reason: GiveUp::Hint,
                    ..
                }
            )
        });
        assert_eq!(
            gave_up,
            calls.len() == 1,
            "at once, and the caller gets the failure"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_budget_ends_it_and_every_first_attempt_pays_in() {
    let rule = BudgetRule::ratio(0.5).per_second(0.0).reserve(0.0);
    let heard = Heard::default();
    let layer = steady().budget(rule).observe(heard.clone());
    let budget = layer.retry_budget().clone();
    let upstream = Upstream::new([Does::Fails]);
    let service = layer.layer(upstream.clone());
    for _ in 0..10 {
        assert!(send(&service, 1).await.is_err());
    }
    assert_eq!(upstream.calls().len(), 15, "ten, and a half of ten");
    let snapshot = budget.snapshot(&buttress_core::Now::new());
    assert_eq!((snapshot.balance, snapshot.allowed), (Some(0.0), 5));
    let refused = heard.take().into_iter().filter(|event| {
        matches!(
            event,
            Event::GivenUp {
                reason: GiveUp::Budget,
                ..
            }
        )
    });
    assert_eq!(refused.count(), 10);
    budget.deposit();
    budget.deposit();
    let _ = send(&service, 1).await;
    assert_eq!(upstream.calls().len(), 17);
}

#[tokio::test(start_paused = true)]
async fn attempts_and_their_causes_are_heard_of() {
    let heard = Heard::default();
    let upstream = Upstream::new([Does::Fails]);
    let service = steady().observe(heard.clone()).layer(upstream);
    let _ = send(&service, 1).await;
    let cause = Outcome::Failure;
    let retrying = |attempt, pause| Event::Retrying {
        attempt,
        cause,
        pause,
    };
    assert_eq!(
        heard.take(),
        [
            retrying(1, SECOND),
            retrying(2, 2 * SECOND),
            Event::GivenUp {
                attempt: 3,
                cause,
                reason: GiveUp::Attempts
            },
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn requests_are_copied_by_the_users_own_function() {
    // Neither the request nor what the function makes of it is `Clone`.
    #[derive(Debug, PartialEq)]
    struct Order(u32);
    let failing = service_fn(async |_: Order| Err::<(), _>(io::Error::other("down")));
    let copy = |order: &Order| (order.0 < 10).then_some(Order(order.0));
    for (number, copies) in [(1, 2), (10, 0)] {
        let heard = Heard::default();
        let layer = steady().copy_with(copy).observe(heard.clone());
        let mut service = layer.layer(failing);
        let ready = service.ready().await.unwrap();
        assert!(ready.call(Order(number)).await.is_err());
        let retries = heard.take().into_iter();
        let retries = retries.filter(|event| matches!(event, Event::Retrying { .. }));
        assert_eq!(retries.count(), copies);
    }
}

/// A request that tells which attempt it is, and is only sent again if it never arrived.
#[derive(Clone)]
struct Telling;

struct Told(u32);

impl Replay<u32> for Telling {
    type Request = (u32, Attempt);
    type Template = Told;

    fn prepare(&self, request: u32, first: Attempt) -> ((u32, Attempt), Option<Told>) {
        ((request, first), Some(Told(request)))
    }
}

impl Template for Told {
    type Request = (u32, Attempt);

    fn repeats(&self) -> Repeats {
        Repeats::IfUnsent
    }

    fn next(&mut self, attempt: Attempt) -> Option<(u32, Attempt)> {
        Some((self.0, attempt))
    }
}

#[tokio::test(start_paused = true)]
async fn the_inner_service_can_see_which_attempt_it_serves() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let inner = {
        let seen = Arc::clone(&seen);
        service_fn(move |(request, attempt): (u32, Attempt)| {
            seen.lock().unwrap().push((attempt.number, attempt.cause));
            let kind = match request {
                0 => io::ErrorKind::ConnectionRefused,
                _ => io::ErrorKind::ConnectionReset,
            };
            std::future::ready(Err::<(), _>(io::Error::from(kind)))
        })
    };
    let service = steady().replay(Telling).layer(inner);
    assert!(service.clone().oneshot(0).await.is_err());
    let failure = Some(Outcome::Failure);
    assert_eq!(
        *seen.lock().unwrap(),
        [(1, None), (2, failure), (3, failure)]
    );
    seen.lock().unwrap().clear();
    assert!(service.oneshot(1).await.is_err());
    assert_eq!(
        seen.lock().unwrap().len(),
        1,
        "a reset may have come after it was served"
    );
}

#[tokio::test(start_paused = true)]
async fn refusals_are_tried_again_only_if_asked_and_for_free() {
    let open = Rejection::new(Reason::CircuitOpen, When::After(5 * SECOND));
    let script = [Does::Refuses(open), Does::Refuses(open), Does::Answers(1)];
    let layer = || steady().budget(BudgetRule::ratio(0.0).per_second(0.0).reserve(0.0));
    let upstream = Upstream::new(script);
    assert!(send(&layer().layer(upstream.clone()), 1).await.is_err());
    assert_eq!(upstream.calls(), [0]);
    let upstream = Upstream::new(script);
    let service = layer().retry_refused().layer(upstream.clone());
    assert_eq!(send(&service, 1).await.unwrap().number, 1);
    assert_eq!(upstream.calls(), [0, 5_000, 10_000]);
    let never = Rejection::new(Reason::RateLimit, When::Never);
    let upstream = Upstream::new([Does::Refuses(never)]);
    let service = layer().retry_refused().layer(upstream.clone());
    assert!(send(&service, 1).await.is_err());
    assert_eq!(upstream.calls(), [0]);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_pauses() {
    let run = async |seed| {
        let upstream = Upstream::new([Does::Fails]);
        let layer = RetryLayer::exponential(SECOND..=8 * SECOND)
            .attempts(6)
            .seed(seed);
        let _ = send(&layer.layer(upstream.clone()), 1).await;
        upstream.calls()
    };
    assert_eq!(run(1).await, run(1).await);
    assert_ne!(run(1).await, run(2).await);
}

#[tokio::test(start_paused = true)]
async fn a_service_is_told_otherwise_while_it_works_and_stays_as_ready_as_it_was() {
    let upstream = Upstream::new([Does::Fails; 9]);
    let layer = RetryLayer::exponential(ms(10)..=ms(10)).attempts(3);
    let mut service = layer.layer(upstream.clone());
    service.ready().await.unwrap();
    let ready = Upstream::count(&upstream.ready);
    service.set(layer.clone().attempts(5).parts());
    assert_eq!(Upstream::count(&upstream.ready), ready);
    assert!(service.call(1).await.is_err());
    assert_eq!(upstream.calls().len(), 5);
    let policy = layer.policy().with_attempts(2).unwrap();
    service.set(layer.with_policy(policy).parts());
    assert!(send(&service, 1).await.is_err());
    assert_eq!(upstream.calls().len(), 7);
}
