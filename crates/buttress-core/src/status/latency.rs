//! How long things took.

use std::time::Duration;

/// How long things took. With serde every duration is a number of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Latency {
    /// How many there were.
    pub count: u64,
    /// On average.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::seconds::one"))]
    pub mean: Duration,
    /// Half took no longer.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::seconds::one"))]
    pub p50: Duration,
    /// 90 % took no longer.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::seconds::one"))]
    pub p90: Duration,
    /// 95 % took no longer.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::seconds::one"))]
    pub p95: Duration,
    /// 99 % took no longer.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::seconds::one"))]
    pub p99: Duration,
    /// 99.9 % took no longer.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::seconds::one"))]
    pub p99_9: Duration,
    /// The longest.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::seconds::one"))]
    pub max: Duration,
}
