//! The documented example is what comes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use buttress_circuit_breaker::{CircuitBreaker, CircuitBreakerLayer, CircuitDemand};
use buttress_core::wall::{UnixNanos, WallClock};
use buttress_core::{End, Now, Outcome, Policy};
use buttress_metrics::{Metrics, MetricsLayer, Status};
use buttress_priority_queue::{Priority, PriorityQueueLayer};
use buttress_rate_limit::{Quota, RateLimitLayer, RateLimiter};
use buttress_retry::{BudgetRule, RetryBudget};
use buttress_token_budget::{Amounts, Dimension, Settlement, TokenBudget};
use serde_json::Value;
use tokio::time::advance;
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::support::{TOKEN, send};

/// Every kind of handle, each having done something.
async fn example() -> Status {
    let wall = WallClock::fixed_start(UnixNanos::from_seconds(1_767_268_800));
    let metrics = Metrics::new();
    let status = Status::new()
        .wall_clock(wall)
        .metrics(metrics.clone())
        .controls(TOKEN)
        .expect("it can be");

    let chat = RateLimiter::builder()
        .quota(Quota::per_minute(5))
        .global([Quota::rolling(25, Duration::from_secs(60)).named("rpm")])
        .seed(7)
        .build()
        .expect("it can be");
    let measured = MetricsLayer::new("client");
    let limit = RateLimitLayer::from(chat.clone());
    let limit = limit.observe((metrics.layer("chat"), status.observer("chat")));
    let queue = PriorityQueueLayer::new(2).capacity(50);
    let status = status
        .add("client", measured.handle())
        .add("queue", queue.queue().clone())
        .add("chat", chat);
    let service = ServiceBuilder::new()
        .layer(measured)
        .layer(queue.by(|_: &u64| Priority::High))
        .layer(limit)
        .service(service_fn(async |millis: u64| {
            advance(Duration::from_millis(millis)).await;
            Ok::<_, std::io::Error>(millis)
        }));
    for millis in [40, 60, 80, 100, 20, 5] {
        let _ = service.clone().oneshot(millis).await;
    }

    let retries = RetryBudget::new(BudgetRule::ratio(0.2).per_second(10.0));
    assert!(retries.withdraw(&Now::new()));
    let status = status
        .add("tokens", tokens())
        .add("upstream", breaker())
        .add("retry", retries);
    advance(Duration::from_secs(3)).await;
    status
}

fn tokens() -> TokenBudget {
    let tokens = TokenBudget::builder()
        .global(
            Dimension::TOTAL,
            Quota::rolling(150_000, Duration::from_secs(60)).named("tpm"),
        )
        .seed(7)
        .build()
        .expect("it can be");
    let permit = tokens
        .reserve("", Amounts::tokens(1_000, 2_000))
        .expect("it can be");
    tokens.settle(
        permit,
        Settlement::Exact(Amounts::tokens(1_000, 1_200).usage()),
    );
    tokens
}

fn breaker() -> CircuitBreaker {
    let breaker = CircuitBreakerLayer::consecutive_failures(2).open_for(Duration::from_secs(60));
    let breaker = breaker.breaker().clone();
    let model = breaker.hash("api.example.com");
    for _ in 0..2 {
        let permit = breaker
            .try_admit(&CircuitDemand { key: model }, &Now::new())
            .expect("it can be");
        permit.end(End::Settled(Outcome::Failure, None), &Now::new());
    }
    breaker
}

/// Hashes differ from process to process, and jitter between runs.
fn settle(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match &**name {
                    "key" => *value = Value::from("4f1c6a0d9b7e2358"),
                    "half_opens_in_seconds" => *value = Value::from(57.0),
                    _ => settle(value),
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(settle),
        _ => {}
    }
}

fn documented() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations/status.md");
    fs::read_to_string(path).expect("it can be")
}

#[tokio::test(start_paused = true)]
async fn the_documented_example_is_what_comes() {
    let app = example().await.router();
    let answer = send(&app, "GET /status.json", &[], "").await;
    // As text, because the order of fields counts for who reads it.
    let mut told = answer.json();
    settle(&mut told);
    let text = documented();
    let (_, example) = text.split_once("```json\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let example: Value = serde_json::from_str(example).unwrap_or_default();
    assert_eq!(
        example, told,
        "docs/operations/status.md does not have this example:\n{:#}",
        told
    );
}

/// Every field that can come stands in the tables of the document.
#[tokio::test(start_paused = true)]
async fn every_field_is_documented() {
    let answer = send(&example().await.router(), "GET /status.json", &[], "").await;
    let text = documented();
    let mut names = Vec::new();
    collect(&answer.json(), &mut names);
    for name in names {
        assert!(
            text.contains(&format!("`{name}`")),
            "`{name}` is not explained"
        );
    }
}

fn collect(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                names.push(name.clone());
                // What is below these are names of layers and of outcomes.
                match &**name {
                    "layers" => value
                        .as_object()
                        .expect("a map")
                        .values()
                        .for_each(|layer| collect(layer, names)),
                    "ended" | "refused" | "transitions" | "given_up" => {}
                    _ => collect(value, names),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|one| collect(one, names)),
        _ => {}
    }
}
