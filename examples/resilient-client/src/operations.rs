//! What those who run it see: `/status`, and `/metrics` for Prometheus.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use buttress::core::BoxError;
use buttress::metrics::{LayerMetrics, MetricsHandle, RefusalObserver};
use buttress::{Metrics, MetricsLayer, Status};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::layers::Layers;

/// The bounds of latencies in `/metrics`, in seconds.
const BOUNDS: [f64; 12] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];

/// How often what histograms have gathered is put in order, whether or not anybody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// What counts and what shows.
#[derive(Clone)]
pub(crate) struct Operations {
    recorder: Arc<PrometheusRecorder>,
    prometheus: PrometheusHandle,
    metrics: Metrics,
    status: Status,
}

impl Operations {
    /// Whoever has the token can reset the breaker, or force it open or closed.
    pub(crate) fn new(token: Option<&str>) -> Result<Self, BoxError> {
        let builder = PrometheusBuilder::new().with_recommended_naming(true);
        let recorder = Arc::new(builder.set_buckets(&BOUNDS)?.build_recorder());
        let metrics = Metrics::with_recorder(Arc::clone(&recorder));
        let status = Status::new().metrics(metrics.clone());
        Ok(Self {
            prometheus: recorder.handle(),
            recorder,
            metrics,
            status: match token {
                Some(token) => status.controls(token)?,
                None => status,
            },
        })
    }

    /// What hears what a layer does.
    pub(crate) fn observer(&self, layer: &'static str) -> (LayerMetrics, RefusalObserver) {
        (self.metrics.layer(layer), self.status.observer(layer))
    }

    /// What goes around the whole client.
    pub(crate) fn measure(&self) -> MetricsLayer {
        MetricsLayer::new("client").recorder(Arc::clone(&self.recorder))
    }

    /// The routes. `measured` is the handle of what goes around the client.
    pub(crate) fn routes(&self, layers: &Layers, measured: MetricsHandle) -> Router {
        let (pace, breaker) = (layers.pace.limiter(), layers.breaker.breaker());
        let budget = layers.retry.retry_budget();
        self.metrics.watch("retry", budget.clone());
        self.metrics.watch("pace", pace.clone());
        self.metrics.watch("breaker", breaker.clone());
        let status = self.status.clone();
        let status = status
            .add("client", measured)
            .add("retry", budget.clone())
            .add("pace", pace.clone())
            .add("breaker", breaker.clone());
        let (metrics, prometheus) = (self.metrics.clone(), self.prometheus.clone());
        let scrape = async move || {
            metrics.publish();
            (
                [(CONTENT_TYPE, "text/plain; version=0.0.4")],
                prometheus.render(),
            )
        };
        status.router().route("/metrics", get(scrape))
    }

    /// Keeps histograms small while nobody scrapes, for ever.
    pub(crate) async fn keep_up(self) {
        let mut rounds = tokio::time::interval(UPKEEP);
        loop {
            rounds.tick().await;
            self.prometheus.run_upkeep();
        }
    }
}
