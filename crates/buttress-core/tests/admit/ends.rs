//! How a permit ends, wherever the request is when its future is dropped.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};

use buttress_core::{
    AdmitLayer, AsError, AtHead, End, Error, Now, Outcome, Path, Permit, Reason, Ticket,
    as_settled, as_timed_out,
};
use futures_util::{FutureExt, poll};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Gate, Heard, Mode, Positive, REFUSED};

const SUCCESS: Heard = Heard::End(End::Settled(Outcome::Success, None));
const CANCELLED: Heard = Heard::End(End::Cancelled(None));
const RELEASED: Heard = Heard::End(End::Released);
const TIMED_OUT: Heard = Heard::End(End::Settled(Outcome::TimedOut, None));

#[tokio::test]
async fn dropped_while_it_waits_for_admission_it_only_leaves() {
    let gate = Gate::new(Mode::Wait);
    let (mock, mut handle) = tower_test::mock::pair::<u32, u32>();
    let mut service = gate.layer().layer(mock);
    let mut response = Box::pin(service.ready().await.unwrap().call(1));
    assert!(poll!(&mut response).is_pending());
    drop(response);
    assert_eq!(gate.heard(), [Heard::Asked, Heard::Left]);
    drop(service.ready().await.unwrap().call(1));
    assert_eq!(gate.heard(), [Heard::Asked, Heard::Left], "not even polled");
    assert!(poll!(Box::pin(handle.next_request())).is_pending());
}

#[tokio::test]
async fn dropped_while_it_waits_for_readiness_the_permit_is_released_and_never_cancelled() {
    let gate = Gate::new(Mode::Wait);
    let (mock, mut handle) = tower_test::mock::pair::<u32, u32>();
    let mut service = gate.layer().layer(mock);
    for timed_out in [false, true] {
        handle.allow(1);
        let mut response = Box::pin(service.ready().await.unwrap().call(1));
        handle.allow(0);
        gate.answer(Ok(()));
        assert!(poll!(&mut response).is_pending());
        assert_eq!(gate.heard(), [Heard::Asked]);
        match timed_out {
            true => as_timed_out(|| drop(response)),
            false => drop(response),
        }
        assert_eq!(gate.heard(), [RELEASED], "nothing was sent");
    }
}

#[tokio::test]
async fn if_readiness_fails_after_the_wait_the_permit_is_released_at_once() {
    let gate = Gate::new(Mode::Wait);
    let (mock, mut handle) = tower_test::mock::pair::<u32, u32>();
    let mut service = gate.layer().layer(mock);
    let mut response = Box::pin(service.ready().await.unwrap().call(1));
    gate.answer(Ok(()));
    handle.send_error("broken");
    let result = (&mut response).await;
    assert!(matches!(result, Err(Error::Inner(error)) if error.to_string() == "broken"));
    assert_eq!(
        gate.heard(),
        [Heard::Asked, RELEASED],
        "before the future is dropped"
    );
}

#[tokio::test]
async fn dropped_while_the_inner_service_runs_it_is_cancelled() {
    let gate = Gate::new(Mode::Admit);
    let hanging = service_fn(|_: u32| pending::<Result<u32, Infallible>>());
    let service = gate.layer().layer(hanging);
    let mut response = Box::pin(service.clone().oneshot(1));
    assert!(poll!(&mut response).is_pending());
    drop(response);
    assert_eq!(gate.heard(), [Heard::Asked, CANCELLED]);
    gate.set(Mode::Wait);
    gate.answer(Ok(()));
    let mut response = Box::pin(service.oneshot(1));
    assert!(poll!(&mut response).is_pending());
    drop(response);
    assert_eq!(
        gate.heard(),
        [Heard::Asked, CANCELLED],
        "after a wait as well"
    );
}

#[tokio::test]
async fn once_done_dropping_changes_nothing() {
    let gate = Gate::new(Mode::Admit);
    let service = gate
        .layer()
        .layer(service_fn(|request: Result<u32, u32>| ready(request)));
    let mut response = Box::pin(service.clone().oneshot(Ok(1)));
    assert_eq!((&mut response).await, Ok(1));
    assert_eq!(gate.heard(), [Heard::Asked, SUCCESS]);
    drop(response);
    assert_eq!(gate.heard(), []);
    assert_eq!(service.oneshot(Err(2)).await, Err(Error::Inner(2)));
    let failure = Heard::End(End::Settled(Outcome::Failure, None));
    assert_eq!(gate.heard(), [Heard::Asked, failure]);
}

#[tokio::test]
async fn a_refusal_after_a_wait_answers_and_ends_nothing() {
    let gate = Gate::new(Mode::Wait);
    let service = gate
        .layer()
        .layer(service_fn(|r: u32| ready(Ok::<_, Infallible>(r))));
    let mut response = Box::pin(service.oneshot(1));
    assert!(poll!(&mut response).is_pending());
    gate.answer(Err(REFUSED));
    assert_eq!(response.await, Err(Error::Rejected(REFUSED)));
    assert_eq!(gate.heard(), [Heard::Asked]);
}

#[tokio::test]
async fn the_inner_future_is_gone_before_its_place_is_free() {
    struct Loud(Gate);
    impl Drop for Loud {
        fn drop(&mut self) {
            self.0.hear(Heard::InnerDropped);
        }
    }
    let gate = Gate::new(Mode::Admit);
    let inner_gate = gate.clone();
    let service = gate.layer().layer(service_fn(move |(): ()| {
        let loud = Loud(inner_gate.clone());
        async move {
            let _loud = loud;
            pending::<Result<(), Infallible>>().await
        }
    }));
    let mut response = Box::pin(service.oneshot(()));
    assert!(poll!(&mut response).is_pending());
    drop(response);
    assert_eq!(gate.heard(), [Heard::Asked, Heard::InnerDropped, CANCELLED]);
}

#[tokio::test]
async fn a_panicking_inner_service_cancels_the_permit() {
    async fn panics(_: u32) -> Result<u32, Infallible> {
        panic!("in the future")
    }
    let gate = Gate::new(Mode::Admit);
    let in_call = service_fn(|_: u32| -> std::future::Ready<Result<u32, Infallible>> {
        panic!("in call");
    });
    let mut in_call = gate.layer().layer(in_call);
    in_call.ready().await.unwrap();
    catch_unwind(AssertUnwindSafe(|| drop(in_call.call(1)))).unwrap_err();
    assert_eq!(gate.heard(), [Heard::Asked, CANCELLED]);
    let in_future = gate.layer().layer(service_fn(panics)).oneshot(1);
    AssertUnwindSafe(in_future)
        .catch_unwind()
        .await
        .unwrap_err();
    assert_eq!(gate.heard(), [Heard::Asked, CANCELLED]);
    gate.set(Mode::Wait);
    gate.answer(Ok(()));
    let waited = AssertUnwindSafe(in_call.clone().oneshot(1)).catch_unwind();
    waited.await.unwrap_err();
    assert_eq!(gate.heard(), [Heard::Asked, CANCELLED], "after a wait");
}

#[tokio::test]
async fn who_is_exempt_or_cannot_be_asked_for_never_meets_the_admission() {
    let gate = Gate::new(Mode::Refuse);
    let layer = AdmitLayer::from_path(Path {
        ask: Positive,
        admission: gate.clone(),
        settle: AtHead::default(),
        on_reject: AsError,
    });
    let service = layer.layer(service_fn(|r: i32| ready(Ok::<_, Infallible>(r))));
    assert_eq!(service.clone().oneshot(-1).await, Ok(-1));
    let missing = service.clone().oneshot(0).await.unwrap_err();
    let Error::Rejected(missing) = missing;
    assert_eq!(missing.reason(), Reason::MissingKey);
    assert_eq!(gate.heard(), []);
    assert_eq!(service.oneshot(1).await, Err(Error::Rejected(REFUSED)));
    assert_eq!(gate.heard(), [Heard::Asked]);
}

#[test]
fn what_is_dropped_inside_as_timed_out_is_timed_out_however_deep() {
    let gate = Gate::new(Mode::Admit);
    let permit = || {
        let answer = buttress_core::Admission::admit(&gate, (), &Now::new());
        match answer {
            buttress_core::Verdict::Now(Ok(permit)) => permit,
            _ => panic!("the gate admits"),
        }
    };
    let (first, second, third) = (permit(), permit(), permit());
    gate.heard();
    as_timed_out(|| {
        as_timed_out(|| drop(first));
        drop(second);
    });
    drop(third);
    assert_eq!(gate.heard(), [TIMED_OUT, TIMED_OUT, CANCELLED]);
    let (unwound, after) = (permit(), permit());
    gate.heard();
    catch_unwind(AssertUnwindSafe(|| {
        as_timed_out(|| {
            let _unwound = unwound;
            panic!("inside");
        })
    }))
    .unwrap_err();
    drop(after);
    assert_eq!(
        gate.heard(),
        [TIMED_OUT, CANCELLED],
        "a panic does not leave the thread timing out"
    );
    let explicit = permit();
    gate.heard();
    as_timed_out(|| explicit.end(End::Released, &Now::new()));
    assert_eq!(gate.heard(), [RELEASED], "an end that is said counts");
}

#[test]
fn what_is_dropped_inside_as_settled_is_no_cancellation() {
    let gate = Gate::new(Mode::Admit);
    let permit = || match buttress_core::Admission::admit(&gate, (), &Now::new()) {
        buttress_core::Verdict::Now(Ok(permit)) => permit,
        _ => panic!("the gate admits"),
    };
    let (first, second, third, fourth) = (permit(), permit(), permit(), permit());
    gate.heard();
    as_settled(|| {
        drop(first);
        as_timed_out(|| drop(second));
        drop(third);
    });
    drop(fourth);
    let success = || Heard::End(End::Settled(Outcome::Success, None));
    assert_eq!(gate.heard(), [success(), TIMED_OUT, success(), CANCELLED]);
}

#[test]
fn a_permit_hears_its_head_before_its_end_and_an_exempt_one_hears_nothing() {
    #[derive(Debug, Default)]
    struct Count<'a>(Option<&'a std::cell::Cell<u32>>);
    impl Ticket for Count<'_> {
        fn end(self, _: End, _: &Now) {
            self.0.inspect(|count| count.set(count.get() + 1));
        }
    }
    let ends = std::cell::Cell::new(0);
    let mut permit = Permit::new(Count(Some(&ends)));
    permit.head(Outcome::Success, &Now::new());
    permit.end(End::Released, &Now::new());
    assert_eq!(ends.get(), 1, "exactly once");
    assert!(Permit::new(Count(Some(&ends))).into_ticket().is_some());
    assert_eq!(ends.get(), 1, "a ticket that was taken out is not ended");
    let mut exempt = Permit::<Count<'_>>::exempt();
    exempt.head(Outcome::Success, &Now::new());
    assert!(exempt.ticket().is_none());
    exempt.end(End::Cancelled(None), &Now::new());
}
