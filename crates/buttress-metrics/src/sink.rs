//! Where metrics go: the recorder of the `metrics` facade.

use std::fmt;
use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder};

use crate::names::Name;

const METADATA: Metadata<'static> =
    Metadata::new("buttress_metrics", Level::INFO, Some(module_path!()));

/// The recorder that was named, else the one that is installed when a handle is first needed.
///
/// Handles are asked for when a series is first counted. As long as no recorder is installed none is kept, so
/// one that is installed later gets all that happens from then on. The facade does not tell whether there is
/// one; but what it has in place of one has no size, and a recorder that keeps anything has.
#[derive(Clone, Default)]
pub(crate) struct Sink(Option<Arc<dyn Recorder + Send + Sync>>);

impl Sink {
    pub(crate) fn new(recorder: Arc<dyn Recorder + Send + Sync>) -> Self {
        Self(Some(recorder))
    }

    /// Calls `f` with the recorder, if there is one.
    #[inline]
    pub(crate) fn with<T>(&self, f: impl FnOnce(&dyn Recorder) -> T) -> Option<T> {
        match &self.0 {
            Some(recorder) => Some(f(&**recorder)),
            None => {
                metrics::with_recorder(|recorder| (size_of_val(recorder) != 0).then(|| f(recorder)))
            }
        }
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink")
            .field("own", &self.0.is_some())
            .finish()
    }
}

pub(crate) fn counter(recorder: &dyn Recorder, name: &Name, labels: &[Label]) -> Counter {
    recorder.describe_counter(
        KeyName::from_const_str(name.name),
        Some(name.unit),
        name.help.into(),
    );
    recorder.register_counter(&key(name, labels), &METADATA)
}

pub(crate) fn gauge(recorder: &dyn Recorder, name: &Name, labels: &[Label]) -> Gauge {
    recorder.describe_gauge(
        KeyName::from_const_str(name.name),
        Some(name.unit),
        name.help.into(),
    );
    recorder.register_gauge(&key(name, labels), &METADATA)
}

pub(crate) fn histogram(recorder: &dyn Recorder, name: &Name, labels: &[Label]) -> Histogram {
    recorder.describe_histogram(
        KeyName::from_const_str(name.name),
        Some(name.unit),
        name.help.into(),
    );
    recorder.register_histogram(&key(name, labels), &METADATA)
}

fn key(name: &Name, labels: &[Label]) -> Key {
    Key::from_parts(name.name, labels.to_vec())
}
