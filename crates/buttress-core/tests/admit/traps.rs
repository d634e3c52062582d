//! What tower middleware gets wrong, by the numbers of the project's list of traps.

use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use buttress_core::{Error, Outcome, Rejection};
use futures_util::poll;
use tokio::sync::Semaphore;
use tower::buffer::Buffer;
use tower::limit::ConcurrencyLimit;
use tower::load_shed::LoadShed;
use tower::timeout::Timeout;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

use crate::support::{Gate, Heard, Mode, REFUSED};

fn echo(request: u32) -> Ready<Result<u32, Infallible>> {
    ready(Ok(request))
}

#[tokio::test]
async fn trap_01_readiness_spends_nothing_and_an_idle_ready_clone_blocks_nobody() {
    let gate = Gate::new(Mode::Admit);
    let places = Arc::new(Semaphore::new(2));
    let inner = ConcurrencyLimit::with_semaphore(service_fn(echo), Arc::clone(&places));
    let mut idle = gate.layer().layer(inner);
    for _ in 0..10 {
        idle.ready().await.unwrap();
    }
    assert_eq!(gate.heard(), [], "nothing is decided before `call`");
    for request in 0..3 {
        assert_eq!(idle.clone().oneshot(request).await.unwrap(), request);
    }
    assert_eq!(
        gate.heard().iter().filter(|h| **h == Heard::Asked).count(),
        3
    );
    assert_eq!(
        places.available_permits(),
        1,
        "only the idle clone's own inner readiness is held"
    );
}

#[tokio::test]
async fn trap_02_after_a_refusal_no_clone_keeps_a_place_of_the_inner_service() {
    let gate = Gate::new(Mode::Refuse);
    let places = Arc::new(Semaphore::new(1));
    let inner = ConcurrencyLimit::with_semaphore(service_fn(echo), Arc::clone(&places));
    let mut service = gate.layer().layer(inner);
    let mut sibling = service.clone();
    let refused = service.ready().await.unwrap().call(1);
    assert_eq!(places.available_permits(), 1, "before the answer is read");
    assert_eq!(refused.await.unwrap_err(), Error::Rejected(REFUSED));
    assert_eq!(places.available_permits(), 1, "while the service lives on");
    gate.set(Mode::Admit);
    assert_eq!(sibling.ready().await.unwrap().call(2).await.unwrap(), 2);
    assert_eq!(service.ready().await.unwrap().call(3).await.unwrap(), 3);
}

#[tokio::test]
async fn trap_02_a_shed_or_refused_request_leaves_no_waiter_behind() {
    let gate = Gate::new(Mode::Refuse);
    let inner = ConcurrencyLimit::new(service_fn(echo), 1);
    let mut service = LoadShed::new(gate.layer().layer(inner));
    for _ in 0..5 {
        service.ready().await.unwrap().call(1).await.unwrap_err();
    }
    gate.set(Mode::Admit);
    for request in 0..5 {
        let mut clone = service.clone();
        assert_eq!(
            clone.ready().await.unwrap().call(request).await.unwrap(),
            request
        );
    }
}

#[tokio::test(start_paused = true)]
async fn trap_03_a_stack_of_buffer_shed_and_timeout_goes_on_after_refusals() {
    let gate = Gate::new(Mode::Refuse);
    let inner = ConcurrencyLimit::new(service_fn(echo), 1);
    let shed = LoadShed::new(gate.box_error_layer().layer(inner));
    let timeout = Timeout::new(shed, Duration::from_secs(1));
    let mut service = Buffer::new(timeout, 4);
    for _ in 0..3 {
        let error: BoxError = service.ready().await.unwrap().call(1).await.unwrap_err();
        assert_eq!(Rejection::find(&*error), Some(&REFUSED));
    }
    gate.set(Mode::Wait);
    let late = service.ready().await.unwrap().call(2).await.unwrap_err();
    assert!(
        late.is::<tower::timeout::error::Elapsed>(),
        "the wait is cut off"
    );
    gate.set(Mode::Admit);
    assert_eq!(service.ready().await.unwrap().call(3).await.unwrap(), 3);
}

#[tokio::test]
async fn trap_03_readiness_fails_only_where_the_inner_service_fails() {
    let gate = Gate::new(Mode::Refuse);
    let (mock, mut handle) = tower_test::mock::pair::<u32, u32>();
    let mut service = gate.layer().layer(mock);
    for _ in 0..3 {
        service.ready().await.unwrap().call(1).await.unwrap_err();
    }
    handle.allow(0);
    assert!(poll!(service.ready()).is_pending());
    handle.send_error("broken");
    let error = service.ready().await.err().unwrap();
    assert!(matches!(error, Error::Inner(error) if error.to_string() == "broken"));
}

#[tokio::test]
async fn trap_04_the_inner_service_is_only_called_where_it_was_ready() {
    // The mock panics when it is called before its own `poll_ready` was ready.
    let gate = Gate::new(Mode::Admit);
    let (mock, mut handle) = tower_test::mock::pair::<u32, u32>();
    let mut service = gate.layer().layer(mock);
    for (mode, request) in [
        (Mode::Admit, 1),
        (Mode::Refuse, 2),
        (Mode::Admit, 3),
        (Mode::Wait, 4),
        (Mode::Admit, 5),
    ] {
        gate.set(mode);
        gate.answer(Ok(()));
        let mut response = Box::pin(service.ready().await.unwrap().call(request));
        if mode == Mode::Refuse {
            response.await.unwrap_err();
            continue;
        }
        assert!(poll!(&mut response).is_pending());
        let (received, send) = handle.next_request().await.unwrap();
        assert_eq!(received, request);
        send.send_response(request * 10);
        assert_eq!(response.await.unwrap(), request * 10);
    }
}

#[tokio::test]
async fn trap_05_who_waits_for_admission_holds_no_inner_readiness() {
    let gate = Gate::new(Mode::Wait);
    let places = Arc::new(Semaphore::new(1));
    let inner = ConcurrencyLimit::with_semaphore(service_fn(echo), Arc::clone(&places));
    let mut service = gate.layer().layer(inner);
    let mut waiting: Vec<_> = Vec::new();
    for request in 0..3 {
        let mut response = Box::pin(service.ready().await.unwrap().call(request));
        assert!(poll!(&mut response).is_pending());
        waiting.push(response);
        assert_eq!(places.available_permits(), 1, "{request} waiting");
    }
    gate.set(Mode::Admit);
    assert_eq!(service.ready().await.unwrap().call(9).await.unwrap(), 9);
    gate.answer(Ok(()));
    for (request, response) in (0..).zip(waiting) {
        assert_eq!(response.await.unwrap(), request);
    }
}

#[tokio::test]
async fn trap_05_readiness_is_asked_for_after_admission_and_in_the_same_future() {
    let gate = Gate::new(Mode::Wait);
    let (mock, mut handle) = tower_test::mock::pair::<u32, u32>();
    let mut service = gate.layer().layer(mock);
    let response = service.ready().await.unwrap().call(7);
    handle.allow(0);
    gate.answer(Ok(()));
    let mut response = task(response);
    assert!(response.poll().is_pending());
    assert!(!response.is_woken());
    handle.allow(1);
    assert!(
        response.is_woken(),
        "the inner service's readiness wakes it"
    );
    assert!(response.poll().is_pending());
    let (request, send) = handle.next_request().await.unwrap();
    send.send_response(request + 1);
    assert!(matches!(response.poll(), Poll::Ready(Ok(8))));
    assert!(
        gate.heard()
            .contains(&Heard::End(buttress_core::End::Settled(
                Outcome::Success,
                None
            )))
    );
}

#[tokio::test]
async fn trap_06_all_services_of_a_layer_share_one_state() {
    use buttress_core::{AdmitLayer, Now, Permit, Policy};
    use std::sync::atomic::{AtomicU32, Ordering};

    #[derive(Debug)]
    struct Once(AtomicU32);

    impl Policy for Once {
        type Demand = ();
        type Ticket = ();

        fn would_admit(&self, (): &(), _: &Now) -> Result<(), Rejection> {
            match self.0.load(Ordering::Relaxed) {
                0 => Err(REFUSED),
                _ => Ok(()),
            }
        }

        fn try_admit(&self, (): &(), _: &Now) -> Result<Permit<()>, Rejection> {
            let taken = self
                .0
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                });
            taken.map(|_| Permit::new(())).map_err(|_| REFUSED)
        }
    }

    let layer = AdmitLayer::new(Once(AtomicU32::new(3)));
    let first = layer.layer(service_fn(echo));
    let second = layer.layer(service_fn(echo));
    let third = layer.clone().layer(service_fn(echo));
    for service in [&first, &second, &third] {
        service.clone().oneshot(1).await.unwrap();
    }
    for service in [first, second, third] {
        assert_eq!(
            service.oneshot(1).await.unwrap_err(),
            Error::Rejected(REFUSED)
        );
    }
    assert_eq!(layer.admission().0.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_hanging_inner_service_does_not_keep_others_from_being_decided() {
    let gate = Gate::new(Mode::Admit);
    let mut service = gate.layer().layer(service_fn(|request: u32| async move {
        match request {
            0 => pending().await,
            _ => Ok::<_, Infallible>(request),
        }
    }));
    let mut hanging = Box::pin(service.ready().await.unwrap().call(0));
    assert!(poll!(&mut hanging).is_pending());
    assert_eq!(service.ready().await.unwrap().call(1).await.unwrap(), 1);
}

/// A future with a waker of its own.
struct Task<F> {
    future: std::pin::Pin<Box<F>>,
    woken: Arc<Flag>,
}

#[derive(Default)]
struct Flag(std::sync::atomic::AtomicBool);

impl std::task::Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

fn task<F: Future>(future: F) -> Task<F> {
    Task {
        future: Box::pin(future),
        woken: Arc::default(),
    }
}

impl<F: Future> Task<F> {
    fn poll(&mut self) -> Poll<F::Output> {
        self.woken
            .0
            .store(false, std::sync::atomic::Ordering::SeqCst);
        let waker = Arc::clone(&self.woken).into();
        self.future
            .as_mut()
            .poll(&mut std::task::Context::from_waker(&waker))
    }

    fn is_woken(&self) -> bool {
        self.woken.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}
