//! Spans and events of `tracing`.
#![cfg(feature = "tracing")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use buttress_core::{Event, KeyHash, Observe};
use buttress_metrics::{Metrics, MetricsLayer, Target, Traced};
use buttress_rate_limit::{Quota, RateLimitLayer};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics here").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().expect("nobody panics here");
        let text = String::from_utf8_lossy(&bytes);
        text.lines().map(str::to_owned).collect()
    }
}

fn logging(filter: &str) -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(log.clone())
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(false)
        .without_time()
        .finish();
    (log, tracing::subscriber::set_default(subscriber))
}

#[tokio::test(start_paused = true)]
async fn the_decision_is_in_the_spans_fields() {
    let (log, _guard) = logging("buttress_metrics=info");
    let metrics = Metrics::new();
    let traced = Traced::new(Target::RateLimit, "limit");
    let service = ServiceBuilder::new()
        .layer(MetricsLayer::new("llm").spans())
        .layer(RateLimitLayer::new(Quota::per_hour(1)).observe((metrics.layer("limit"), traced)))
        .service(service_fn(async |number: u32| Ok::<_, io::Error>(number)));
    service.clone().oneshot(1).await.unwrap();
    service.oneshot(2).await.unwrap_err();
    let lines = log.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for part in [
        "layer=\"llm\"",
        "admitted_by=\"limit\"",
        "outcome=\"success\"",
    ] {
        assert!(lines[0].contains(part), "{part} in {}", lines[0]);
    }
    let refused = [
        "refused_by=\"limit\"",
        "refused=\"rate_limit\"",
        "outcome=\"refused\"",
    ];
    for part in refused {
        assert!(lines[1].contains(part), "{part} in {}", lines[1]);
    }
    assert_eq!(
        metrics.layer("limit").snapshot().refused(),
        1,
        "both observers hear"
    );
}

#[test]
fn targets_choose_layers_and_levels() {
    let (log, _guard) = logging("buttress_rate_limit=debug,buttress_circuit_breaker=info");
    let rejection = buttress_core::Rejection::new(
        buttress_core::Reason::RateLimit,
        buttress_core::When::Unknown,
    );
    let changed = |to| Event::StateChanged {
        key: KeyHash::EVERYONE,
        from: "half_open",
        to,
    };
    let targets = [Target::RateLimit, Target::CircuitBreaker, Target::Retry];
    for target in targets {
        let traced = Traced::new(target, target.as_str());
        traced.event(Event::Admitted { shadowed: false });
        traced.event(Event::Rejected(rejection));
        traced.event(changed("open"));
        traced.event(changed("closed"));
    }
    let lines = log.lines();
    let starts = |line: &String| line.split(':').next().unwrap().trim().to_owned();
    let found: Vec<_> = lines.iter().map(starts).collect();
    let wanted = [
        "DEBUG buttress_rate_limit",
        "WARN buttress_rate_limit",
        "INFO buttress_rate_limit",
        "WARN buttress_circuit_breaker",
        "INFO buttress_circuit_breaker",
    ];
    assert_eq!(found, wanted);
}
