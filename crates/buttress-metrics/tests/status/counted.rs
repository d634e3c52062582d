//! What the status tells is what a client counted, to the unit.

use std::io;
use std::time::Duration;

use buttress_core::status::LayerReport;
use buttress_core::{Error, Reason};
use buttress_metrics::{Metrics, MetricsLayer, Status};
use buttress_priority_queue::PriorityQueueLayer;
use buttress_rate_limit::{Quota, RateLimitLayer};
use tokio::task::JoinSet;
use tower::{ServiceBuilder, ServiceExt, service_fn};

/// What a client saw.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    served: u64,
    failed: u64,
    limited: u64,
    full: u64,
    left: u64,
}

fn add(total: &mut Counted, one: Counted) {
    total.served += one.served;
    total.failed += one.failed;
    total.limited += one.limited;
    total.full += one.full;
    total.left += one.left;
}

fn layer<'a>(
    report: &'a buttress_metrics::status::StatusReport,
    name: &str,
) -> (&'a LayerReport, u64, u64) {
    let layer = report
        .layers
        .iter()
        .find(|layer| layer.name == name)
        .unwrap();
    let events = layer.events.as_ref().unwrap();
    let refused = events.refused.iter().map(|(_, count)| count).sum();
    (&layer.report, events.admitted, refused)
}

/// 6,000 requests of 60 callers at once. Some callers go away after a while, some calls fail, the queue has too
/// little room, and the quota is too small.
#[tokio::test(start_paused = true)]
async fn the_status_agrees_with_what_a_client_counted() {
    let metrics = Metrics::new();
    let measured = MetricsLayer::new("client");
    let queue = PriorityQueueLayer::new(8).capacity(24);
    let limit = RateLimitLayer::new(Quota::rolling(2_000, Duration::from_secs(3_600)));
    let status = Status::new()
        .metrics(metrics.clone())
        .add("client", measured.handle())
        .add("queue", queue.queue().clone())
        .add("rate", limit.limiter().clone());
    let service = ServiceBuilder::new()
        .layer(measured)
        .layer(queue.observe((metrics.layer("queue"), status.observer("queue"))))
        .layer(limit.observe((metrics.layer("rate"), status.observer("rate"))))
        .service(service_fn(async |n: u64| {
            let _ =
                tokio::time::timeout(Duration::from_millis(n % 7), std::future::pending::<()>())
                    .await;
            match n % 11 {
                0 => Err(io::Error::other("no")),
                _ => Ok(n),
            }
        }));
    let mut callers = JoinSet::new();
    for caller in 0..60_u64 {
        let service = service.clone();
        callers.spawn(async move {
            let mut counted = Counted::default();
            for round in 0..100_u64 {
                let n = caller * 100 + round;
                let call = service.clone().oneshot(n);
                let patience = match n % 5 {
                    0 => Duration::from_millis(3),
                    _ => Duration::from_secs(60),
                };
                match tokio::time::timeout(patience, call).await {
                    Err(_) => counted.left += 1,
                    Ok(Ok(_)) => counted.served += 1,
                    Ok(Err(error)) => match reason(&error) {
                        None => counted.failed += 1,
                        Some(Reason::RateLimit) => counted.limited += 1,
                        Some(_) => counted.full += 1,
                    },
                }
            }
            counted
        });
    }
    let mut counted = Counted::default();
    while let Some(one) = callers.join_next().await {
        add(&mut counted, one.unwrap());
    }
    for all in [
        counted.served,
        counted.failed,
        counted.limited,
        counted.full,
        counted.left,
    ] {
        assert!(all > 0, "{counted:?}");
    }

    let report = status.report();
    let client = report.layers[0].report.requests.as_ref().unwrap();
    let ended = |name| {
        client
            .ended
            .iter()
            .find(|(ending, _)| *ending == name)
            .map_or(0, |(_, count)| *count)
    };
    assert_eq!((client.started, client.in_flight), (6_000, 0));
    assert_eq!(ended("success"), counted.served);
    assert_eq!(ended("failure"), counted.failed);
    assert_eq!(ended("refused"), counted.limited + counted.full);
    assert_eq!(ended("aborted"), counted.left);
    assert_eq!(client.to_end.count, 6_000);

    let (rate, admitted, refused) = layer(&report, "rate");
    assert_eq!(
        (rate.admitted, rate.refused),
        (Some(admitted), Some(refused))
    );
    assert_eq!(refused, counted.limited);
    assert_eq!(
        (admitted, rate.quotas[0].used, rate.quotas[0].left),
        (2_000, Some(2_000), Some(0))
    );

    let (queue, admitted, refused) = layer(&report, "queue");
    let events = report.layers[1].events.as_ref().unwrap();
    assert_eq!(events.refused, [("queue_full", counted.full)]);
    // Whoever left did so while it waited or while it ran.
    assert_eq!(admitted + refused + events.left, 6_000);
    assert_eq!((events.waiting, queue.waiting), (0, Some(0)));
    let places = queue.queue.as_ref().unwrap().places;
    assert_eq!((places.idle, places.busy, places.draining), (8, 0, 0));
    assert_eq!(report.refusals.total, counted.full + counted.limited);
    assert_eq!(report.refusals.recent.len(), 64);
}

/// Why a layer said no, if one did.
fn reason(error: &Error<Error<io::Error>>) -> Option<Reason> {
    match error {
        Error::Rejected(rejection) | Error::Inner(Error::Rejected(rejection)) => {
            Some(rejection.reason())
        }
        Error::Inner(Error::Inner(_)) => None,
    }
}
