//! Durations as seconds in serde, as monitoring counts them.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// A duration in seconds, to a microsecond, as reports tell it: people and thresholds need no more.
#[must_use]
pub fn as_seconds(duration: Duration) -> f64 {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    #[expect(
        clippy::cast_precision_loss,
        reason = "beyond 2^53 microseconds, 285 years, a few may be lost"
    )]
    let micros = micros as f64;
    micros / 1e6
}

/// A duration.
pub(crate) fn one<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(as_seconds(*duration))
}

/// A duration, if there is one.
pub(crate) fn maybe<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration.map(as_seconds).serialize(serializer)
}
