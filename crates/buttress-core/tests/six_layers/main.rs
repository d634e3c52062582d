//! Every layer that buttress will have, as a toy on core's words: the proof that the one path carries
//! a limiter, a budget that settles at a body's end, a breaker that hears outcomes, a queue that asks
//! other policies, a store that answers later, and a retry around them.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod layers;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_core::{
    Admission, AdmitLayer, AsError, AtHead, Error, NeverWaits, Path, Reason, as_timed_out,
};
use layers::{
    AtBodyEnd, Breaker, Budget, Call, Paced, Queue, QueueHandle, Remote, Tokens, by_status, retry,
};
use tower::{Layer, ServiceExt, service_fn};

fn upstream(call: Call) -> Ready<Result<u16, Infallible>> {
    ready(Ok(call.status))
}

const OK: Call = Call {
    tokens: 50,
    status: 200,
};
const BROKEN: Call = Call {
    tokens: 50,
    status: 500,
};

#[tokio::test(start_paused = true)]
async fn a_budget_settles_when_a_streamed_body_ends() {
    let budget = Budget(Arc::new(Mutex::new(100)));
    let layer = AdmitLayer::from_path(Path {
        ask: Tokens,
        admission: budget.clone(),
        settle: AtBodyEnd,
        on_reject: AsError,
    });
    let service = layer.layer(service_fn(upstream));
    let body = service.clone().oneshot(OK).await.unwrap();
    assert_eq!((body.status, *budget.0.lock().unwrap()), (200, 50));
    body.finish();
    assert_eq!(*budget.0.lock().unwrap(), 70);
    drop(service.clone().oneshot(OK).await.unwrap());
    assert_eq!(
        *budget.0.lock().unwrap(),
        20,
        "a dropped body keeps the estimate"
    );
    let refused = service.clone().oneshot(OK).await.unwrap_err();
    let Error::Rejected(rejection) = refused;
    assert_eq!(rejection.reason(), Reason::TokenBudget);
    let exempt = Call { tokens: 0, ..OK };
    service.oneshot(exempt).await.unwrap().finish();
}

#[tokio::test(start_paused = true)]
async fn a_breaker_below_a_retry_hears_every_attempt() {
    let breaker = Breaker(Arc::new(Mutex::new(0)));
    let layer = AdmitLayer::from_path(Path {
        ask: (),
        admission: breaker.clone(),
        settle: AtHead(by_status),
        on_reject: AsError,
    });
    let service = layer.layer(service_fn(upstream));
    let last = retry(service.clone(), BROKEN, 4).await;
    assert!(matches!(last, Err(Error::Rejected(r)) if r.reason() == Reason::CircuitOpen));
    assert_eq!(*breaker.0.lock().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_timeout_cuts_off_is_timed_out_and_not_cancelled() {
    let breaker = Breaker(Arc::new(Mutex::new(0)));
    let layer = AdmitLayer::new(breaker.clone());
    let hanging = service_fn(|_: Call| std::future::pending::<Result<u16, Infallible>>());
    let service = layer.layer(hanging);
    drop(service.clone().oneshot(OK));
    let mut cut = Box::pin(service.clone().oneshot(OK));
    assert!(futures_util::poll!(&mut cut).is_pending());
    as_timed_out(|| drop(cut));
    assert_eq!(*breaker.0.lock().unwrap(), 1);
    let mut left = Box::pin(service.oneshot(OK));
    assert!(futures_util::poll!(&mut left).is_pending());
    drop(left);
    assert_eq!(
        *breaker.0.lock().unwrap(),
        1,
        "a caller who left is neutral"
    );
}

#[tokio::test(start_paused = true)]
async fn a_queue_asks_the_policies_behind_it_and_nobody_keeps_what_is_refused() {
    let budget = Budget(Arc::new(Mutex::new(100)));
    let breaker = Breaker(Arc::new(Mutex::new(0)));
    let paced = Paced {
        interval: Duration::from_secs(1),
        next: Mutex::new(None),
    };
    let queue = QueueHandle(Arc::new(Queue {
        gates: (breaker, budget.clone(), paced),
        line: Mutex::default(),
    }));
    let layer = AdmitLayer::from_path(Path {
        ask: ((), Tokens, ()),
        admission: queue,
        settle: AtHead::default(),
        on_reject: AsError,
    });
    let service = layer.layer(service_fn(upstream));
    assert_eq!(service.clone().oneshot(OK).await.unwrap(), 200);
    let refused = service.clone().oneshot(OK).await.unwrap_err();
    assert!(matches!(refused, Error::Rejected(r) if r.reason() == Reason::RateLimit));
    assert_eq!(
        *budget.0.lock().unwrap(),
        50,
        "the refused request spent nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_remote_store_answers_later() {
    let service = AdmitLayer::new(Remote).layer(service_fn(upstream));
    let start = buttress_core::time::now();
    assert_eq!(service.oneshot(OK).await.unwrap(), 200);
    assert_eq!(start.elapsed(), Duration::from_millis(5));
}

#[test]
fn a_policy_never_waits() {
    fn waits<A: Admission<Wait = NeverWaits<()>>>(_: &A) {}
    waits(&Paced {
        interval: Duration::ZERO,
        next: Mutex::new(None),
    });
}
