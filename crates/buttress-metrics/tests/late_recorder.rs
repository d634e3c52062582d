//! A recorder that is installed for the process after the layer was built, and after it was used.

use std::io;

use buttress_core::{Event, Observe};
use buttress_metrics::{Metrics, MetricsLayer};
use metrics_exporter_prometheus::PrometheusBuilder;
use tower::{Layer, ServiceExt, service_fn};

#[tokio::test]
async fn what_happens_after_it_was_installed_is_told() {
    let layer = MetricsLayer::new("late");
    let metrics = Metrics::new();
    let observer = metrics.layer("late");
    let service = layer.layer(service_fn(async |()| Ok::<_, io::Error>(())));
    let admitted = || observer.event(Event::Admitted { shadowed: false });
    for _ in 0..3 {
        service.clone().oneshot(()).await.unwrap();
        admitted();
    }
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).unwrap();
    for _ in 0..4 {
        service.clone().oneshot(()).await.unwrap();
        admitted();
    }
    let scrape = handle.render();
    let calls = "buttress_calls{layer=\"late\",outcome=\"success\"} 4";
    let admitted = "buttress_admitted{layer=\"late\"} 4";
    assert!(
        scrape.contains(calls) && scrape.contains(admitted),
        "{scrape}"
    );
    assert_eq!(layer.metrics().requests, 7, "in process nothing is lost");
    assert_eq!(observer.snapshot().admitted, 7);
}
