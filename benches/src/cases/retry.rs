//! Retries that are not needed: what is paid for every call that goes well.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use buttress_retry::{BudgetRule, RetryLayer};
use tower::retry::Policy;
use tower::retry::budget::{Budget, TpsBudget};
use tower::{Layer, Service};

use crate::case::{Aim, Case, Group};
use crate::drive;

const BARE: &str = "bare service";
const TOWER: &str = "tower Retry with its budget, not needed";

/// A request that is cheap to clone.
#[derive(Clone, Copy)]
struct Call(u32);

/// Always ready, answers at once.
#[derive(Clone, Copy)]
struct Bare;

impl Service<Call> for Bare {
    type Response = u32;
    type Error = Infallible;
    type Future = Ready<Result<u32, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        ready(Ok(call.0))
    }
}

/// Two retries without a pause, as tower's own examples have them.
#[derive(Clone)]
struct Twice(u32);

impl<Res, E> Policy<Call, Res, E> for Twice {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Call, result: &mut Result<Res, E>) -> Option<Ready<()>> {
        if result.is_ok() || self.0 == 0 {
            return None;
        }
        self.0 -= 1;
        Some(ready(()))
    }

    fn clone_request(&mut self, call: &Call) -> Option<Call> {
        Some(*call)
    }
}

/// The same with tower's budget, shared as tower's documentation has it.
#[derive(Clone)]
struct WithBudget(Twice, Arc<TpsBudget>);

impl<Res, E> Policy<Call, Res, E> for WithBudget {
    type Future = Ready<()>;

    fn retry(&mut self, call: &mut Call, result: &mut Result<Res, E>) -> Option<Ready<()>> {
        if result.is_ok() {
            self.1.deposit();
            return None;
        }
        if self.1.withdraw() {
            return self.0.retry(call, result);
        }
        None
    }

    fn clone_request(&mut self, call: &Call) -> Option<Call> {
        Some(*call)
    }
}

/// Retries a call as backon does, which has no layer.
#[derive(Clone, Copy)]
struct Backon;

impl Service<Call> for Backon {
    type Response = u32;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Infallible>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let attempt = move || Bare.call(call);
        Box::pin(async move {
            let retry = attempt.retry(ExponentialBuilder::default());
            retry.sleep(tokio::time::sleep).await
        })
    }
}

/// Retries over a service that does nothing and never fails.
pub(super) fn not_needed() -> Group {
    let ours = || RetryLayer::exponential(Duration::from_millis(500)..=Duration::from_secs(8));
    let resilience = tower_resilience_retry::RetryLayer::<Call, u32, Infallible>::builder()
        .max_attempts(3)
        .exponential_backoff(Duration::from_millis(500))
        .build();
    let budgeted = WithBudget(Twice(2), Arc::new(TpsBudget::default()));
    let cases = vec![
        sent_to(BARE, Bare),
        sent_to("RetryLayer, one attempt", ours().attempts(1).layer(Bare))
            .aim(Aim::Nanoseconds(5.0))
            .aim(Aim::Allocations(0.0)),
        sent_to(
            "RetryLayer, a request that is not repeated",
            ours().copy_with(|_: &Call| None).layer(Bare),
        )
        .aim(Aim::Nanoseconds(5.0))
        .aim(Aim::Allocations(0.0)),
        sent_to(
            "RetryLayer without a budget, not needed",
            ours().budget(BudgetRule::unlimited()).layer(Bare),
        ),
        sent_to("RetryLayer, not needed", ours().layer(Bare))
            .aim(Aim::Times(TOWER, 1.0))
            .aim(Aim::Allocations(0.0)),
        sent_to(
            "RetryLayer with a deadline, not needed",
            ours().deadline(Duration::from_secs(60)).layer(Bare),
        )
        .aim(Aim::Allocations(0.0)),
        sent_to(
            "tower Retry without a budget, not needed",
            tower::retry::RetryLayer::new(Twice(2)).layer(Bare),
        ),
        sent_to(TOWER, tower::retry::RetryLayer::new(budgeted).layer(Bare)),
        sent_to("tower-resilience Retry, not needed", resilience.layer(Bare)),
        sent_to("backon in a box, not needed", Backon),
    ];
    Group::new("retry over a ready service", TOWER, cases).over(BARE)
}

fn sent_to(name: &'static str, service: impl Service<Call> + 'static) -> Case {
    let mut index = 0_u32;
    let request = move || {
        index = index.wrapping_add(1);
        Call(index)
    };
    Case::new(name, drive::service(service, request))
}
