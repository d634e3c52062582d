//! What layers decide, and what their handles tell.

use std::io;
use std::time::Duration;

use buttress_circuit_breaker::{CircuitBreakerLayer, Settings};
use buttress_core::{Event, KeyHash, Now, Observe, Quantity, Reading, Sample};
use buttress_metrics::Metrics;
use buttress_priority_queue::PriorityQueueLayer;
use buttress_rate_limit::{Quota, RateLimitLayer};
use buttress_retry::{RetryBudget, RetryLayer};
use buttress_token_budget::{Amounts, Dimension, Settlement, TokenBudget};
use futures_util::future::join_all;
use futures_util::poll;
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Scrape, recorder};

async fn good(number: u32) -> Result<u32, io::Error> {
    Ok(number)
}

async fn bad(_: u32) -> Result<u32, io::Error> {
    Err(io::Error::other("bad"))
}

#[tokio::test(start_paused = true)]
async fn a_rate_limits_decisions_are_counted_to_the_unit() {
    let (recorder, handle) = recorder();
    let metrics = Metrics::with_recorder(recorder);
    let layer = RateLimitLayer::new(Quota::per_hour(30)).by(|number: &u32| Some(*number % 100));
    metrics.watch("rate_limit", layer.limiter().clone());
    let service = layer
        .observe(metrics.layer("rate_limit"))
        .layer(service_fn(good));
    let mut client = (0_u64, 0_u64);
    let answers = join_all((0..5_000).map(|number| service.clone().oneshot(number))).await;
    for answer in answers {
        match answer {
            Ok(_) => client.0 += 1,
            Err(_) => client.1 += 1,
        }
    }
    assert_eq!(client, (3_000, 2_000));
    metrics.publish();
    let scrape = Scrape::of(&handle);
    let labels = [("layer", "rate_limit"), ("reason", "rate_limit")];
    assert_eq!(scrape.count("buttress_admitted", &labels[..1]), client.0);
    assert_eq!(scrape.count("buttress_rejected", &labels), client.1);
    assert_eq!(
        scrape.count("buttress_ended", &[("end", "success")]),
        client.0
    );
    assert_eq!(scrape.count("buttress_keys_live", &[]), 100);
    let snapshot = &metrics.snapshot()[0];
    assert_eq!((snapshot.admitted, snapshot.refused()), client);
    assert!(scrape.len() < 12, "keys are no labels");
}

#[tokio::test(start_paused = true)]
async fn waits_are_told_with_their_length() {
    let (recorder, handle) = recorder();
    let metrics = Metrics::with_recorder(recorder);
    let layer = RateLimitLayer::new(Quota::per_second(1)).wait(Duration::from_secs(60));
    let observer = metrics.layer("paced");
    let mut service = layer.observe(observer.clone()).layer(service_fn(good));
    let mut calls: Vec<_> = (0..4)
        .map(|number| Box::pin(service.call(number)))
        .collect();
    calls.remove(0).await.unwrap();
    for call in &mut calls {
        assert!(poll!(call).is_pending());
    }
    assert_eq!(
        (observer.snapshot().queued, observer.snapshot().waiting),
        (3, 3)
    );
    drop(calls.pop());
    join_all(calls).await;
    let seen = observer.snapshot();
    assert_eq!((seen.admitted, seen.left, seen.waiting), (3, 1, 0));
    assert_eq!(seen.waits.count, 3);
    assert_eq!(seen.waits.max, Duration::from_secs(2));
    let scrape = Scrape::of(&handle);
    assert_eq!(scrape.count("buttress_wait_duration_count", &[]), 3);
    assert!((scrape.sum("buttress_wait_duration_sum", &[]) - 3.0).abs() < 0.01);
}

#[tokio::test(start_paused = true)]
async fn exactly_one_state_of_a_breaker_is_1() {
    let (recorder, handle) = recorder();
    let metrics = Metrics::with_recorder(recorder);
    let layer = CircuitBreakerLayer::new(Settings::consecutive_failures(2)).unwrap();
    let breaker = layer.breaker().clone();
    metrics.watch("breaker", breaker.clone());
    let observer = metrics.layer("breaker");
    let broken = layer
        .clone()
        .observe(observer.clone())
        .layer(service_fn(bad));
    let states = || {
        let scrape = Scrape::of(&handle);
        let states = ["closed", "open", "half_open", "forced_open", "disabled"];
        let is = |state: &&str| {
            scrape.count("buttress_circuit_breaker_state", &[("state", *state)]) == 1
        };
        let ones: Vec<_> = states.into_iter().filter(is).collect();
        assert_eq!(scrape.count("buttress_circuit_breaker_state", &[]), 1);
        ones
    };
    metrics.publish();
    assert_eq!(states(), ["closed"], "before anything happened");
    for _ in 0..3 {
        broken.clone().oneshot(1).await.unwrap_err();
    }
    assert_eq!(states(), ["open"], "the event says so without a sample");
    advance(Duration::from_secs(3_600)).await;
    broken.clone().oneshot(1).await.unwrap_err();
    assert_eq!(states(), ["open"], "the probe has failed");
    breaker.disable();
    assert_eq!(states(), ["disabled"]);
    metrics.publish();
    assert_eq!(states(), ["disabled"]);
    let seen = observer.snapshot();
    assert_eq!(seen.probes, 1);
    assert_eq!(seen.state, Some("disabled"));
    assert_eq!(seen.rejected, [("circuit_open", 1)]);
    let scrape = Scrape::of(&handle);
    let trips = [("layer", "breaker"), ("to", "open")];
    assert_eq!(
        scrape.count("buttress_circuit_breaker_transitions", &trips),
        2
    );
    assert_eq!(scrape.count("buttress_circuit_breaker_probes", &[]), 1);
}

#[tokio::test(start_paused = true)]
async fn queues_tell_their_depth_by_priority() {
    let (recorder, handle) = recorder();
    let metrics = Metrics::with_recorder(recorder);
    let layer = PriorityQueueLayer::new(1);
    metrics.watch("queue", layer.queue().clone());
    let mut service = layer
        .observe(metrics.layer("queue"))
        .layer(service_fn(async |_: u32| {
            std::future::pending::<Result<u32, io::Error>>().await
        }));
    let mut calls: Vec<_> = (0..3)
        .map(|number| Box::pin(service.call(number)))
        .collect();
    for call in &mut calls {
        assert!(poll!(call).is_pending());
    }
    let depth = || {
        metrics.publish();
        let scrape = Scrape::of(&handle);
        assert_eq!(scrape.series("buttress_queue_depth").len(), 4);
        (
            scrape.count("buttress_queue_depth", &[]),
            scrape.count("buttress_concurrency_in_flight", &[("layer", "queue")]),
            scrape.count("buttress_concurrency_limit", &[]),
        )
    };
    assert_eq!(depth(), (2, 1, 1));
    drop(calls);
    assert_eq!(depth(), (0, 0, 1), "gauges return to 0");
}

#[tokio::test(start_paused = true)]
async fn token_budgets_tell_what_was_reserved_used_and_refunded() {
    let (recorder, handle) = recorder();
    let metrics = Metrics::with_recorder(recorder);
    let budget = TokenBudget::builder()
        .limit(Dimension::TOTAL, "10k/minute rolling".parse().unwrap())
        .build()
        .unwrap();
    metrics.watch("budget", budget.clone());
    let all = KeyHash::EVERYONE;
    let ask = |total| budget.demand(&[all], Amounts::tokens(0, total));
    let reserve = |total| {
        use buttress_core::Policy;
        budget.try_admit(&ask(total), &Now::new()).unwrap()
    };
    let under = reserve(1_000);
    let over = reserve(1_000);
    let runs = reserve(500);
    budget.settle(under, Settlement::Exact(Amounts::tokens(0, 300).usage()));
    budget.settle(over, Settlement::Exact(Amounts::tokens(0, 1_200).usage()));
    metrics.publish();
    let scrape = Scrape::of(&handle);
    let total = |name: &str| {
        let name = format!("buttress_tokens_{name}");
        scrape.count(&name, &[("dimension", "total")])
    };
    assert_eq!(total("granted"), 2_500);
    assert_eq!(total("refunded"), 700);
    assert_eq!(total("overshot"), 200);
    assert_eq!(total("reserved"), 500);
    assert_eq!(total("used"), 1_500);
    assert_eq!(scrape.count("buttress_budget_left", &[]), 10_000 - 2_000);
    assert_eq!(scrape.count("buttress_budget_debt", &[]), 0);
    drop(runs);
}

#[tokio::test(start_paused = true)]
async fn retries_are_told_by_cause_and_give_ups_by_reason() {
    let (recorder, handle) = recorder();
    let metrics = Metrics::with_recorder(recorder);
    let observer = metrics.layer("retry");
    metrics.watch("retry", RetryBudget::default());
    let pause = Duration::from_millis(1);
    let layer = RetryLayer::exponential(pause..=pause)
        .attempts(3)
        .observe(observer.clone());
    layer.layer(service_fn(bad)).oneshot(1).await.unwrap_err();
    metrics.publish();
    let seen = observer.snapshot();
    assert_eq!(seen.retries, [("failure", 2)]);
    assert_eq!(seen.given_up, [("attempts", 1)]);
    let scrape = Scrape::of(&handle);
    assert_eq!(
        scrape.count("buttress_retry_retries", &[("cause", "failure")]),
        2
    );
    assert_eq!(
        scrape.count("buttress_retry_given_up", &[("reason", "attempts")]),
        1
    );
    assert_eq!(scrape.series("buttress_retry_budget_refused").len(), 1);
}

#[test]
fn one_name_is_one_observer_and_every_event_is_counted() {
    let metrics = Metrics::new();
    let (one, same) = (metrics.layer("a"), metrics.layer("a"));
    one.event(Event::Hedged);
    same.event(Event::Admitted { shadowed: true });
    let limit = buttress_core::LimitId {
        policy: buttress_core::PolicyId::unique(),
        key: KeyHash::EVERYONE,
        quota: 0,
    };
    one.event(Event::Threshold { limit, percent: 80 });
    let seen = one.snapshot();
    assert_eq!(
        (seen.hedges, seen.admitted, seen.shadowed, seen.thresholds),
        (1, 1, 1, 1)
    );
    assert_eq!(metrics.snapshot().len(), 1);
}

/// A handle whose quotas come and go, and are far too many.
struct Odd(std::sync::atomic::AtomicU32);

impl Sample for Odd {
    fn sample(&self, _: &Now, each: &mut dyn FnMut(Reading<'_>)) {
        let round = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let first = round * 10;
        let last = if round < 2 { first + 10 } else { 100_000 };
        for number in first..last {
            each(Reading::new(Quantity::Left, &number.to_string(), 1));
        }
    }
}

#[test]
fn what_a_handle_tells_is_bounded_and_what_it_tells_no_more_has_no_value() {
    let (recorder, handle) = recorder();
    let metrics = Metrics::with_recorder(recorder);
    metrics.watch("odd", Odd(std::sync::atomic::AtomicU32::new(0)));
    metrics.publish();
    assert_eq!(Scrape::of(&handle).count("buttress_budget_left", &[]), 10);
    metrics.publish();
    let scrape = Scrape::of(&handle);
    assert!(
        scrape
            .sum("buttress_budget_left", &[("quota", "5")])
            .is_nan()
    );
    assert_eq!(scrape.count("buttress_budget_left", &[("quota", "15")]), 1);
    metrics.publish();
    let scrape = Scrape::of(&handle);
    assert_eq!(scrape.series("buttress_budget_left").len(), 256);
    assert!(scrape.count("buttress_labels_overflow", &[]) > 90_000);
}
