//! All layers of a process that are observed, by name.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buttress_core::{Now, Sample};
use metrics::Recorder;

use crate::observer::{LayerMetrics, LayerSnapshot};
use crate::sampled::{Number, Sampled};
use crate::sink::Sink;

/// What layers decide, as metrics: an observer for each, and the handles that are asked for what events do
/// not tell.
///
/// ```
/// use buttress_metrics::Metrics;
/// use buttress_rate_limit::{Quota, RateLimitLayer};
///
/// let metrics = Metrics::new();
/// let layer = RateLimitLayer::new(Quota::per_second(10));
/// metrics.watch("rate_limit", layer.limiter().clone());
/// let layer = layer.observe(metrics.layer("rate_limit"));
///
/// // Right before a scrape is rendered:
/// metrics.publish();
/// # let _ = layer;
/// ```
///
/// Counters rise as things happen. States (how much is left, how many wait, how many keys are remembered) are
/// asked for by [`publish`](Self::publish), because they change without anybody calling. Clones are one.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Shared>);

#[derive(Default)]
struct Shared {
    sink: Sink,
    layers: Mutex<Vec<LayerMetrics>>,
    sampled: Mutex<(u64, Vec<Sampled>)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Metrics {
    /// Tells the recorder that is installed for the process when something is first counted.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells this recorder.
    #[must_use]
    pub fn with_recorder(recorder: impl Recorder + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared {
            sink: Sink::new(Arc::new(recorder)),
            ..Shared::default()
        }))
    }

    /// The observer of a layer; its name is the label `layer`. One name is one observer, so give one to each
    /// layer, such as `llm.rate_limit`.
    #[must_use]
    pub fn layer(&self, name: &str) -> LayerMetrics {
        let mut layers = lock(&self.0.layers);
        if let Some(layer) = layers.iter().find(|layer| *layer.inner().name == *name) {
            return layer.clone();
        }
        let layer = LayerMetrics::new(name.to_owned().into(), self.0.sink.clone());
        layers.push(layer.clone());
        layer
    }

    /// Asks a handle for its numbers at every [`publish`](Self::publish): a limiter, a budget, a breaker, a
    /// queue. The name is that of the layer's observer.
    pub fn watch(&self, name: &str, handle: impl Sample + Send + Sync + 'static) {
        let sampled = Sampled::new(self.layer(name), Box::new(handle));
        lock(&self.0.sampled).1.push(sampled);
    }

    /// Asks all handles that are watched, and tells the recorder what they say. Call it right before a scrape
    /// is rendered, or every few seconds if metrics are pushed.
    ///
    /// Keyed handles go through their tables for it, which takes microseconds for every thousand keys.
    pub fn publish(&self) {
        let now = Now::new();
        let mut sampled = lock(&self.0.sampled);
        let (round, sampled) = &mut *sampled;
        *round += 1;
        for one in sampled {
            one.publish(*round, &now);
        }
    }

    /// What all layers have decided until now, in the order in which they were named.
    #[must_use]
    pub fn snapshot(&self) -> Vec<LayerSnapshot> {
        let layers = lock(&self.0.layers).clone();
        layers.iter().map(LayerMetrics::snapshot).collect()
    }

    /// What the handles say that are watched under a name.
    #[must_use]
    pub fn numbers(&self, name: &str) -> Vec<Number> {
        let now = Now::new();
        let mut numbers = Vec::new();
        let sampled = lock(&self.0.sampled);
        for one in sampled
            .1
            .iter()
            .filter(|one| *one.layer.inner().name == *name)
        {
            one.source
                .sample(&now, &mut |reading| numbers.extend(Number::new(&reading)));
        }
        numbers
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metrics").field(&self.snapshot()).finish()
    }
}
