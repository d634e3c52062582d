//! Measuring layers over ready services, and what it costs to hear an event.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use ::metrics::NoopRecorder;
use axum::body::Body;
use axum_prometheus::PrometheusMetricLayer;
use buttress_core::{End, Event, Observe, Outcome, Reason, Rejection, When};
use buttress_http::Route;
use buttress_metrics::{LayerMetrics, Metrics, MetricsLayer};
use http::{Request, Response};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::{ManualReader, SdkMeterProvider};
use tower::{Layer, Service};
use tower_otel_http_metrics::HTTPMetricsLayerBuilder;

use crate::case::{Aim, Case, Group};
use crate::drive;

const BARE: &str = "bare service";
const AXUM_PROMETHEUS: &str = "axum-prometheus";
const NOTHING: &str = "no observer";

/// Always ready, answers at once.
#[derive(Clone, Copy)]
struct Bare;

impl Service<u32> for Bare {
    type Response = u32;
    type Error = Infallible;
    type Future = Ready<Result<u32, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: u32) -> Self::Future {
        ready(Ok(call))
    }
}

impl Service<Request<Body>> for Bare {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(Response::new(Body::empty())))
    }
}

fn prometheus() -> PrometheusRecorder {
    let recorder = PrometheusBuilder::new().build_recorder();
    kept_short(recorder.handle());
    recorder
}

/// The exporter keeps every value until somebody scrapes, or this is called.
fn kept_short(handle: PrometheusHandle) {
    std::thread::spawn(move || {
        let pause = Duration::from_millis(100);
        loop {
            std::thread::park_timeout(pause);
            handle.run_upkeep();
        }
    });
}

/// A measuring layer over a service that does nothing, with requests of our own type.
pub(super) fn plain() -> Group {
    let calls = || {
        let mut call = 0_u32;
        move || {
            call = call.wrapping_add(1);
            call
        }
    };
    let sent_to = |name, layer: Option<MetricsLayer>| match layer {
        Some(layer) => Case::new(name, drive::service(layer.layer(Bare), calls())),
        None => Case::new(name, drive::service::<Bare, u32>(Bare, calls())),
    };
    let layer = || MetricsLayer::new("bench");
    let concurrency = tower::limit::ConcurrencyLimitLayer::new(1_024).layer(Bare);
    let cases = vec![
        sent_to(BARE, None),
        Case::new(
            "tower ConcurrencyLimit",
            drive::service(concurrency, calls()),
        ),
        sent_to("MetricsLayer, no recorder", Some(layer()))
            .aim(Aim::Nanoseconds(130.0))
            .aim(Aim::Allocations(0.0)),
        sent_to(
            "MetricsLayer, Prometheus",
            Some(layer().recorder(prometheus())),
        )
        .aim(Aim::Nanoseconds(300.0)),
    ];
    Group::new("measuring a ready service", "tower ConcurrencyLimit", cases).over(BARE)
}

/// A measuring layer over a service of HTTP that does nothing.
pub(super) fn http() -> Group {
    let route: Arc<str> = "/users/{id}".into();
    let requests = move || {
        let route = Arc::clone(&route);
        move || {
            let mut request = Request::new(Body::empty());
            request.extensions_mut().insert(Route(Arc::clone(&route)));
            request
        }
    };
    let layer = || MetricsLayer::new("bench").http();
    let (peer, _) = axum_prometheus();
    let otel = {
        let reader = ManualReader::builder().build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        let builder = HTTPMetricsLayerBuilder::builder().with_meter(provider.meter("bench"));
        // The provider is kept for as long as the process lives: without it nothing is recorded.
        std::mem::forget(provider);
        builder.build().expect("the layer's bounds are the default")
    };
    let cases = vec![
        Case::new(
            BARE,
            drive::service::<Bare, Request<Body>>(Bare, requests()),
        ),
        Case::new(
            AXUM_PROMETHEUS,
            drive::service(peer.layer(Bare), requests()),
        ),
        Case::new(
            "tower-otel-http-metrics",
            drive::service(otel.layer(Bare), requests()),
        ),
        Case::new(
            "MetricsLayer, a recorder that keeps nothing",
            drive::service(layer().recorder(NoopRecorder).layer(Bare), requests()),
        )
        .aim(Aim::Nanoseconds(130.0))
        .aim(Aim::Allocations(0.0)),
        Case::new(
            "MetricsLayer, Prometheus",
            drive::service(layer().recorder(prometheus()).layer(Bare), requests()),
        )
        .aim(Aim::Nanoseconds(300.0)),
    ];
    Group::new("measuring a ready HTTP service", AXUM_PROMETHEUS, cases).over(BARE)
}

/// It records into the recorder of the process, which can be installed but once.
fn axum_prometheus() -> (PrometheusMetricLayer<'static>, &'static PrometheusHandle) {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let handle = HANDLE.get_or_init(|| {
        // It wants a runtime for a task that keeps its values short; `kept_short` does that here.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime of one thread");
        let _entered = runtime.enter();
        let (_, handle) = PrometheusMetricLayer::pair();
        kept_short(handle.clone());
        handle
    });
    (PrometheusMetricLayer::new(), handle)
}

/// What it costs to hear an event.
pub(super) fn observed() -> Group {
    let heard = |name, observer: LayerMetrics, event: Event| {
        let run = drive::calls(move |_| observer.event(std::hint::black_box(event)));
        Case::new(name, run).aim(Aim::Allocations(0.0))
    };
    let admitted = Event::Admitted { shadowed: false };
    let rejected = Event::Rejected(Rejection::new(Reason::RateLimit, When::Unknown));
    let ended = Event::Ended(End::Settled(Outcome::Success, None));
    let none = || Metrics::new().layer("bench");
    let told = || Metrics::with_recorder(prometheus()).layer("bench");
    let nothing = drive::calls(move |_| ().event(std::hint::black_box(admitted)));
    let cases = vec![
        Case::new(NOTHING, nothing),
        heard("admitted, no recorder", none(), admitted).aim(Aim::Nanoseconds(15.0)),
        heard("rejected, no recorder", none(), rejected).aim(Aim::Nanoseconds(15.0)),
        heard("ended, no recorder", none(), ended).aim(Aim::Nanoseconds(15.0)),
        heard("admitted, Prometheus", told(), admitted).aim(Aim::Nanoseconds(15.0)),
        heard("rejected, Prometheus", told(), rejected).aim(Aim::Nanoseconds(15.0)),
        heard("ended, Prometheus", told(), ended).aim(Aim::Nanoseconds(15.0)),
    ];
    Group::new("hearing an event", NOTHING, cases)
}
