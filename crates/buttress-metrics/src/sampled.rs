//! What handles tell when somebody looks.

use std::collections::HashMap;
use std::fmt;

use buttress_core::{Now, Quantity, Reading, Sample};
use metrics::{Counter, Gauge, Label};

use crate::names::{self, Name};
use crate::observer::LayerMetrics;
use crate::sink::{counter, gauge};

/// How many series the numbers of one handle may have.
const MOST: usize = 256;

/// A handle that is asked for its numbers.
pub(crate) struct Sampled {
    pub(crate) layer: LayerMetrics,
    pub(crate) source: Box<dyn Sample + Send + Sync>,
    series: HashMap<(Quantity, Box<str>), Series>,
    dropped: Option<Counter>,
}

struct Series {
    handle: Handle,
    /// The last round in which it was told.
    round: u64,
}

enum Handle {
    Total(Counter),
    State(Gauge),
}

impl Sampled {
    pub(crate) fn new(layer: LayerMetrics, source: Box<dyn Sample + Send + Sync>) -> Self {
        Self {
            layer,
            source,
            series: HashMap::new(),
            dropped: None,
        }
    }

    /// Asks, and tells the recorder.
    pub(crate) fn publish(&mut self, round: u64, now: &Now) {
        let mut told = Vec::new();
        self.source.sample(now, &mut |reading| {
            told.push((reading.quantity, Box::from(reading.of), reading.value));
        });
        for (quantity, of, value) in told {
            if quantity == Quantity::CircuitState {
                // The event that tells of a change sets the same gauges.
                self.tell_state(&of, value);
                continue;
            }
            let key = (quantity, of);
            if !self.series.contains_key(&key) && !self.make(&key) {
                continue;
            }
            if let Some(series) = self.series.get_mut(&key) {
                series.round = round;
                series.handle.tell(value);
            }
        }
        for series in self.series.values() {
            // What is told no more, because a quota was taken away, has no value.
            if let (Handle::State(gauge), true) = (&series.handle, series.round != round) {
                gauge.set(f64::NAN);
            }
        }
    }

    fn tell_state(&self, state: &str, value: f64) {
        let known = crate::tally::STATES.iter().find(|name| **name == state);
        if let (Some(state), true) = (known, value > 0.5) {
            self.layer.inner().set_state(state);
        }
    }

    fn make(&mut self, (quantity, of): &(Quantity, Box<str>)) -> bool {
        let Some((name, key)) = name_of(*quantity) else {
            return false;
        };
        let layer = self.layer.inner();
        if self.series.len() >= MOST {
            if let Some(dropped) = self.dropped.as_ref() {
                dropped.increment(1);
                return false;
            }
            self.dropped = layer.recorded(|recorder| {
                let dropped = counter(recorder, &names::OVERFLOW, &[layer.label()]);
                dropped.increment(1);
                dropped
            });
            return false;
        }
        let mut labels = vec![layer.label()];
        labels.extend(key.map(|key| match (key, &**of) {
            ("priority", "") => Label::from_static_parts(key, "all"),
            (key, of) => Label::new(key, of.to_owned()),
        }));
        let handle = layer.recorded(|recorder| match quantity.is_total() {
            true => Handle::Total(counter(recorder, name, &labels)),
            false => Handle::State(gauge(recorder, name, &labels)),
        });
        match handle {
            Some(handle) => {
                let series = Series { handle, round: 0 };
                self.series.insert((*quantity, of.clone()), series);
                true
            }
            None => false,
        }
    }
}

impl Handle {
    fn tell(&self, value: f64) {
        match self {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "totals are whole numbers and not negative"
            )]
            Self::Total(counter) => counter.absolute(value as u64),
            Self::State(gauge) => gauge.set(value),
        }
    }
}

/// The metric of a quantity, and the label that says of what it is.
fn name_of(quantity: Quantity) -> Option<(&'static Name, Option<&'static str>)> {
    let name = match quantity {
        Quantity::KeysLive => &names::KEYS_LIVE,
        Quantity::KeysEvicted => &names::KEYS_EVICTED,
        Quantity::InFlight => &names::IN_FLIGHT,
        Quantity::Limit => &names::LIMIT,
        Quantity::Waiting => &names::WAITING,
        Quantity::Capacity => &names::CAPACITY,
        Quantity::CircuitState => &names::STATE,
        Quantity::KeyCircuits => &names::KEY_CIRCUITS,
        Quantity::Left => &names::BUDGET_LEFT,
        Quantity::QuotaLimit => &names::BUDGET_LIMIT,
        Quantity::Debt => &names::BUDGET_DEBT,
        Quantity::Reserved => &names::TOKENS_RESERVED,
        Quantity::Granted => &names::TOKENS_GRANTED,
        Quantity::Refunded => &names::TOKENS_REFUNDED,
        Quantity::Overshot => &names::TOKENS_OVERSHOT,
        Quantity::Used => &names::TOKENS_USED,
        Quantity::SettleError => &names::SETTLE_ERROR,
        Quantity::RetriesLeft => &names::RETRIES_LEFT,
        Quantity::RetriesRefused => &names::RETRIES_REFUSED,
        _ => return None,
    };
    Some((name, name.labels.get(1).copied()))
}

/// A number that a handle told.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Number {
    /// The name of its metric.
    pub name: &'static str,
    /// Of what: a priority, a state, a dimension, the name of a quota; nothing if there is but one.
    pub of: String,
    /// How much.
    pub value: f64,
}

impl Number {
    pub(crate) fn new(reading: &Reading<'_>) -> Option<Self> {
        let (name, _) = name_of(reading.quantity)?;
        Some(Self {
            name: name.name,
            of: reading.of.to_owned(),
            value: reading.value,
        })
    }
}

impl fmt::Debug for Sampled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampled")
            .field("layer", &self.layer)
            .field("series", &self.series.len())
            .finish_non_exhaustive()
    }
}
