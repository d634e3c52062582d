//! The layer around any service.

use std::future::{pending, ready};
use std::io;
use std::time::Duration;

use buttress_core::time::now;
use buttress_core::{Error, Reason, Rejection, When, as_timed_out};
use buttress_metrics::{Ending, LayerMetrics, Measured, Metrics, MetricsHandle, MetricsLayer};
use futures_util::poll;
use tokio::sync::oneshot;
use tokio::time::advance;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_test::mock;

use crate::support::{Scrape, recorder};

/// What the service is to answer.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Good,
    Bad,
    Refused,
}

async fn answer(ask: Ask) -> Result<(), Error<io::Error>> {
    match ask {
        Ask::Good => Ok(()),
        Ask::Bad => Err(Error::Inner(io::Error::other("bad"))),
        Ask::Refused => {
            let rejection = Rejection::new(Reason::RateLimit, When::Unknown);
            Err(Error::Rejected(rejection))
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_call_is_counted_once_by_how_it_ended() {
    let (recorder, handle) = recorder();
    let layer = MetricsLayer::new("any").recorder(recorder);
    let service = layer.layer(service_fn(answer));
    for (ask, times) in [(Ask::Good, 5), (Ask::Bad, 3), (Ask::Refused, 2)] {
        for _ in 0..times {
            let _ = service.clone().oneshot(ask).await;
        }
    }
    let seen = layer.metrics();
    assert_eq!((seen.requests, seen.in_flight), (10, 0));
    assert_eq!(seen.count(Ending::Success), 5);
    assert_eq!(seen.count(Ending::Failure), 3);
    assert_eq!(seen.count(Ending::Refused), 2);
    assert_eq!(seen.to_body_end.count, 10);
    let scrape = Scrape::of(&handle);
    let outcome =
        |outcome| scrape.count("buttress_calls", &[("layer", "any"), ("outcome", outcome)]);
    assert_eq!(
        (outcome("success"), outcome("failure"), outcome("refused")),
        (5, 3, 2)
    );
    assert_eq!(scrape.count("buttress_call_duration_count", &[]), 10);
    assert_eq!(scrape.series("buttress_calls_active").len(), 1);
    assert_eq!(scrape.count("buttress_calls_active", &[]), 0);
}

#[tokio::test(start_paused = true)]
async fn times_are_those_of_the_paused_clock_and_leave_the_last_minute() {
    let layer = MetricsLayer::new("times");
    let service = layer.layer(service_fn(async |millis: u64| {
        tokio::time::sleep_until(now() + Duration::from_millis(millis)).await;
        Ok::<_, io::Error>(())
    }));
    for millis in 1..=100 {
        service.clone().oneshot(millis).await.unwrap();
    }
    let near = |found: Duration, millis: u64| {
        let wanted = Duration::from_millis(millis);
        assert!(
            found.abs_diff(wanted) <= wanted / 50,
            "{found:?} for {wanted:?}"
        );
    };
    let seen = layer.metrics();
    for percentiles in [seen.to_body_end, seen.to_body_end_last_minute, seen.to_head] {
        assert_eq!(percentiles.count, 100);
        near(percentiles.p50, 50);
        near(percentiles.p90, 90);
        near(percentiles.p99, 99);
        near(percentiles.mean, 50);
        near(percentiles.max, 100);
    }
    assert_eq!(seen.to_body_end.max, Duration::from_millis(100), "exact");
    advance(Duration::from_secs(45)).await;
    service.clone().oneshot(1_000).await.unwrap();
    assert_eq!(layer.metrics().to_body_end_last_minute.count, 101);
    advance(Duration::from_secs(30)).await;
    let minute = layer.metrics().to_body_end_last_minute;
    assert_eq!(minute.count, 1, "the first hundred are over a minute old");
    near(minute.p50, 1_000);
    advance(Duration::from_secs(3_600)).await;
    assert_eq!(layer.metrics().to_body_end_last_minute.count, 0);
    assert_eq!(layer.metrics().to_body_end.count, 101);
    service.oneshot(2_000).await.unwrap();
    let minute = layer.metrics().to_body_end_last_minute;
    assert_eq!(minute.count, 1, "a long idle gap forgets all before it");
    near(minute.max, 2_000);
}

/// Trap 22: a gauge that falls in the future's last line never falls when the future is dropped.
#[tokio::test(start_paused = true)]
async fn trap_22_the_gauge_falls_wherever_the_call_is_dropped() {
    let (recorder, handle) = recorder();
    let layer = MetricsLayer::new("drop").recorder(recorder);
    let service = layer.layer(service_fn(async |steps: u32| {
        for _ in 0..steps {
            tokio::task::yield_now().await;
        }
        pending::<Result<(), io::Error>>().await
    }));
    let mut dropped = 0;
    for polls in 0..4 {
        let mut future = Box::pin(service.clone().oneshot(polls));
        for _ in 0..polls {
            assert!(poll!(&mut future).is_pending());
        }
        let begun = u64::from(polls > 0);
        dropped += begun;
        assert_eq!(layer.metrics().in_flight, begun);
        assert_eq!(
            Scrape::of(&handle).count("buttress_calls_active", &[]),
            begun
        );
        drop(future);
        assert_eq!(layer.metrics().in_flight, 0);
        assert_eq!(Scrape::of(&handle).count("buttress_calls_active", &[]), 0);
    }
    assert_eq!(layer.metrics().count(Ending::Aborted), dropped);
    let mut service = service;
    let called = service.call(1);
    assert_eq!(
        layer.metrics().in_flight,
        1,
        "it is counted when it is called"
    );
    as_timed_out(|| drop(called));
    let seen = layer.metrics();
    assert_eq!((seen.in_flight, seen.count(Ending::TimedOut)), (0, 1));
    let ended = |outcome| Scrape::of(&handle).count("buttress_calls", &[("outcome", outcome)]);
    assert_eq!((ended("aborted"), ended("timed_out")), (dropped, 1));
}

#[tokio::test(start_paused = true)]
async fn trap_22_a_gauge_that_never_rose_does_not_fall() {
    // No recorder is installed when the call begins; then there is one, on this thread.
    let layer = MetricsLayer::new("late");
    let (answer, answered) = oneshot::channel::<()>();
    let mut answered = Some(answered);
    let mut service = layer.layer(service_fn(move |()| {
        let answered = answered.take();
        async move {
            if let Some(answered) = answered {
                answered.await.map_err(io::Error::other)?;
            }
            Ok::<_, io::Error>(())
        }
    }));
    let mut before = Box::pin(service.call(()));
    assert!(poll!(&mut before).is_pending());
    let (recorder, handle) = recorder();
    let installed = metrics::set_default_local_recorder(&recorder);
    service.call(()).await.unwrap();
    answer.send(()).unwrap();
    before.await.unwrap();
    drop(installed);
    let scrape = Scrape::of(&handle);
    assert_eq!(
        scrape.sum("buttress_calls_active", &[]).to_bits(),
        0.0_f64.to_bits()
    );
    assert_eq!(
        scrape.count("buttress_calls", &[]),
        2,
        "both ended under the recorder"
    );
    assert_eq!(layer.metrics().requests, 2);
}

#[tokio::test(start_paused = true)]
async fn readiness_is_the_inner_services_and_clones_count_together() {
    let layer = MetricsLayer::new("mock");
    let (service, mut inner) = mock::pair::<u32, u32>();
    let mut service = MetricsLayer::new("boxed")
        .classify(buttress_core::ByBoxError)
        .layer(service);
    inner.allow(0);
    assert!(poll!(service.ready()).is_pending());
    inner.allow(1);
    service.ready().await.unwrap();
    let call = service.call(7);
    let (asked, respond) = inner.next_request().await.unwrap();
    respond.send_response(asked + 1);
    assert_eq!(call.await.unwrap(), 8);
    inner.send_error("broken");
    assert!(
        service.ready().await.is_err(),
        "an error of readiness is passed on"
    );

    // Two services of one layer, their clones, and a clone of the layer.
    let one = layer.layer(service_fn(answer));
    let two = layer.clone().layer(service_fn(answer));
    for service in [one.clone(), one, two.clone(), two] {
        service.oneshot(Ask::Good).await.unwrap();
    }
    assert_eq!(layer.metrics().requests, 4);
    assert_eq!(layer.handle().metrics().count(Ending::Success), 4);
}

#[test]
fn a_panicking_service_leaves_nothing_in_flight() {
    let layer = MetricsLayer::new("panics");
    let panics = service_fn(|_: ()| -> std::future::Ready<Result<(), io::Error>> {
        panic!("as a service may")
    });
    let mut service = layer.layer(panics);
    let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        drop(service.call(()));
    }));
    assert!(called.is_err());
    let seen = layer.metrics();
    assert_eq!((seen.in_flight, seen.count(Ending::Aborted)), (0, 1));
}

#[test]
fn auto_traits() {
    fn traits<T: Send + Sync + Unpin>(_: &T) {}
    fn cloned<T: Clone + Send + Sync + Unpin + 'static>() {}
    let service =
        MetricsLayer::new("traits").layer(service_fn(|(): ()| ready(Ok::<_, BoxError>(()))));
    traits(&service);
    cloned::<MetricsLayer>();
    cloned::<Measured<(), (), ()>>();
    cloned::<Metrics>();
    cloned::<LayerMetrics>();
    cloned::<MetricsHandle>();
    let mut service = MetricsLayer::new("traits").layer(service_fn(answer_ready));
    traits(&service.call(()));
}

fn answer_ready((): ()) -> std::future::Ready<Result<(), io::Error>> {
    ready(Ok(()))
}
