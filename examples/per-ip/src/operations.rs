//! What those who run the app see: `/status`, and `/metrics` for Prometheus.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use buttress::core::ByError;
use buttress::http::ByStatus;
use buttress::metrics::{Http, LayerMetrics, RefusalObserver};
use buttress::{Metrics, MetricsLayer, Status};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::limiters::Limiters;

/// The bounds of latencies in `/metrics`, in seconds.
const BOUNDS: [f64; 12] = [
    0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0, 30.0,
];

/// How often what histograms have gathered is put in order, whether or not anybody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// What counts and what shows. Clones are one.
#[derive(Clone)]
pub struct Operations {
    measure: MetricsLayer<Http, ByStatus<ByError>>,
    metrics: Metrics,
    prometheus: PrometheusHandle,
    status: Status,
}

impl Operations {
    /// What is seen of these limiters.
    #[must_use]
    pub fn new(limiters: &Limiters) -> Self {
        let builder = PrometheusBuilder::new().with_recommended_naming(true);
        let recorder = builder
            .set_buckets(&BOUNDS)
            .expect("there are bounds")
            .build_recorder();
        let recorder = Arc::new(recorder);
        let measure = MetricsLayer::new("app")
            .recorder(Arc::clone(&recorder))
            .http();
        let metrics = Metrics::with_recorder(Arc::clone(&recorder));
        metrics.watch("chat", limiters.chat.clone());
        metrics.watch("search", limiters.search.clone());
        let status = Status::new()
            .metrics(metrics.clone())
            .add("app", measure.handle())
            .add("chat", limiters.chat.clone())
            .add("search", limiters.search.clone());
        Self {
            measure,
            metrics,
            prometheus: recorder.handle(),
            status,
        }
    }

    /// What goes around all routes.
    pub(crate) fn measure(&self) -> MetricsLayer<Http, ByStatus<ByError>> {
        self.measure.clone()
    }

    /// What hears what a limiter does.
    pub(crate) fn observer(&self, name: &'static str) -> (LayerMetrics, RefusalObserver) {
        (self.metrics.layer(name), self.status.observer(name))
    }

    /// `/status` and `/metrics`.
    pub(crate) fn routes(&self) -> Router {
        let (metrics, prometheus) = (self.metrics.clone(), self.prometheus.clone());
        let scrape = async move || {
            metrics.publish();
            (
                [(CONTENT_TYPE, "text/plain; version=0.0.4")],
                prometheus.render(),
            )
        };
        self.status.router().route("/metrics", get(scrape))
    }

    /// Keeps histograms small while nobody scrapes, for ever.
    pub async fn keep_up(self) {
        let mut rounds = tokio::time::interval(UPKEEP);
        loop {
            rounds.tick().await;
            self.prometheus.run_upkeep();
        }
    }
}

impl std::fmt::Debug for Operations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operations")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
