//! The layer around a mock, on a paused clock.

use std::time::Duration;

use buttress_core::{Error, Reason, Rejection};
use buttress_token_budget::{Amounts, Dimension, TokenBudget, TokenBudgetLayer};
use polling::{assert_pending, assert_ready};
use tower::{Layer, Service, ServiceExt};
use tower_test::mock;

type Request = (&'static str, u64);

/// What the tests need of a polled future.
mod polling {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    pub(crate) fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    pub(crate) fn assert_pending<F: Future + Unpin>(future: &mut F) {
        assert!(poll(future).is_pending());
    }

    pub(crate) fn assert_ready<F: Future + Unpin>(future: &mut F) -> F::Output {
        match poll(future) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it is pending"),
        }
    }
}

fn budget() -> TokenBudget {
    TokenBudget::new(
        Dimension::TOTAL,
        "100/minute rolling".parse().expect("it is a quota"),
    )
}

fn left(budget: &TokenBudget) -> u64 {
    budget.balances("a")[0].remaining
}

#[tokio::test(start_paused = true)]
async fn reserve_run_settle() {
    let budget = budget();
    let (inner, mut handle) = mock::pair::<Request, u64>();
    let layer = TokenBudgetLayer::from(budget.clone())
        .by(|request: &Request| Some(request.0))
        .estimate(|request: &Request| Amounts::total(request.1))
        .measure(|used: &u64| Some(Amounts::total(*used)));
    let mut service = layer.layer(inner);
    handle.allow(3);
    let mut first = service.ready().await.unwrap().call(("a", 80));
    assert_eq!(left(&budget), 20);
    let refused = service.ready().await.unwrap().call(("a", 30)).await;
    assert!(matches!(
        refused,
        Err(Error::Rejected(rejection)) if Rejection::reason(&rejection) == Reason::TokenBudget
    ));
    let (_, answer) = handle.next_request().await.unwrap();
    answer.send_response(25);
    assert_eq!(assert_ready(&mut first).unwrap(), 25);
    assert_eq!(left(&budget), 75);
}

/// An error gives all back, and a future dropped at any point settles.
#[tokio::test(start_paused = true)]
async fn dropped_at_every_point() {
    let budget = budget();
    let (inner, mut handle) = mock::pair::<Request, u64>();
    let layer = TokenBudgetLayer::from(budget.clone())
        .by(|request: &Request| Some(request.0))
        .estimate(|request: &Request| Amounts::total(request.1))
        .wait(Duration::from_secs(90));
    let mut service = layer.layer(inner);
    handle.allow(9);
    let mut fails = service.ready().await.unwrap().call(("a", 100));
    assert_pending(&mut fails);
    let mut waits = service.ready().await.unwrap().call(("a", 10));
    assert_pending(&mut waits);
    drop(waits);
    assert_eq!(budget.status().waiting, 0);
    let unpolled = service.ready().await.unwrap().call(("a", 10));
    drop(unpolled);
    assert_eq!(budget.status().waiting, 0);
    let (_, answer) = handle.next_request().await.unwrap();
    answer.send_error("down");
    assert!(matches!(assert_ready(&mut fails), Err(Error::Inner(_))));
    assert_eq!(left(&budget), 100, "nothing was done");
    let mut leaves = service.ready().await.unwrap().call(("a", 40));
    assert_pending(&mut leaves);
    drop(leaves);
    assert_eq!(left(&budget), 60, "it had reached the upstream");
    assert_eq!(budget.status().outstanding, 0);
}

/// Trap 6: state per `.layer()` call. Trap 1: nothing is spent in `poll_ready`.
#[tokio::test(start_paused = true)]
async fn all_services_of_a_layer_share_one_budget_and_readiness_spends_nothing() {
    let budget = budget();
    let layer = TokenBudgetLayer::from(budget.clone())
        .by(|request: &Request| Some(request.0))
        .estimate(|request: &Request| request.1.checked_sub(1).map(Amounts::total));
    let echo = tower::service_fn(async |request: Request| Ok::<_, std::io::Error>(request.1));
    let (mut one, mut two) = (layer.layer(echo), layer.clone().layer(echo));
    for _ in 0..5 {
        one.ready().await.unwrap();
        drop(one.clone());
    }
    assert_eq!(left(&budget), 100);
    one.ready().await.unwrap().call(("a", 71)).await.unwrap();
    assert!(two.ready().await.unwrap().call(("a", 41)).await.is_err());
    // No estimate: the budget is not asked.
    assert!(two.ready().await.unwrap().call(("a", 0)).await.is_ok());
    assert_eq!(left(&budget), 30);
}

/// A caller who leaves while a layer further in still has it wait gets all back.
#[tokio::test(start_paused = true)]
async fn who_leaves_before_it_was_sent_gets_all_back() {
    let (outer, inner) = (budget(), budget());
    let stack = tower::ServiceBuilder::new()
        .layer(
            TokenBudgetLayer::from(outer.clone())
                .by(|request: &Request| Some(request.0))
                .estimate(|request: &Request| Amounts::total(request.1)),
        )
        .layer(
            TokenBudgetLayer::from(inner.clone())
                .by(|request: &Request| Some(request.0))
                .estimate(Amounts::total(60))
                .wait(Duration::from_secs(90)),
        );
    let mut service = stack.service(tower::service_fn(|_: Request| {
        std::future::pending::<Result<u64, std::io::Error>>()
    }));
    let mut sent = Box::pin(service.ready().await.unwrap().call(("a", 30)));
    assert!(futures_util::poll!(&mut sent).is_pending());
    let mut waits = Box::pin(service.ready().await.unwrap().call(("a", 30)));
    assert!(futures_util::poll!(&mut waits).is_pending());
    assert_eq!(left(&outer), 40);
    drop(waits);
    assert_eq!(left(&outer), 70, "it waited further in");
    drop(sent);
    assert_eq!(left(&outer), 70, "the upstream had it");
}
