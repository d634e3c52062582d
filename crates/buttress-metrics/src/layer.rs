//! The layer and its builder.

use std::fmt;
use std::sync::Arc;

use buttress_core::ByError;
use metrics::{Recorder, SharedString};
use tower_layer::Layer;

use crate::kind::Kind;
use crate::protocol::Calls;
use crate::series::Context;
use crate::service::Measured;
use crate::shared::Shared;
use crate::sink::Sink;
use crate::snapshot::RequestMetrics;

/// How many sets of labels get series of their own by default.
pub const DEFAULT_LABEL_SETS: usize = 200;

/// Measures a service: how many requests, how they ended, how many run, how long they took.
///
/// Without more words it measures any service, from the call to its response or error. Every word adds to
/// that:
///
/// - what it speaks: with feature `http`, `http()`, `http_client()`, `grpc()`, `grpc_client()`; then labels are
///   read from requests and responses, bodies are followed to their end, and bytes are counted;
/// - how many sets of labels there may be: [`label_sets`](Self::label_sets);
/// - how responses are classified: [`classify`](Self::classify);
/// - which recorder is told: [`recorder`](Self::recorder);
/// - with feature `tracing`, a span for every request: `spans()`.
///
/// All services that one layer makes, and all clones, are counted together, and [`metrics`](Self::metrics)
/// tells what they have seen; say it last, since every other word makes a layer that begins anew.
pub struct MetricsLayer<P = Calls, C = ByError> {
    pub(crate) settings: Settings,
    pub(crate) protocol: P,
    pub(crate) classify: C,
    shared: Arc<Shared>,
}

/// What the shared state is made of.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) name: SharedString,
    pub(crate) kind: Kind,
    pub(crate) label_sets: usize,
    pub(crate) sink: Sink,
    pub(crate) spans: bool,
}

impl Settings {
    fn shared(&self) -> Arc<Shared> {
        let context = Context {
            layer: self.name.clone(),
            kind: self.kind,
            sink: self.sink.clone(),
        };
        Arc::new(Shared::new(context, self.label_sets))
    }
}

impl MetricsLayer {
    /// Measures under a name, which is the label `layer`. Layers of one name are told together by the
    /// recorder, and apart by [`metrics`](Self::metrics).
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let settings = Settings {
            name: name.into().into(),
            kind: Kind::Calls,
            label_sets: DEFAULT_LABEL_SETS,
            sink: Sink::default(),
            spans: false,
        };
        Self {
            shared: settings.shared(),
            settings,
            protocol: Calls,
            classify: ByError,
        }
    }
}

impl<P, C> MetricsLayer<P, C> {
    /// How many sets of labels (methods with routes, services with methods) get series of their own; the
    /// default is [`DEFAULT_LABEL_SETS`]. Requests beyond are counted under `other`, and
    /// `buttress.labels.overflow` tells how many there were.
    #[must_use]
    pub fn label_sets(self, most: usize) -> Self {
        self.set(|settings| settings.label_sets = most)
    }

    /// Tells this recorder, instead of the one that is installed for the process.
    #[must_use]
    pub fn recorder(self, recorder: impl Recorder + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.sink = Sink::new(Arc::new(recorder)))
    }

    /// Makes a span for every request (target `buttress_metrics`, level `info`). In its fields are how it
    /// ended, and what the layers below decided that tell [`Traced`](crate::Traced).
    #[cfg(feature = "tracing")]
    #[must_use]
    pub fn spans(self) -> Self {
        self.set(|settings| settings.spans = true)
    }

    /// How responses and errors are classified; [`ByError`], and for HTTP and gRPC by status, if nothing else
    /// is said.
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> MetricsLayer<P, C2> {
        MetricsLayer {
            settings: self.settings,
            protocol: self.protocol,
            classify,
            shared: self.shared,
        }
    }

    /// What has been seen until now.
    #[must_use]
    pub fn metrics(&self) -> RequestMetrics {
        self.shared.snapshot()
    }

    /// The handle by which others see what this layer has seen.
    #[must_use]
    pub fn handle(&self) -> MetricsHandle {
        MetricsHandle(Arc::clone(&self.shared))
    }

    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self.shared = self.settings.shared();
        self
    }

    #[cfg(feature = "http")]
    pub(crate) fn speaking<P2, C2>(
        self,
        kind: Kind,
        protocol: P2,
        classify: C2,
    ) -> MetricsLayer<P2, C2> {
        let layer = self.set(|settings| settings.kind = kind);
        MetricsLayer {
            settings: layer.settings,
            protocol,
            classify,
            shared: layer.shared,
        }
    }
}

/// What a [`MetricsLayer`] sees, for those who do not hold the layer. Clones see the same.
#[derive(Clone, Debug)]
pub struct MetricsHandle(Arc<Shared>);

impl MetricsHandle {
    /// What has been seen until now.
    #[must_use]
    pub fn metrics(&self) -> RequestMetrics {
        self.0.snapshot()
    }
}

impl<S, P: Copy, C: Clone> Layer<S> for MetricsLayer<P, C> {
    type Service = Measured<S, P, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let parts = (self.protocol, self.classify.clone());
        Measured::new(inner, Arc::clone(&self.shared), parts, self.settings.spans)
    }
}

impl<P: Clone, C: Clone> Clone for MetricsLayer<P, C> {
    fn clone(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            protocol: self.protocol.clone(),
            classify: self.classify.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<P, C> fmt::Debug for MetricsLayer<P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsLayer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
