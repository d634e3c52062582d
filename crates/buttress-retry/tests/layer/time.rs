//! Timeouts and deadlines.

use std::time::Duration;

use buttress_core::time::{Instant, later, now};
use buttress_core::{
    AdmitLayer, End, Error, Event, GiveUp, Now, Outcome, Permit, Policy, Reason, Rejection, Ticket,
    When,
};
use buttress_retry::{Attempt, BudgetRule, Cloned, Copies, Jitter, Replay, RetryLayer};
use tower::{Layer, ServiceBuilder};

use crate::support::{Answer, Does, Failure, Heard, SECOND, Upstream, ms, send};

fn steady() -> RetryLayer {
    RetryLayer::exponential(SECOND..=8 * SECOND).jitter(Jitter::None)
}

fn rejected<T>(result: Result<T, Error<Failure>>) -> Reason {
    match result {
        Err(Error::Rejected(rejection)) => rejection.reason(),
        _ => panic!("it should be rejected"),
    }
}

fn elapsed(start: Instant) -> u128 {
    start.elapsed().as_millis()
}

/// The last of the examples that settle the format of traces.
#[tokio::test(start_paused = true)]
async fn a_pause_that_would_end_at_the_deadline_is_not_begun() {
    let upstream = Upstream::new([Does::Answers(503)]);
    let service = steady()
        .attempts(4)
        .deadline(3 * SECOND)
        .retry_if(|result: Result<&Answer, &Failure>| result.is_ok_and(|a| a.number == 503))
        .layer(upstream.clone());
    let start = now();
    assert_eq!(send(&service, 1).await.unwrap().number, 503);
    assert_eq!(elapsed(start), 1_000);
    assert_eq!(upstream.calls(), [0, 1_000]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_at_the_end_of_its_time_is_in_time() {
    static ANSWER: Does = Does::Answers(1);
    for (takes, attempts) in [(ms(5_000), 1), (ms(5_001), 2)] {
        let upstream = Upstream::new([Does::After(takes, &ANSWER)]);
        let service = steady().attempts(2).attempt_timeout(5 * SECOND);
        let start = now();
        let result = send(&service.layer(upstream.clone()), 1).await;
        assert_eq!(upstream.calls().len(), attempts);
        match attempts {
            1 => assert_eq!((result.unwrap().number, elapsed(start)), (1, 5_000)),
            _ => {
                assert_eq!(rejected(result), Reason::AttemptTimeout);
                assert_eq!(upstream.calls(), [0, 6_000]);
                assert_eq!(elapsed(start), 11_000);
            }
        }
        assert_eq!(Upstream::count(&upstream.running), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_cuts_an_attempt_off() {
    let heard = Heard::default();
    let upstream = Upstream::new([Does::Fails, Does::Hangs]);
    let layer = steady().attempt_timeout(5 * SECOND).deadline(4 * SECOND);
    let service = layer.observe(heard.clone()).layer(upstream.clone());
    let start = now();
    assert_eq!(rejected(send(&service, 1).await), Reason::Deadline);
    assert_eq!((upstream.calls(), elapsed(start)), (vec![0, 1_000], 4_000));
    let last = heard.take().pop();
    assert_eq!(last, Some(Event::Rejected(Rejection::past_deadline())));
}

#[tokio::test(start_paused = true)]
async fn of_two_ends_at_one_instant_the_attempts_is_told() {
    let upstream = Upstream::new([Does::Hangs]);
    let layer = steady().attempt_timeout(4 * SECOND).deadline(4 * SECOND);
    let result = send(&layer.layer(upstream.clone()), 1).await;
    assert_eq!(rejected(result), Reason::AttemptTimeout);
    assert_eq!(upstream.calls(), [0]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_timed_out_pays_nothing_in() {
    let rule = BudgetRule::ratio(1.0).per_second(0.0).reserve(0.0);
    let heard = Heard::default();
    let layer = steady().budget(rule).attempt_timeout(SECOND);
    let budget = layer.retry_budget().clone();
    let upstream = Upstream::new([Does::Hangs]);
    let service = layer.observe(heard.clone()).layer(upstream.clone());
    assert_eq!(rejected(send(&service, 1).await), Reason::AttemptTimeout);
    assert_eq!(upstream.calls(), [0]);
    assert_eq!(budget.snapshot(&Now::new()).balance, Some(0.0));
    let [Event::GivenUp { cause, reason, .. }, Event::Rejected(_)] = heard.take()[..] else {
        panic!("it is given up and rejected");
    };
    assert_eq!((cause, reason), (Outcome::TimedOut, GiveUp::Budget));
}

/// A timeout further in counts as this layer's own does.
#[tokio::test(start_paused = true)]
async fn what_a_timeout_further_in_cut_off_is_tried_again() {
    let upstream = Upstream::new([Does::Refuses(Rejection::timed_out()), Does::Answers(2)]);
    let service = steady().layer(upstream.clone());
    assert_eq!(send(&service, 1).await.unwrap().number, 2);
    assert_eq!(upstream.calls(), [0, 1_000]);
}

/// Tells every ticket's end.
#[derive(Clone, Default)]
struct Ends(std::sync::Arc<std::sync::Mutex<Vec<End>>>);

impl Ticket for Ends {
    fn end(self, end: End, _: &Now) {
        self.0.lock().unwrap().push(end);
    }
}

impl Policy for Ends {
    type Demand = ();
    type Ticket = Self;

    fn would_admit(&self, (): &(), _: &Now) -> Result<(), Rejection> {
        Ok(())
    }

    fn try_admit(&self, (): &(), _: &Now) -> Result<Permit<Self>, Rejection> {
        Ok(Permit::new(self.clone()))
    }
}

#[tokio::test(start_paused = true)]
async fn trap_09_what_is_cut_off_settles_as_timed_out_and_what_is_left_as_cancelled() {
    let ends = Ends::default();
    let upstream = Upstream::new([Does::Hangs]);
    let service = ServiceBuilder::new()
        .layer(steady().attempts(2).attempt_timeout(SECOND))
        .layer(AdmitLayer::new(ends.clone()))
        .service(upstream);
    let _ = send(&service, 1).await;
    let timed_out = End::Settled(Outcome::TimedOut, None);
    assert_eq!(*ends.0.lock().unwrap(), [timed_out, timed_out]);

    ends.0.lock().unwrap().clear();
    let call = tokio::time::timeout(ms(500), send(&service, 1));
    assert!(call.await.is_err());
    assert_eq!(*ends.0.lock().unwrap(), [End::Cancelled(None)]);
}

/// A request that brings its own deadline.
#[derive(Clone)]
struct Until(Instant);

impl Replay<u32> for Until {
    type Request = u32;
    type Template = Copies<u32>;

    fn deadline(&self, _: &u32) -> Option<Instant> {
        Some(self.0)
    }

    fn prepare(&self, request: u32, first: Attempt) -> (u32, Option<Copies<u32>>) {
        assert_eq!(first.deadline, Some(self.0), "the earlier of the two");
        Cloned.prepare(request, first)
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_may_bring_an_earlier_deadline() {
    let upstream = Upstream::new([Does::Hangs]);
    let until = later(now(), 2 * SECOND);
    let layer = steady().deadline(60 * SECOND).replay(Until(until));
    let service = layer.layer(upstream.clone());
    let start = now();
    assert_eq!(rejected(send(&service, 1).await), Reason::Deadline);
    assert_eq!(elapsed(start), 2_000);
    // It has passed now, so nothing is sent any more.
    tokio::time::advance(ms(1)).await;
    let late = send(&service, 1).await;
    assert!(matches!(late, Err(Error::Rejected(r)) if r.when() == When::Never));
    assert_eq!(upstream.calls(), [0]);
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_an_own_end_is_chosen_as_for_every_layer() {
    let upstream = || Upstream::new([Does::Hangs]);
    let layer = || steady().deadline(SECOND);
    let boxed = send(&layer().as_box_error().layer(upstream()), 1).await;
    let boxed = boxed.err().unwrap();
    assert_eq!(Rejection::find(&*boxed).unwrap().reason(), Reason::Deadline);
    let answer = layer().on_reject(|rejection: Rejection| {
        assert_eq!(rejection.outcome(), Outcome::TimedOut);
        Err::<Answer, _>(Failure::Refused(rejection))
    });
    let own = send(&answer.layer(upstream()), 1).await;
    assert!(matches!(own, Err(Failure::Refused(_))));
}

#[test]
fn settings_that_cannot_be_name_their_field() {
    use buttress_retry::RetryPolicy;
    let policy = RetryPolicy::default();
    assert_eq!(policy.with_attempts(0).unwrap_err().field(), "attempts");
    for duration in [Duration::ZERO, Duration::MAX] {
        let error = policy.with_attempt_timeout(duration).unwrap_err();
        assert_eq!(error.field(), "attempt_timeout");
        assert_eq!(
            policy.with_deadline(duration).unwrap_err().field(),
            "deadline"
        );
    }
    let error = policy.with_max_retry_after(Duration::MAX).unwrap_err();
    assert_eq!(error.field(), "max_retry_after");
}
