//! The status as a value.

use std::time::Duration;

use buttress_core::KeyHash;
use buttress_core::status::{Command, Latency, LayerReport};
use buttress_core::wall::UnixNanos;

use crate::observer::LayerSnapshot;

/// The number of the format. It rises if a field is taken away or means something else; new fields come
/// without that.
pub const FORMAT: u32 = 1;

/// How all layers of a process stand.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct StatusReport {
    /// [`FORMAT`].
    pub format: u32,
    /// When it was asked.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "unix_seconds", serialize_with = "in_serde::unix")
    )]
    pub at: UnixNanos,
    /// How long after the status was made that was.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "up_seconds", serialize_with = "in_serde::seconds")
    )]
    pub up: Duration,
    /// Whether commands are taken.
    pub controls: bool,
    /// The layers, in the order in which they were added; in serde by name.
    #[cfg_attr(feature = "serde", serde(serialize_with = "in_serde::layers"))]
    pub layers: Vec<LayerStatus>,
    /// What was refused of late.
    pub refusals: RefusalsReport,
}

/// How one layer stands.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LayerStatus {
    /// Its name.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub name: String,
    /// What it tells of itself.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub report: LayerReport,
    /// What it can be told now.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "<[_]>::is_empty"))]
    pub commands: &'static [Command],
    /// What its observer has counted, if it has one.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub events: Option<EventsReport>,
}

impl LayerStatus {
    /// A layer that is only observed.
    pub(super) fn observed(seen: LayerSnapshot) -> Self {
        Self {
            name: seen.name.clone(),
            report: LayerReport::new("observed"),
            commands: &[],
            events: Some(seen.into()),
        }
    }
}

/// What the observer of a layer has counted since the start. Maps hold what is not 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct EventsReport {
    /// Requests that were admitted.
    pub admitted: u64,
    /// Those of them that would have been refused if the layer were not in shadow mode.
    pub shadowed: u64,
    /// Those of them that were probes.
    pub probes: u64,
    /// Requests that were refused, by reason.
    #[cfg_attr(feature = "serde", serde(serialize_with = "in_serde::map"))]
    pub refused: Vec<(&'static str, u64)>,
    /// Admitted requests that have ended, by how.
    #[cfg_attr(feature = "serde", serde(serialize_with = "in_serde::map"))]
    pub ended: Vec<(&'static str, u64)>,
    /// Requests that had to wait.
    pub queued: u64,
    /// Those of them that wait now.
    pub waiting: u64,
    /// Those of them that went away while they waited.
    pub left: u64,
    /// Seconds waited, of waits that ended during the last minute; left out by serde if there were none.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "in_serde::is_none"))]
    pub waited_last_minute: Latency,
    /// Seconds waited, since the start; left out by serde if there were none.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "in_serde::is_none"))]
    pub waited: Latency,
    /// Changes of state of all circuits, by the new state.
    #[cfg_attr(feature = "serde", serde(serialize_with = "in_serde::map"))]
    pub transitions: Vec<(&'static str, u64)>,
    /// Failed attempts that another followed, by how they had failed.
    #[cfg_attr(feature = "serde", serde(serialize_with = "in_serde::map"))]
    pub retries: Vec<(&'static str, u64)>,
    /// Failed attempts that none followed, by what spoke against it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "in_serde::map"))]
    pub given_up: Vec<(&'static str, u64)>,
    /// Second attempts beside one that took long.
    pub hedges: u64,
    /// Times that a quota was used to a threshold for the first time in its window.
    pub thresholds: u64,
}

impl From<LayerSnapshot> for EventsReport {
    fn from(seen: LayerSnapshot) -> Self {
        Self {
            admitted: seen.admitted,
            shadowed: seen.shadowed,
            probes: seen.probes,
            refused: seen.rejected,
            ended: seen.ended,
            queued: seen.queued,
            waiting: seen.waiting,
            left: seen.left,
            waited_last_minute: seen.waits_last_minute.into(),
            waited: seen.waits.into(),
            transitions: seen.transitions,
            retries: seen.retries,
            given_up: seen.given_up,
            hedges: seen.hedges,
            thresholds: seen.thresholds,
        }
    }
}

/// What was refused of late.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RefusalsReport {
    /// How many refusals observers have told of.
    pub total: u64,
    /// The latest of them, the latest first.
    pub recent: Vec<Refusal>,
}

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Refusal {
    /// How long ago it was.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "seconds_ago", serialize_with = "in_serde::seconds")
    )]
    pub ago: Duration,
    /// The layer that refused.
    pub layer: String,
    /// Why, by the name that metrics have for it.
    pub reason: &'static str,
    /// When it could have been admitted, if that was known.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "retry_after_seconds",
            serialize_with = "in_serde::maybe_seconds",
            skip_serializing_if = "Option::is_none"
        )
    )]
    pub retry_after: Option<Duration>,
    /// The number of the quota that decided, from 0.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub quota: Option<u8>,
    /// Whose request it was: the hash of the key by which the layer keeps its limits.
    #[cfg_attr(
        feature = "serde",
        serde(
            serialize_with = "in_serde::hash",
            skip_serializing_if = "Option::is_none"
        )
    )]
    pub key: Option<KeyHash>,
}

#[cfg(feature = "serde")]
mod in_serde {
    use std::time::Duration;

    use buttress_core::KeyHash;
    use buttress_core::status::{Latency, as_seconds};
    use buttress_core::wall::UnixNanos;
    use serde::{Serialize, Serializer};

    use super::LayerStatus;

    pub(super) fn unix<S: Serializer>(at: &UnixNanos, serializer: S) -> Result<S::Ok, S::Error> {
        let since = UnixNanos::new(0).until(*at);
        serializer.serialize_f64(as_seconds(since))
    }

    pub(super) fn seconds<S: Serializer>(of: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(as_seconds(*of))
    }

    pub(super) fn maybe_seconds<S: Serializer>(
        of: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        of.map(as_seconds).serialize(serializer)
    }

    pub(super) fn hash<S: Serializer>(
        key: &Option<KeyHash>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        key.map(|key| key.to_string()).serialize(serializer)
    }

    pub(super) fn map<S: Serializer>(
        counts: &[(&'static str, u64)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(counts.iter().copied())
    }

    pub(super) fn is_none(latency: &Latency) -> bool {
        latency.count == 0
    }

    pub(super) fn layers<S: Serializer>(
        layers: &[LayerStatus],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(layers.iter().map(|layer| (&layer.name, layer)))
    }
}
