//! What the status tells is what a client counted, to the unit.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use buttress_circuit_breaker::CircuitBreakerLayer;
use buttress_core::status::LayerReport;
use buttress_core::{Error, Reason};
use buttress_metrics::status::{EventsReport, StatusReport};
use buttress_metrics::{Metrics, MetricsLayer, Status};
use buttress_priority_queue::PriorityQueueLayer;
use buttress_rate_limit::{Quota, RateLimitLayer};
use buttress_token_budget::{Dimension, TokenBudgetLayer};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

/// What a client saw.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    served: u64,
    failed: u64,
    limited: u64,
    spent: u64,
    open: u64,
    full: u64,
    left: u64,
}

fn add(total: &mut Counted, one: &Counted) {
    total.served += one.served;
    total.failed += one.failed;
    total.limited += one.limited;
    total.spent += one.spent;
    total.open += one.open;
    total.full += one.full;
    total.left += one.left;
}

fn layer<'a>(report: &'a StatusReport, name: &str) -> (&'a LayerReport, &'a EventsReport) {
    let layer = report
        .layers
        .iter()
        .find(|layer| layer.name == name)
        .expect("it was added");
    (
        &layer.report,
        layer.events.as_ref().expect("it is observed"),
    )
}

/// Lets so many milliseconds pass, in which others go on.
async fn pass(millis: u64) {
    let never = std::future::pending::<()>();
    let _ = tokio::time::timeout(Duration::from_millis(millis), never).await;
}

/// One caller's hundred requests, one after the other.
async fn call<S, E>(service: S, caller: u64) -> Counted
where
    S: Service<u64, Response = u64, Error = E> + Clone,
    E: Why,
{
    let mut counted = Counted::default();
    for n in caller * 100..(caller + 1) * 100 {
        let call = service.clone().oneshot(n);
        let patience = match n % 5 {
            0 => Duration::from_millis(3),
            _ => Duration::from_secs(60),
        };
        let answer = tokio::time::timeout(patience, call).await;
        if matches!(answer, Ok(Err(_))) {
            pass(3).await;
        }
        match answer {
            Err(_) => counted.left += 1,
            Ok(Ok(_)) => counted.served += 1,
            Ok(Err(error)) => match error.why() {
                None => counted.failed += 1,
                Some(Reason::RateLimit) => counted.limited += 1,
                Some(Reason::TokenBudget) => counted.spent += 1,
                Some(Reason::CircuitOpen) => counted.open += 1,
                Some(Reason::QueueFull) => counted.full += 1,
                Some(other) => panic!("{other:?}"),
            },
        }
    }
    counted
}

/// Takes up to 6 ms, and fails for six calls in a hundred, one after the other, so that a breaker trips.
async fn upstream(n: u64, calls: &AtomicU64) -> io::Result<u64> {
    pass(n % 7).await;
    match calls.fetch_add(1, Relaxed) % 100 {
        40..46 => Err(io::Error::other("no")),
        _ => Ok(n),
    }
}

/// 6,000 requests of 60 callers at once. Some callers go away after a while, some calls fail, the queue has too
/// little room, the breaker trips now and then, and quota and budget are too small.
async fn thousands() -> (Counted, StatusReport) {
    let calls = AtomicU64::new(0);
    let metrics = Metrics::new();
    let measured = MetricsLayer::new("client");
    let queue = PriorityQueueLayer::new(8).capacity(24);
    let breaker = CircuitBreakerLayer::consecutive_failures(5).open_for(Duration::from_millis(5));
    let limit = RateLimitLayer::new(hourly(1_000));
    let budget = TokenBudgetLayer::new(Dimension::REQUESTS, hourly(500));
    let status = Status::new()
        .metrics(metrics.clone())
        .add("client", measured.handle())
        .add("queue", queue.queue().clone())
        .add("breaker", breaker.breaker().clone())
        .add("budget", budget.budget().clone())
        .add("rate", limit.limiter().clone());
    let observer = |name| (metrics.layer(name), status.observer(name));
    let service = ServiceBuilder::new()
        .layer(measured)
        .layer(queue.observe(observer("queue")))
        .layer(breaker.observe(observer("breaker")))
        .layer(limit.observe(observer("rate")))
        .layer(budget.observe(observer("budget")))
        .service(service_fn(|n| upstream(n, &calls)));
    let callers = (0..60).map(|caller| call(service.clone(), caller));
    let mut counted = Counted::default();
    for one in futures_util::future::join_all(callers).await {
        add(&mut counted, &one);
    }
    (counted, status.report())
}

#[tokio::test(start_paused = true)]
async fn the_status_agrees_with_what_a_client_counted() {
    let (counted, report) = thousands().await;
    let each = [
        counted.served,
        counted.failed,
        counted.limited,
        counted.spent,
        counted.open,
        counted.full,
        counted.left,
    ];
    assert!(!each.contains(&0), "{counted:?}");
    assert_eq!(each.iter().sum::<u64>(), 6_000);
    let client = report.layers[0].report.requests.as_ref().unwrap();
    let refused = counted.limited + counted.spent + counted.open + counted.full;
    assert_eq!((client.started, client.in_flight), (6_000, 0));
    let mut ended = client.ended.clone();
    ended.sort_unstable();
    let expected = [
        ("aborted", counted.left),
        ("failure", counted.failed),
        ("refused", refused),
        ("success", counted.served),
    ];
    assert_eq!(ended, expected);
    assert_eq!(client.to_end.count, 6_000);
    assert_eq!(report.refusals.total, refused);
    assert_eq!(report.refusals.recent.len(), 64);
    assert_layers(&counted, &report);
}

fn assert_layers(counted: &Counted, report: &StatusReport) {
    for (name, reason, refused) in [
        ("queue", "queue_full", counted.full),
        ("breaker", "circuit_open", counted.open),
        ("rate", "rate_limit", counted.limited),
        ("budget", "token_budget", counted.spent),
    ] {
        let (told, events) = layer(report, name);
        assert_eq!(events.refused, [(reason, refused)], "{name}");
        let own = (told.admitted, told.refused);
        let (admitted, refused) = (Some(events.admitted), Some(refused));
        match name {
            "queue" => assert_eq!(own, (None, None)),
            "breaker" => assert_eq!(own, (None, refused)),
            _ => assert_eq!(own, (admitted, refused), "{name}"),
        }
    }
    // What one layer admits, the next is asked.
    let asked = |name| {
        let (_, events) = layer(report, name);
        events.admitted + events.refused.iter().map(|(_, count)| count).sum::<u64>()
    };
    let admitted = |name| layer(report, name).1.admitted;
    assert_eq!(asked("breaker"), admitted("queue"));
    assert_eq!(asked("rate"), admitted("breaker"));
    assert_eq!(asked("budget"), admitted("rate"));
    let (rate, _) = layer(report, "rate");
    assert_eq!(
        (rate.quotas[0].used, rate.quotas[0].left),
        (Some(1_000), Some(0))
    );

    // Whoever left did so while it waited or while it ran.
    let (queue, events) = layer(report, "queue");
    assert_eq!(asked("queue") + events.left, 6_000);
    assert_eq!((events.waiting, queue.waiting), (0, Some(0)));
    let places = queue.queue.as_ref().expect("it has places").places;
    assert_eq!((places.idle, places.busy, places.draining), (8, 0, 0));
}

fn hourly(units: u64) -> Quota {
    Quota::rolling(units, Duration::from_secs(3_600))
}

/// Why a layer said no, if one did.
trait Why {
    fn why(&self) -> Option<Reason>;
}

impl Why for io::Error {
    fn why(&self) -> Option<Reason> {
        None
    }
}

impl<E: Why> Why for Error<E> {
    fn why(&self) -> Option<Reason> {
        match self {
            Self::Rejected(rejection) => Some(rejection.reason()),
            Self::Inner(error) => error.why(),
        }
    }
}
