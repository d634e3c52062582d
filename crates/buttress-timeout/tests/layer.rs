//! The layer around a service of any kind.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::{Ready, pending, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::time::{Instant, now};
use buttress_core::{
    AdmitLayer, BoxError, ByError, Classify, End, Error, Now, Outcome, Permit, Policy, Reason,
    Rejection, Ticket, When, as_timed_out,
};
use buttress_timeout::{Limits, ResponseFuture, Timeout, TimeoutLayer, ToHead};
use futures_util::poll;
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// A policy that admits everything and writes down how it ended.
#[derive(Clone, Debug, Default)]
struct Ends(Arc<Mutex<Vec<End>>>);

impl Ends {
    fn take(&self) -> Vec<End> {
        std::mem::take(&mut *self.0.lock().expect("no other thread panicked"))
    }
}

impl Ticket for Ends {
    fn end(self, end: End, _: &Now) {
        self.0.lock().expect("no other thread panicked").push(end);
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

const TIMED_OUT: End = End::Settled(Outcome::TimedOut, None);

fn rejected<T: std::fmt::Debug, E: std::fmt::Debug>(result: Result<T, Error<E>>) -> Rejection {
    match result {
        Err(Error::Rejected(rejection)) => rejection,
        other => panic!("it should be rejected: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_answers_in_time_is_let_through_and_what_does_not_is_cut_off_at_the_instant() {
    let (mock, mut handle) = mock::pair::<u32, u32>();
    let mut service = TimeoutLayer::new(5 * SECOND).layer(mock);
    let start = now();
    let mut response = Box::pin(service.ready().await.unwrap().call(1));
    let (_, _answer) = handle.next_request().await.unwrap();
    assert!(poll!(&mut response).is_pending());
    tokio::time::advance(5 * SECOND - MILLISECOND).await;
    assert!(poll!(&mut response).is_pending());
    let rejection = match response.await {
        Err(Error::Rejected(rejection)) => rejection,
        _ => panic!("it should be rejected"),
    };
    assert_eq!(start.elapsed(), 5 * SECOND);
    assert_eq!(rejection, Rejection::timed_out());
    assert_eq!(rejection.when(), When::Unknown);

    let response = service.ready().await.unwrap().call(2);
    let (request, answer) = handle.next_request().await.unwrap();
    answer.send_response(request + 10);
    assert!(matches!(response.await, Ok(12)));
    let response = service.ready().await.unwrap().call(3);
    handle.next_request().await.unwrap().1.send_error("broken");
    assert!(matches!(response.await, Err(Error::Inner(error)) if error.to_string() == "broken"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_at_the_instant_is_not_too_late() {
    let (mock, mut handle) = mock::pair::<u32, u32>();
    let mut service = TimeoutLayer::new(SECOND).layer(mock);
    let mut response = Box::pin(service.ready().await.unwrap().call(1));
    let (_, answer) = handle.next_request().await.unwrap();
    assert!(poll!(&mut response).is_pending());
    tokio::time::advance(SECOND).await;
    answer.send_response(7);
    assert!(matches!(response.await, Ok(7)));
}

#[tokio::test(start_paused = true)]
async fn the_time_counts_from_the_call_and_not_from_the_first_poll() {
    let mut service =
        TimeoutLayer::new(SECOND).layer(service_fn(|(): ()| pending::<Result<u32, Infallible>>()));
    let response = service.ready().await.unwrap().call(());
    tokio::time::advance(SECOND).await;
    let start = now();
    assert_eq!(rejected(response.await).reason(), Reason::AttemptTimeout);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn below_it_is_timed_out_and_a_caller_who_leaves_before_still_cancels() {
    let ends = Ends::default();
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::new(SECOND))
        .layer(AdmitLayer::new(ends.clone()))
        .service(service_fn(|(): ()| pending::<Result<u32, Infallible>>()));

    rejected(
        service
            .clone()
            .oneshot(())
            .await
            .map_err(|error| match error {
                Error::Rejected(rejection) => Error::<Infallible>::Rejected(rejection),
                Error::Inner(inner) => panic!("{inner}"),
            }),
    );
    assert_eq!(ends.take(), [TIMED_OUT]);

    let mut left = Box::pin(service.clone().oneshot(()));
    assert!(poll!(&mut left).is_pending());
    tokio::time::advance(SECOND - MILLISECOND).await;
    drop(left);
    assert_eq!(ends.take(), [End::Cancelled(None)]);

    let mut late = Box::pin(service.clone().oneshot(()));
    assert!(poll!(&mut late).is_pending());
    tokio::time::advance(SECOND).await;
    drop(late);
    assert_eq!(ends.take(), [TIMED_OUT], "its time had come when it left");

    let mut cut = Box::pin(service.oneshot(()));
    assert!(poll!(&mut cut).is_pending());
    as_timed_out(|| drop(cut));
    assert_eq!(ends.take(), [TIMED_OUT], "by a timeout further out");
}

#[tokio::test(start_paused = true)]
async fn above_it_is_timed_out_too_and_what_was_never_sent_is_a_refusal() {
    let ends = Ends::default();
    let service = TimeoutLayer::new(SECOND)
        .deadline_of(|deadline: &Instant| Some(*deadline))
        .layer(service_fn(|_: Instant| {
            pending::<Result<u32, std::io::Error>>()
        }));
    for (deadline, outcome, reason) in [
        (
            now() + 2 * SECOND,
            Outcome::TimedOut,
            Reason::AttemptTimeout,
        ),
        (now() + SECOND * 3 / 2, Outcome::TimedOut, Reason::Deadline),
        (now() + SECOND, Outcome::Refused, Reason::Deadline),
    ] {
        let error = service.clone().oneshot(deadline).await.unwrap_err();
        let result: Result<&u32, _> = Err(&error);
        assert_eq!(ByError.classify(result), outcome, "{reason:?}");
        assert_eq!(Rejection::find(&error).unwrap().reason(), reason);
    }
    assert_eq!(ends.take(), []);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_the_earlier_of_the_layers_and_the_requests() {
    let layer = TimeoutLayer::default().deadline(5 * SECOND);
    let service = layer
        .deadline_of(|seconds: &Option<u32>| seconds.map(|seconds| now() + SECOND * seconds))
        .layer(service_fn(|_: Option<u32>| {
            pending::<Result<u32, Infallible>>()
        }));
    for (asked, expected) in [(None, 5), (Some(3), 3), (Some(9), 5), (Some(0), 0)] {
        let start = now();
        let rejection = rejected(service.clone().oneshot(asked).await);
        assert_eq!(rejection.reason(), Reason::Deadline);
        assert_eq!(start.elapsed(), SECOND * expected, "{asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn trap_2_a_refused_call_gives_its_readiness_up() {
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::default().deadline_of(|at: &Instant| Some(*at)))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(service_fn(|_: Instant| ready(Ok::<_, Infallible>(1))));
    let (mut first, second) = (service.clone(), service);
    let refused = first.ready().await.unwrap().call(now());
    rejected(refused.await);
    // `first` still exists, and holds no place of the limit.
    let answered = second.oneshot(now() + SECOND);
    let answered = tokio::time::timeout(SECOND, answered).await;
    assert!(matches!(answered, Ok(Ok(1))), "the place is free");
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn trap_4_readiness_is_the_inner_services_alone() {
    struct Failing;
    impl Service<()> for Failing {
        type Response = ();
        type Error = &'static str;
        type Future = Ready<Result<(), &'static str>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Err("not ready"))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            ready(Ok(()))
        }
    }
    impl Clone for Failing {
        fn clone(&self) -> Self {
            Self
        }
    }
    let mut service = TimeoutLayer::new(SECOND).layer(Failing);
    let error = match service.ready().await {
        Err(error) => error,
        Ok(_) => panic!("the inner service is not ready"),
    };
    assert_eq!(error, Error::Inner("not ready"));
}

#[tokio::test(start_paused = true)]
async fn answers_of_other_types() {
    let hanging = || service_fn(|(): ()| pending::<Result<&'static str, std::io::Error>>());
    let boxed = TimeoutLayer::new(SECOND).as_box_error().layer(hanging());
    let error: BoxError = boxed.oneshot(()).await.unwrap_err();
    assert_eq!(
        Rejection::find(&*error).map(Rejection::reason),
        Some(Reason::AttemptTimeout)
    );
    let told = TimeoutLayer::new(SECOND)
        .on_reject(|rejection| Ok(rejection.reason().as_str()))
        .layer(hanging());
    assert_eq!(told.oneshot(()).await.unwrap(), "attempt_timeout");
    let error = TimeoutLayer::new(SECOND).layer(hanging()).oneshot(()).await;
    let error = error.unwrap_err();
    assert_eq!(error.to_string(), "the attempt took too long");
    assert!(error.source().is_some());
}

#[tokio::test(start_paused = true)]
async fn an_inner_future_that_takes_all_of_the_tasks_time_is_cut_off_too() {
    /// Uses up the share of time that the task has until it yields.
    async fn greedy() -> Result<u32, Infallible> {
        let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
        loop {
            send.send(()).unwrap();
            receive.recv().await.unwrap();
            if now() > now() + SECOND {
                return Ok(1);
            }
        }
    }
    let service = TimeoutLayer::new(SECOND).layer(service_fn(|(): ()| greedy()));
    let mut response = Box::pin(service.oneshot(()));
    assert!(poll!(&mut response).is_pending());
    tokio::time::advance(SECOND).await;
    assert_eq!(rejected(response.await).reason(), Reason::AttemptTimeout);
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_nothing_is_cut_off_and_limits_can_be_read() {
    let layer = TimeoutLayer::default();
    assert_eq!(layer.limits(), &Limits::default());
    let service = layer.layer(service_fn(|(): ()| async {
        tokio::time::sleep_until(now() + 1_000_000 * SECOND).await;
        Ok::<_, Infallible>(5)
    }));
    assert_eq!(service.oneshot(()).await, Ok(5));
    assert_eq!(
        TimeoutLayer::new(SECOND).deadline(2 * SECOND).limits(),
        &Limits {
            to_head: Some(SECOND),
            to_body_end: None,
            deadline: Some(2 * SECOND)
        }
    );
}

#[tokio::test(start_paused = true)]
async fn zero_lets_through_what_is_ready_at_once() {
    let layer = TimeoutLayer::new(Duration::ZERO);
    let at_once = layer.layer(service_fn(|(): ()| ready(Ok::<_, Infallible>(1))));
    assert_eq!(at_once.oneshot(()).await, Ok(1));
    let hanging = layer.layer(service_fn(|(): ()| pending::<Result<u32, Infallible>>()));
    assert_eq!(rejected(hanging.oneshot(()).await), Rejection::timed_out());
}

type Inner = tower::util::ServiceFn<fn(u32) -> Ready<Result<u32, Infallible>>>;

const fn all<T: Send + Sync + Clone + Unpin + 'static>() {}
const fn sent<T: Send + Sync + 'static>() {}

const _: () = {
    all::<TimeoutLayer>();
    all::<Timeout<Inner, (), ToHead, buttress_core::AsError>>();
    all::<Limits>();
    sent::<ResponseFuture<Ready<Result<u32, Infallible>>, ToHead, buttress_core::AsError>>();
};
