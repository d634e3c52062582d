//! What a layer decides, counted from its events.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use buttress_core::time::now;
use buttress_core::{Event, Observe};
use metrics::{Counter, Gauge, Histogram, Label, Recorder, SharedString};

use crate::latency::{Latency, Percentiles};
use crate::names;
use crate::sink::{Sink, counter, gauge, histogram};
use crate::tally::{STATES, TALLIES, Tally, state_of_all};

/// Counts what a layer decides: an [`Observe`] for every layer, made by [`Metrics::layer`](crate::Metrics::layer).
///
/// Clones count together. It holds every handle that it needs, so an event is an addition or two.
#[derive(Clone)]
pub struct LayerMetrics(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) name: SharedString,
    sink: Sink,
    counts: [Count; TALLIES],
    waits: OnceLock<Waits>,
    states: OnceLock<Box<[Gauge]>>,
    /// The state that the circuit of all calls was last heard to be in. It is also the lock under which the
    /// gauges are set, so that never two of them are 1.
    state: Mutex<Option<&'static str>>,
}

#[derive(Default)]
struct Count {
    value: AtomicU64,
    handle: OnceLock<Counter>,
}

/// Made when somebody waits for the first time.
struct Waits {
    latency: Latency,
    handle: OnceLock<Histogram>,
}

impl LayerMetrics {
    pub(crate) fn new(name: SharedString, sink: Sink) -> Self {
        Self(Arc::new(Inner {
            name,
            sink,
            counts: std::array::from_fn(|_| Count::default()),
            waits: OnceLock::new(),
            states: OnceLock::new(),
            state: Mutex::new(None),
        }))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// What has been counted until now.
    #[must_use]
    pub fn snapshot(&self) -> LayerSnapshot {
        self.0.snapshot()
    }
}

impl Observe for LayerMetrics {
    #[inline]
    fn event(&self, event: Event) {
        let inner = &*self.0;
        if let Some(tally) = Tally::of(&event) {
            inner.count(tally);
        }
        match event {
            Event::Admitted { shadowed: true } => inner.count(Tally::SHADOWED),
            Event::Waited(waited) => inner.waited(waited),
            Event::StateChanged { .. } => {
                if let Some(state) = state_of_all(&event) {
                    inner.set_state(state);
                }
            }
            _ => {}
        }
    }
}

impl Inner {
    #[inline]
    fn count(&self, tally: Tally) {
        let count = &self.counts[tally.index()];
        count.value.fetch_add(1, Relaxed);
        let handle = match count.handle.get() {
            Some(handle) => Some(handle),
            None => self.make_counter(count, tally),
        };
        if let Some(handle) = handle {
            handle.increment(1);
        }
    }

    #[cold]
    fn make_counter<'a>(&self, count: &'a Count, tally: Tally) -> Option<&'a Counter> {
        self.sink.with(|recorder| {
            let make = || match tally.name() {
                Some((name, label)) => {
                    let mut labels = vec![self.label()];
                    labels.extend(label);
                    counter(recorder, name, &labels)
                }
                // What a histogram tells beside its values.
                None => Counter::noop(),
            };
            count.handle.get_or_init(make)
        })
    }

    fn waited(&self, waited: Duration) {
        let now = now();
        let waits = self.waits.get_or_init(|| Waits {
            latency: Latency::new(now),
            handle: OnceLock::new(),
        });
        waits.latency.record(waited, now);
        let make = || {
            self.sink.with(|recorder| {
                let made = || histogram(recorder, &names::WAIT, &[self.label()]);
                waits.handle.get_or_init(made)
            })
        };
        if let Some(handle) = waits.handle.get().or_else(make) {
            handle.record(waited.as_secs_f64());
        }
    }

    /// Says which state the circuit of all calls is in: exactly one is.
    pub(crate) fn set_state(&self, state: &'static str) {
        let mut current = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some(state);
        let make = || {
            self.sink.with(|recorder| {
                self.states.get_or_init(|| {
                    let of = |state| {
                        let labels = [self.label(), Label::from_static_parts("state", state)];
                        gauge(recorder, &names::STATE, &labels)
                    };
                    STATES[..STATES.len() - 1].iter().copied().map(of).collect()
                })
            })
        };
        let Some(gauges) = self.states.get().or_else(make) else {
            return;
        };
        for (name, gauge) in STATES.iter().zip(gauges) {
            gauge.set(f64::from(u8::from(*name == state)));
        }
    }

    /// Calls `f` with the recorder, if there is one.
    pub(crate) fn recorded<T>(&self, f: impl FnOnce(&dyn Recorder) -> T) -> Option<T> {
        self.sink.with(f)
    }

    pub(crate) fn label(&self) -> Label {
        Label::new("layer", self.name.clone())
    }

    fn snapshot(&self) -> LayerSnapshot {
        let count = |tally: Tally| self.counts[tally.index()].value.load(Relaxed);
        let counts = |all: &mut dyn Iterator<Item = (&'static str, Tally)>| -> Vec<_> {
            let counted = all.map(|(name, tally)| (name, count(tally)));
            counted.filter(|(_, count)| *count > 0).collect()
        };
        // First those that have waited, so that none seems to that did not begin to.
        let waited = count(Tally::WAITED);
        let now = now();
        let waits = self.waits.get();
        LayerSnapshot {
            name: self.name.to_string(),
            admitted: count(Tally::ADMITTED),
            shadowed: count(Tally::SHADOWED),
            probes: count(Tally::PROBES),
            rejected: counts(&mut Tally::rejected()),
            ended: counts(&mut Tally::ended()),
            queued: count(Tally::QUEUED),
            left: count(Tally::LEFT),
            waiting: count(Tally::QUEUED).saturating_sub(waited),
            waits: waits.map_or_else(Percentiles::default, |waits| waits.latency.since_start()),
            waits_last_minute: waits
                .map_or_else(Percentiles::default, |waits| waits.latency.last_minute(now)),
            transitions: counts(&mut Tally::transitions()),
            state: *self.state.lock().unwrap_or_else(PoisonError::into_inner),
            retries: counts(&mut Tally::retries()),
            given_up: counts(&mut Tally::given_up()),
            hedges: count(Tally::HEDGES),
            thresholds: count(Tally::THRESHOLDS),
        }
    }
}

impl fmt::Debug for LayerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LayerMetrics")
            .field(&self.snapshot())
            .finish()
    }
}

/// What a layer has decided, as its events told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerSnapshot {
    /// The layer's name.
    pub name: String,
    /// Requests that were admitted.
    pub admitted: u64,
    /// Those of them that would have been refused if the layer were not in shadow mode.
    pub shadowed: u64,
    /// Those of them that were probes.
    pub probes: u64,
    /// Requests that were refused, by reason.
    pub rejected: Vec<(&'static str, u64)>,
    /// Admitted requests that have ended, by how.
    pub ended: Vec<(&'static str, u64)>,
    /// Requests that had to wait.
    pub queued: u64,
    /// Those of them that went away while they waited.
    pub left: u64,
    /// Those of them that wait now.
    pub waiting: u64,
    /// How long waits were, since the first.
    pub waits: Percentiles,
    /// How long those were that ended during the last minute (60 to 70 seconds).
    pub waits_last_minute: Percentiles,
    /// Changes of state of all circuits, by the new state.
    pub transitions: Vec<(&'static str, u64)>,
    /// The state that the circuit of all calls was last heard to be in.
    pub state: Option<&'static str>,
    /// Failed attempts that another followed, by how they had failed.
    pub retries: Vec<(&'static str, u64)>,
    /// Failed attempts that none followed, by what spoke against it.
    pub given_up: Vec<(&'static str, u64)>,
    /// Second attempts beside one that took long.
    pub hedges: u64,
    /// Times that a quota was used to a threshold for the first time in its window.
    pub thresholds: u64,
}

impl LayerSnapshot {
    /// How many requests were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.rejected.iter().map(|(_, count)| count).sum()
    }
}
