//! A status with every kind of handle, and with names as nobody should choose them.

use std::net::SocketAddr;
use std::time::Duration;

use buttress::circuit_breaker::{CircuitBreaker, CircuitDemand, Settings};
use buttress::core::{End, Now, Observe, Outcome, Policy};
use buttress::priority_queue::{self, PriorityQueue};
use buttress::token_budget::Settlement;
use buttress::{
    Amounts, BudgetRule, Dimension, Metrics, MetricsLayer, Priority, QueueDemand, Quota,
    RateLimiter, RetryBudget, Status, TokenBudget,
};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt, service_fn};

/// Markup, if somebody took it for that.
pub(crate) const HOSTILE: &str = "<img src=x onerror=\"document.title='owned'\"><b>'&amp;";

/// A server of such a status; it lives as long as the runtime.
pub(crate) async fn serve() -> SocketAddr {
    let metrics = Metrics::new();
    let status = Status::new().metrics(metrics.clone());
    let limiter = RateLimiter::builder()
        .quota(Quota::per_minute(5))
        .global([Quota::rolling(25, Duration::from_secs(60)).named("rpm")])
        .tier("enterprise", [Quota::per_minute(1_000)])
        .build()
        .expect("quotas that fit");
    let (counted, kept) = (metrics.layer(HOSTILE), status.observer(HOSTILE));
    for caller in 0..4 {
        for _ in 0..7 {
            let event = match limiter.check(caller, 1) {
                Ok(()) => buttress::core::Event::Admitted { shadowed: false },
                Err(rejection) => buttress::core::Event::Rejected(rejection),
            };
            counted.event(event);
            kept.event(event);
        }
    }
    let queue = PriorityQueue::new(priority_queue::Settings::new(3)).expect("a queue");
    let place = queue.acquire(QueueDemand::new(Priority::High)).await;
    for priority in [
        Priority::Low,
        Priority::Low,
        Priority::Low,
        Priority::Critical,
    ] {
        let queue = queue.clone();
        tokio::spawn(async move {
            let _place = queue.acquire(QueueDemand::new(priority)).await;
            std::future::pending::<()>().await;
        });
    }
    tokio::spawn(async move {
        let _place = place;
        std::future::pending::<()>().await;
    });
    let measured = MetricsLayer::new("client");
    let service = measured.layer(service_fn(async |n: u32| Ok::<_, std::io::Error>(n)));
    for n in 0..50 {
        service.clone().oneshot(n).await.expect("it never fails");
    }
    let status = status
        .add(HOSTILE, limiter)
        .add(
            "tokens-of-a-layer-with-a-very-long-name-without-any-space",
            tokens(),
        )
        .add("upstream", breaker())
        .add("queue", queue)
        .add("retry", RetryBudget::new(BudgetRule::ratio(0.2)))
        .add("client", measured.handle());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, status.router()).await });
    address
}

fn tokens() -> TokenBudget {
    let tokens = TokenBudget::builder()
        .global(Dimension::TOTAL, Quota::per_minute(150_000).named("tpm"))
        .build()
        .expect("a budget");
    let permit = tokens
        .reserve("", Amounts::tokens(60_000, 60_000))
        .expect("it fits");
    tokens.settle(
        permit,
        Settlement::Exact(Amounts::tokens(60_000, 85_000).usage()),
    );
    tokens
}

fn breaker() -> CircuitBreaker {
    let settings = Settings::consecutive_failures(2).open_for(Duration::from_secs(300));
    let breaker = CircuitBreaker::new(settings).expect("a breaker");
    for host in ["", "one", "other"] {
        let key = match host {
            "" => buttress::core::KeyHash::EVERYONE,
            host => breaker.hash(host),
        };
        for _ in 0..2 {
            let permit = breaker.try_admit(&CircuitDemand { key }, &Now::new());
            permit
                .expect("it is closed")
                .end(End::Settled(Outcome::Failure, None), &Now::new());
        }
    }
    breaker
}
