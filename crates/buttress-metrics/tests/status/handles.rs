//! What the handle of every layer tells of itself.

use std::time::Duration;

use buttress_circuit_breaker::{CircuitBreaker, CircuitDemand, Settings};
use buttress_core::status::{Door, LayerReport, Places, QuotaScope, Report};
use buttress_core::{End, KeyHash, Now, Outcome, Policy};
use buttress_metrics::{Metrics, Status};
use buttress_priority_queue::{ConcurrencyLimit, Priority, PriorityQueue, QueueDemand};
use buttress_rate_limit::{Quota, RateLimitLayer, RateLimiter};
use buttress_token_budget::{Amounts, Dimension, Settlement, TokenBudget};
use futures_util::poll;
use tokio::time::advance;
use tower::{Layer, ServiceExt, service_fn};

fn report(handle: &impl Report) -> LayerReport {
    handle.report(&Now::new())
}

#[tokio::test(start_paused = true)]
async fn a_limiter_tells_its_quotas_and_of_common_ones_what_is_left() {
    let limiter = RateLimiter::builder()
        .quota(Quota::per_minute(5))
        .global([Quota::rolling(8, Duration::from_secs(60)).named("all")])
        .tier("pro", [Quota::per_minute(50).burst(10)])
        .build()
        .unwrap();
    for _ in 0..6 {
        let _ = limiter.check("alice", 1);
    }
    limiter.check("bob", 1).unwrap();
    let told = report(&limiter);
    assert_eq!((told.kind, told.mode), ("rate_limit", None));
    assert_eq!(
        (told.admitted, told.refused, told.waiting),
        (Some(6), Some(1), Some(0))
    );
    assert_eq!(told.keys.unwrap().live, 2);
    let [own, all, pro] = &told.quotas[..] else {
        panic!("{told:?}");
    };
    assert_eq!(
        (&*own.quota, own.scope, own.limit),
        ("5/minute", QuotaScope::Key, 5)
    );
    assert_eq!(
        (own.used, own.left, own.more_in),
        (None, None, None),
        "every key has its own"
    );
    assert_eq!(
        (&*all.name, all.scope, all.limit),
        ("all", QuotaScope::All, 8)
    );
    assert_eq!(
        (all.used, all.left, all.period),
        (Some(6), Some(2), Duration::from_secs(60))
    );
    assert_eq!(all.more_in, Some(Duration::from_secs(60)));
    assert_eq!(
        (pro.tier.as_deref(), pro.limit, pro.period),
        (Some("pro"), 10, Duration::from_secs(12))
    );

    limiter.set_shadow(true);
    assert_eq!(report(&limiter).mode, Some("shadow"));
}

#[tokio::test(start_paused = true)]
async fn requests_without_keys_have_one_account() {
    let limiter = RateLimiter::new(Quota::per_minute(5));
    assert_eq!(report(&limiter).quotas[0].left, Some(5));
    let layer = RateLimitLayer::from(limiter.clone());
    let service = layer.layer(service_fn(async |n: u8| Ok::<_, std::io::Error>(n)));
    service.oneshot(1).await.unwrap();
    let told = report(&limiter);
    assert_eq!(
        (told.quotas[0].used, told.quotas[0].left),
        (Some(1), Some(4))
    );
    assert_eq!(told.quotas[0].more_in, Some(Duration::from_secs(12)));
}

#[tokio::test(start_paused = true)]
async fn a_budget_tells_tokens_and_debt() {
    let budget = TokenBudget::builder()
        .limit(Dimension::TOTAL, Quota::per_minute(10_000))
        .global(
            Dimension::TOTAL,
            Quota::rolling(2_000, Duration::from_secs(60)),
        )
        .build()
        .unwrap();
    let permit = budget.reserve("alice", Amounts::tokens(500, 500)).unwrap();
    budget.settle(
        permit,
        Settlement::Exact(Amounts::tokens(500, 2_000).usage()),
    );
    let _refused = budget.reserve("alice", Amounts::tokens(1, 1)).unwrap_err();
    let told = report(&budget);
    assert_eq!((told.admitted, told.refused), (Some(1), Some(1)));
    assert_eq!(
        (told.quotas[0].left, told.quotas[0].dimension),
        (None, Some("total"))
    );
    let all = &told.quotas[1];
    assert_eq!(
        (all.scope, all.limit, all.left, all.debt),
        (QuotaScope::All, 2_000, Some(0), Some(500))
    );
    assert_eq!(all.used, Some(2_500));
    let total = told
        .tokens
        .iter()
        .find(|tokens| tokens.dimension == "total")
        .unwrap();
    assert_eq!(
        (total.granted, total.used, total.overshot, total.reserved),
        (1_000, 2_500, 1_500, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_breaker_tells_its_circuits_those_with_most_trips_first() {
    let breaker =
        CircuitBreaker::new(Settings::consecutive_failures(2).open_for(Duration::from_secs(30)))
            .unwrap();
    let fail = |key: KeyHash| {
        let permit = breaker
            .try_admit(&CircuitDemand { key }, &Now::new())
            .unwrap();
        permit.end(End::Settled(Outcome::Failure, None), &Now::new());
    };
    let keys: Vec<_> = (0..40).map(|n| breaker.hash(n)).collect();
    for key in &keys {
        fail(*key);
        fail(*key);
    }
    fail(KeyHash::EVERYONE);
    let healthy = CircuitDemand {
        key: breaker.hash("healthy"),
    };
    drop(breaker.try_admit(&healthy, &Now::new()).unwrap());
    assert!(
        breaker
            .try_admit(&CircuitDemand { key: keys[0] }, &Now::new())
            .is_err()
    );
    advance(Duration::from_secs(10)).await;
    let told = report(&breaker);
    assert_eq!(told.refused, Some(1));
    let told = told.breaker.unwrap();
    assert_eq!(
        (told.everyone.state, told.everyone.consecutive_failures),
        ("closed", 1)
    );
    assert_eq!((told.circuits, told.open, told.half_open), (41, 40, 0));
    assert_eq!(told.not_closed.len(), 32, "no more than a page can show");
    for circuit in &told.not_closed {
        assert_eq!((circuit.state, circuit.opened), ("open", 1));
        assert!(circuit.key.is_some_and(|key| keys.contains(&key)));
        assert!(
            circuit
                .half_opens_in
                .is_some_and(|wait| wait <= Duration::from_secs(20))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_tells_places_and_who_waits() {
    let queue = PriorityQueue::new(buttress_priority_queue::Settings::new(3)).unwrap();
    let acquire = |priority| Box::pin(queue.acquire(QueueDemand::new(priority)));
    let mut places = Vec::new();
    for _ in 0..2 {
        places.push(acquire(Priority::Low).await.unwrap());
    }
    let places_told = |queue: &PriorityQueue| report(queue).queue.unwrap().places;
    let of = |idle, busy, draining| Places {
        idle,
        busy,
        draining,
    };
    assert_eq!(places_told(&queue), of(1, 2, 0));
    places.push(acquire(Priority::Low).await.unwrap());
    let mut waiting: Vec<_> = [Priority::Low, Priority::Critical, Priority::Low]
        .into_iter()
        .map(acquire)
        .collect();
    for one in &mut waiting {
        assert!(poll!(one).is_pending());
    }
    queue.set_limit(1);
    assert_eq!(places_told(&queue), of(0, 1, 2), "two more go than come");
    let told = report(&queue);
    assert_eq!((told.kind, told.waiting), ("priority_queue", Some(3)));
    let told = told.queue.unwrap();
    assert_eq!(
        (told.limit, told.capacity, told.door, told.paused),
        (1, Some(100), Door::Open, false)
    );
    let levels: Vec<_> = told
        .waiting
        .iter()
        .map(|level| (&*level.priority, level.waiting))
        .collect();
    assert_eq!(
        levels,
        [("critical", 1), ("high", 0), ("medium", 0), ("low", 2)]
    );
    drop(waiting);
    drop(queue.drain());
    let told = report(&queue).queue.unwrap();
    assert_eq!((told.door, told.places), (Door::Draining, of(0, 0, 3)));
    queue.close();
    queue.pause();
    let told = report(&queue).queue.unwrap();
    assert_eq!((told.door, told.paused), (Door::Closed, true));

    let limit = ConcurrencyLimit::new(2);
    let permit = limit.try_admit(&(), &Now::new()).unwrap();
    assert_eq!(report(&limit).queue.unwrap().places, of(1, 1, 0));
    drop(permit);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_comes_again_has_the_later_handle_and_events_come_by_name() {
    let metrics = Metrics::new();
    let layer = RateLimitLayer::new(Quota::per_minute(1)).observe(metrics.layer("rate"));
    let status = Status::new()
        .add("rate", RateLimiter::new(Quota::per_minute(9)))
        .add("other", RateLimiter::new(Quota::per_minute(3)))
        .add("rate", layer.limiter().clone())
        .metrics(metrics.clone());
    let service = layer.layer(service_fn(async |n: u8| Ok::<_, std::io::Error>(n)));
    for _ in 0..3 {
        let _ = service.clone().oneshot(1).await;
    }
    let _observed_only = metrics.layer("retry");
    let told = status.report();
    let names: Vec<_> = told
        .layers
        .iter()
        .map(|layer| (&*layer.name, layer.report.kind))
        .collect();
    assert_eq!(
        names,
        [
            ("rate", "rate_limit"),
            ("other", "rate_limit"),
            ("retry", "observed")
        ]
    );
    assert_eq!(told.layers[0].report.quotas[0].limit, 1);
    let events = told.layers[0].events.as_ref().unwrap();
    assert_eq!(
        (events.admitted, &*events.refused),
        (1, &[("rate_limit", 2)][..])
    );
    assert!(told.layers[1].events.is_none());
}
