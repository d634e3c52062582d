//! A queue that asks a token budget, with a breaker and a rate limit beside it: who is held back by what.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::core::test_util::advance;
use buttress::core::time::{Instant, later, now};
use buttress::token_budget::{Limit, Measured};
use buttress::{
    Amounts, CircuitBreakerLayer, Dimension, Priority, PriorityQueueLayer, Quota, RateLimitLayer,
    TokenBudget, TokenBudgetLayer,
};
use tower::util::BoxCloneService;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

/// A request to the upstream, and what it will turn out to have used.
#[derive(Clone, Copy, Debug)]
struct Call {
    name: &'static str,
    tenant: &'static str,
    model: &'static str,
    priority: Priority,
    estimate: Amounts,
    used: Option<u64>,
    latency: u64,
}

fn call(name: &'static str, tenant: &'static str, tokens: u64) -> Call {
    Call {
        name,
        tenant,
        model: "large",
        priority: Priority::Medium,
        estimate: Amounts::total(tokens),
        used: None,
        latency: 0,
    }
}

fn quota(text: &str) -> Quota {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// When which request reached the upstream, in whole seconds.
#[derive(Clone)]
struct Log {
    start: Instant,
    arrivals: Arc<Mutex<Vec<(&'static str, u64)>>>,
}

impl Log {
    fn new() -> Self {
        Self {
            start: now(),
            arrivals: Arc::default(),
        }
    }

    fn arrived(&self, name: &'static str) {
        let at = self.start.elapsed().as_secs();
        let mut arrivals = self.arrivals.lock().expect("nobody panics");
        arrivals.push((name, at));
    }

    /// By time, and by name what came at the same.
    fn take(&self) -> Vec<(&'static str, u64)> {
        let mut arrivals = std::mem::take(&mut *self.arrivals.lock().expect("nobody panics"));
        arrivals.sort_by_key(|(name, at)| (*at, *name));
        arrivals
    }
}

type Stack = BoxCloneService<Call, Option<u64>, BoxError>;

/// The queue asks all three; what was used is measured where the queue settles.
fn stack(budget: &TokenBudget, rate: Quota, log: &Log) -> Stack {
    let breaker = CircuitBreakerLayer::consecutive_failures(5);
    let budget = TokenBudgetLayer::from(budget.clone())
        .by(|call: &Call| Some(call.tenant))
        .and_by(|call: &Call| Some(call.model))
        .estimate(|call: &Call| call.estimate);
    let rate = RateLimitLayer::new(rate).by(|call: &Call| Some(call.tenant));
    let queue = PriorityQueueLayer::new(10)
        .by(|call: &Call| call.priority)
        .after((breaker, budget, rate))
        .settling(Measured::new(|used: &Option<u64>| used.map(Amounts::total)));
    let log = log.clone();
    let upstream = service_fn(move |call: Call| {
        log.arrived(call.name);
        async move {
            tokio::time::sleep_until(later(now(), Duration::from_secs(call.latency))).await;
            Ok::<_, Infallible>(call.used)
        }
    });
    let service = ServiceBuilder::new().layer(queue).service(upstream);
    BoxCloneService::new(service.map_err(BoxError::from))
}

/// Sends in this order, and lets each come as far as it can.
async fn send(stack: &Stack, calls: impl IntoIterator<Item = Call>) -> Vec<Running> {
    let mut running = Vec::new();
    for call in calls {
        running.push(tokio::spawn(stack.clone().oneshot(call)));
        advance(Duration::ZERO).await;
    }
    running
}

type Running = tokio::task::JoinHandle<Result<Option<u64>, BoxError>>;

async fn all_served(running: Vec<Running>) {
    for call in running {
        call.await.expect("no panic").expect("it is served");
    }
}

fn plenty() -> Quota {
    quota("1000/second")
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_its_own_tokens_holds_back_its_key_and_nobody_else() {
    let budget = TokenBudget::new(Dimension::TOTAL, quota("60/minute"));
    let log = Log::new();
    let stack = stack(&budget, plenty(), &log);
    let large = call("large", "a", 30);
    let calls = [
        call("first", "a", 60),
        large,
        call("small", "a", 1),
        call("other", "b", 60),
    ];
    all_served(send(&stack, calls).await).await;
    let expected = [("first", 0), ("other", 0), ("large", 30), ("small", 31)];
    assert_eq!(log.take(), expected);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_everybodys_tokens_holds_back_all_who_need_some() {
    let budget = TokenBudget::builder()
        .limit(Dimension::REQUESTS, quota("100/minute"))
        .global(Dimension::TOTAL, quota("60/minute"))
        .build()
        .expect("two quotas can be enforced");
    let log = Log::new();
    let stack = stack(&budget, plenty(), &log);
    let free = Call {
        estimate: Amounts::request(),
        ..call("free", "c", 0)
    };
    let calls = [
        call("first", "a", 60),
        call("large", "a", 30),
        call("small", "b", 1),
        call("nothing", "b", 0),
        free,
    ];
    all_served(send(&stack, calls).await).await;
    let expected = [
        ("first", 0),
        ("free", 0),
        ("large", 30),
        ("nothing", 31),
        ("small", 31),
    ];
    assert_eq!(
        log.take(),
        expected,
        "an estimate of 0 waits like any other"
    );
}

#[tokio::test(start_paused = true)]
async fn one_dimension_holds_nobody_back_who_needs_another() {
    let budget = TokenBudget::builder()
        .limit(Dimension::INPUT, quota("60/minute"))
        .limit(Dimension::OUTPUT, quota("60/minute"))
        .build()
        .expect("two quotas can be enforced");
    let log = Log::new();
    let stack = stack(&budget, plenty(), &log);
    let with = |name, estimate| Call {
        estimate,
        ..call(name, "a", 0)
    };
    let calls = [
        with("first", Amounts::tokens(10, 60)),
        with("writes", Amounts::tokens(10, 20)),
        with("reads", Amounts::request().with(Dimension::INPUT, 10)),
        with("writes too", Amounts::tokens(10, 1)),
    ];
    all_served(send(&stack, calls).await).await;
    let expected = [
        ("first", 0),
        ("reads", 0),
        ("writes", 20),
        ("writes too", 21),
    ];
    assert_eq!(log.take(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_further_key_is_held_back_across_the_first() {
    let budget = TokenBudget::builder()
        .limit(Dimension::TOTAL, quota("1000/minute"))
        .per([Limit::new(Dimension::TOTAL, quota("60/minute"))])
        .build()
        .expect("two quotas can be enforced");
    let log = Log::new();
    let stack = stack(&budget, plenty(), &log);
    let small_model = |name, tenant| Call {
        model: "small",
        ..call(name, tenant, 5)
    };
    let calls = [
        call("first", "a", 60),
        call("large", "b", 30),
        call("same model", "c", 1),
        small_model("other model", "b"),
        small_model("other model too", "a"),
    ];
    all_served(send(&stack, calls).await).await;
    let expected = [
        ("first", 0),
        ("other model", 0),
        ("other model too", 0),
        ("large", 30),
        ("same model", 31),
    ];
    assert_eq!(log.take(), expected);
}

#[tokio::test(start_paused = true)]
async fn what_settles_lets_the_held_back_go_at_once() {
    let budget = TokenBudget::new(Dimension::TOTAL, quota("60/minute rolling"));
    let log = Log::new();
    let stack = stack(&budget, plenty(), &log);
    let first = Call {
        used: Some(5),
        latency: 4,
        ..call("first", "a", 60)
    };
    let calls = [first, call("second", "a", 50), call("third", "a", 10)];
    all_served(send(&stack, calls).await).await;
    assert_eq!(log.take(), [("first", 0), ("second", 4), ("third", 60)]);
    assert_eq!(budget.balances("a")[0].remaining, 0);
}

#[tokio::test(start_paused = true)]
async fn what_one_gate_refuses_costs_nothing_at_the_others() {
    let budget = TokenBudget::new(Dimension::TOTAL, quota("60/hour rolling"));
    let log = Log::new();
    let stack = stack(&budget, quota("1/second"), &log);
    let running = send(
        &stack,
        [
            call("first", "a", 10),
            call("second", "a", 10),
            call("third", "a", 41),
        ],
    )
    .await;
    advance(Duration::from_millis(500)).await;
    assert_eq!(
        budget.balances("a")[0].remaining,
        50,
        "whoever waits holds nothing"
    );
    advance(Duration::from_millis(501)).await;
    assert_eq!(log.take(), [("first", 0), ("second", 1)]);
    assert_eq!(budget.balances("a")[0].remaining, 40);
    running[2].abort();
    advance(Duration::ZERO).await;
    assert_eq!(budget.balances("a")[0].remaining, 40);
    assert_eq!(budget.status().outstanding, 0);
}

#[tokio::test(start_paused = true)]
async fn the_more_urgent_are_asked_first() {
    let budget = TokenBudget::new(Dimension::TOTAL, quota("60/minute"));
    let log = Log::new();
    let stack = stack(&budget, plenty(), &log);
    let urgent = Call {
        priority: Priority::Critical,
        ..call("urgent", "a", 20)
    };
    let calls = [call("first", "a", 60), call("large", "a", 50), urgent];
    all_served(send(&stack, calls).await).await;
    assert_eq!(log.take(), [("first", 0), ("urgent", 20), ("large", 70)]);
}
