//! What users rely on of the types, and would miss in their own builds.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::Context;

use buttress_core::{
    Admit, AdmitLayer, AsBoxError, AsError, AtHead, Error, KeyHash, KeyHasher, LimitId, Now,
    Observed, Permit, Policy, Rejection, ResponseFuture, Seed,
};
use tower::{Service, service_fn};

/// A policy of no size that is neither `Clone` nor `Debug`.
struct Open;

impl Policy for Open {
    type Demand = ();
    type Ticket = ();

    fn would_admit(&self, (): &(), _: &Now) -> Result<(), Rejection> {
        Ok(())
    }

    fn try_admit(&self, (): &(), _: &Now) -> Result<Permit<()>, Rejection> {
        Ok(Permit::new(()))
    }
}

type Inner = tower::util::ServiceFn<fn(u32) -> Ready<Result<u32, Infallible>>>;
type Service_ = Admit<Inner, (), Open, AtHead, AsError>;
type Future_ = ResponseFuture<Inner, u32, (), Open, AtHead, AsError>;

const fn all<T: Send + Sync + Clone + Unpin + 'static>() {}
const fn shared<T: Send + Sync + Unpin + 'static>() {}
const fn plain<T: Send + Sync + Copy + Unpin + 'static>() {}

const _: () = {
    all::<Service_>();
    all::<AdmitLayer<(), Open>>();
    all::<Seed>();
    all::<Observed<std::sync::Arc<Open>, ()>>();
    shared::<Future_>();
    shared::<Permit<()>>();
    shared::<Observed<Open, ()>>();
    shared::<KeyHasher<'static>>();
    plain::<Rejection>();
    plain::<Error<Infallible>>();
    plain::<LimitId>();
    plain::<KeyHash>();
    plain::<AsBoxError>();
    assert!(size_of::<Rejection>() == 32);
    // Every layer of a stack adds its future to that of the next.
    assert!(size_of::<Future_>() <= 48);
};

#[test]
fn the_future_of_a_ready_inner_service_is_small_and_ready() {
    use tower::Layer;
    let inner: Inner = service_fn(|request| ready(Ok(request)));
    let mut service: Service_ = AdmitLayer::new(Open).layer(inner);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let mut response = service.call(5);
    assert!(format!("{response:?}").contains("running"));
    let polled = std::pin::Pin::new(&mut response).poll(&mut cx);
    assert_eq!(polled, std::task::Poll::Ready(Ok(5)));
}
