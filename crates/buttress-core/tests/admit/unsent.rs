//! A caller goes away: the permit further out hears whether the request had been sent.

use std::convert::Infallible;
use std::future::pending;

use buttress_core::{End, Outcome, Usage, as_settled, as_timed_out};
use futures_util::future::join;
use futures_util::poll;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{Gate, Heard, Mode};

const SENT: Heard = Heard::End(End::Cancelled(None));
const UNSENT: Heard = Heard::End(End::Cancelled(Some(Usage::NOTHING)));

/// Never answers.
fn hanging() -> impl Service<u32, Response = u32, Error = Infallible, Future: Unpin> + Clone {
    service_fn(|_: u32| pending())
}

/// What the outer of two gates hears when the future is dropped after so many polls.
async fn outer_hears(inner: &Gate, polls: usize) -> Vec<Heard> {
    let outer = Gate::new(Mode::Admit);
    let stack = ServiceBuilder::new()
        .layer(outer.layer())
        .layer(inner.layer());
    let service = stack.service(hanging());
    let mut service = service;
    let mut response = Box::pin(service.ready().await.unwrap().call(1));
    for _ in 0..polls {
        assert!(poll!(&mut response).is_pending());
    }
    drop(response);
    outer.heard()
}

#[tokio::test]
async fn while_it_waits_further_in_it_has_not_been_sent() {
    for polls in 0..3 {
        let heard = outer_hears(&Gate::new(Mode::Wait), polls).await;
        assert_eq!(heard, [Heard::Asked, UNSENT], "{polls} polls");
        let heard = outer_hears(&Gate::new(Mode::Admit), polls).await;
        assert_eq!(heard, [Heard::Asked, SENT], "{polls} polls");
    }
    let heard = outer_hears(&Gate::new(Mode::Refuse), 0).await;
    assert_eq!(heard, [Heard::Asked, UNSENT], "refused, and nobody looked");
}

#[tokio::test]
async fn once_the_wait_is_over_it_has_been_sent() {
    let (outer, inner) = (Gate::new(Mode::Admit), Gate::new(Mode::Wait));
    let stack = ServiceBuilder::new()
        .layer(outer.layer())
        .layer(inner.layer());
    let mut service = stack.service(hanging());
    let mut response = Box::pin(service.ready().await.unwrap().call(1));
    assert!(poll!(&mut response).is_pending());
    inner.answer(Ok(()));
    assert!(poll!(&mut response).is_pending());
    drop(response);
    assert_eq!(outer.heard(), [Heard::Asked, SENT]);
}

#[tokio::test]
async fn a_wait_for_readiness_further_in_counts_too() {
    let (outer, inner) = (Gate::new(Mode::Admit), Gate::new(Mode::Wait));
    let (mock, mut handle) = tower_test::mock::pair::<u32, u32>();
    let stack = ServiceBuilder::new()
        .layer(outer.layer())
        .layer(inner.layer());
    let mut service = stack.service(mock);
    handle.allow(1);
    let mut response = Box::pin(service.ready().await.unwrap().call(1));
    handle.allow(0);
    inner.answer(Ok(()));
    assert!(poll!(&mut response).is_pending());
    drop(response);
    assert_eq!(outer.heard(), [Heard::Asked, UNSENT]);
}

#[tokio::test]
async fn through_other_middleware_and_as_many_layers_as_there_are() {
    let gates = [(); 3].map(|()| Gate::new(Mode::Admit));
    let waits = Gate::new(Mode::Wait);
    let stack = ServiceBuilder::new()
        .layer(gates[0].layer())
        .map_request(|request: u32| request + 1)
        .layer(gates[1].layer())
        .map_response(|response: u32| response)
        .layer(gates[2].layer())
        .layer(waits.layer());
    let mut service = stack.service(service_fn(|_: u32| pending::<Result<u32, Infallible>>()));
    drop(service.ready().await.unwrap().call(1));
    for gate in gates {
        assert_eq!(gate.heard(), [Heard::Asked, UNSENT]);
    }
}

#[tokio::test]
async fn of_several_attempts_at_once_one_that_was_sent_is_enough() {
    for modes in [[Mode::Wait, Mode::Admit], [Mode::Admit, Mode::Wait]] {
        let (outer, inner) = (Gate::new(Mode::Admit), Gate::new(Mode::Admit));
        let service = inner.layer().layer(hanging());
        let gate = inner.clone();
        let hedged = service_fn(move |request: u32| {
            let attempts = modes.map(|mode| {
                gate.set(mode);
                service.clone().call(request)
            });
            let [first, second] = attempts;
            Box::pin(async { join(first, second).await.0 })
        });
        let mut service = outer.layer().layer(hedged);
        let mut response = Box::pin(service.ready().await.unwrap().call(1));
        assert!(poll!(&mut response).is_pending());
        drop(response);
        assert_eq!(outer.heard(), [Heard::Asked, SENT]);
    }
}

#[tokio::test]
async fn who_leaves_elsewhere_changes_nothing_here() {
    let waiting = Gate::new(Mode::Wait);
    let mut elsewhere = waiting.layer().layer(hanging());
    drop(elsewhere.ready().await.unwrap().call(1));
    let heard = outer_hears(&Gate::new(Mode::Admit), 1).await;
    assert_eq!(heard, [Heard::Asked, SENT]);
}

#[tokio::test]
async fn a_timeout_says_both() {
    let (outer, inner) = (Gate::new(Mode::Admit), Gate::new(Mode::Wait));
    let stack = ServiceBuilder::new()
        .layer(outer.layer())
        .layer(inner.layer());
    let mut service = stack.service(hanging());
    let response = service.ready().await.unwrap().call(1);
    as_timed_out(|| drop(response));
    let nothing = Some(Usage::NOTHING);
    let end = Heard::End(End::Settled(Outcome::TimedOut, nothing));
    assert_eq!(outer.heard(), [Heard::Asked, end]);
    let response = service.ready().await.unwrap().call(1);
    as_settled(|| drop(response));
    let end = Heard::End(End::Settled(Outcome::Success, nothing));
    assert_eq!(outer.heard(), [Heard::Asked, end]);
}
