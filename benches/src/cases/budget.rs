//! Token budgets: what it costs to reserve an estimate and to put what was used in its place.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::{End, Now, Outcome, Policy, Usage};
use buttress_token_budget::{Amounts, Dimension, Measured, TokenBudget, TokenBudgetLayer};
use tower::{Layer, Service};

use super::{CLIENTS, client, plenty};
use crate::case::{Aim, Case, Group};
use crate::drive;

const BARE: &str = "bare service";
const ONE_KEY: &str = "reserve and settle, three dimensions of one key";

/// A request: who sends it, and what it will use.
#[derive(Clone, Copy)]
struct Call {
    client: u32,
    output: u64,
}

/// Always ready, answers at once.
#[derive(Clone, Copy)]
struct Bare;

impl Service<Call> for Bare {
    type Response = u64;
    type Error = Infallible;
    type Future = Ready<Result<u64, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        ready(Ok(call.output))
    }
}

fn call() -> Call {
    Call {
        client: client(7),
        output: 10,
    }
}

/// Three dimensions, none of which is ever used up.
fn three() -> TokenBudget {
    let budget = TokenBudget::builder()
        .limit(Dimension::REQUESTS, plenty())
        .limit(Dimension::INPUT, plenty())
        .limit(Dimension::OUTPUT, plenty());
    budget
        .seed(1)
        .build()
        .expect("three quotas can be enforced")
}

/// Half of what was reserved is given back.
fn reserve_and_settle(budget: TokenBudget, keys: usize) -> impl FnMut(u64) -> Duration {
    let estimate = Amounts::tokens(3, 20);
    let demands: Vec<_> = (0..keys)
        .map(|index| budget.demand(&[budget.hash(client(index))], estimate))
        .collect();
    let used = Usage::default().with(Dimension::OUTPUT.index(), 10);
    drive::calls(move |index| {
        let demand = &demands[index % demands.len()];
        let permit = budget.try_admit(demand, &Now::new()).expect("it fits");
        permit.end(End::Settled(Outcome::Success, Some(used)), &Now::new());
    })
}

/// The policy alone.
pub(super) fn policy() -> Group {
    let one = TokenBudget::new(Dimension::TOTAL, plenty());
    let global = TokenBudget::builder()
        .limit(Dimension::REQUESTS, plenty())
        .limit(Dimension::OUTPUT, plenty())
        .global(Dimension::OUTPUT, plenty());
    let global = global
        .seed(1)
        .build()
        .expect("three quotas can be enforced");
    let cases = vec![
        Case::new(ONE_KEY, reserve_and_settle(three(), 1))
            .aim(Aim::Nanoseconds(80.0))
            .aim(Aim::Allocations(0.0)),
        Case::new(
            "reserve and settle, three dimensions of 1,024 keys",
            reserve_and_settle(three(), CLIENTS),
        )
        .aim(Aim::Allocations(0.0)),
        Case::new(
            "reserve and settle, one dimension of one key",
            reserve_and_settle(one, 1),
        )
        .aim(Aim::Allocations(0.0)),
        Case::new(
            "reserve and settle, two dimensions of one key and one of all",
            reserve_and_settle(global, 1),
        )
        .aim(Aim::Allocations(0.0)),
    ];
    Group::new("token budget", ONE_KEY, cases)
}

/// Around a service.
pub(super) fn layer() -> Group {
    let layer = TokenBudgetLayer::from(three())
        .by(|call: &Call| Some(call.client))
        .estimate(|_: &Call| Amounts::tokens(3, 20));
    let used = |used: &u64| Some(Usage::default().with(Dimension::OUTPUT.index(), *used));
    let measured: TokenBudgetLayer<_, _, Measured<_>> = layer.clone().measure(used);
    let cases = vec![
        Case::new(BARE, drive::service(Bare, call)),
        Case::new(
            "TokenBudgetLayer, by key, three dimensions",
            drive::service(layer.layer(Bare), call),
        )
        .aim(Aim::Allocations(0.0)),
        Case::new(
            "TokenBudgetLayer, by key, three dimensions, measured",
            drive::service(measured.layer(Bare), call),
        )
        .aim(Aim::Allocations(0.0)),
    ];
    Group::new("token budget, a layer", BARE, cases).over(BARE)
}
