//! Calendar quotas: where clocks change, the quota itself, and a slow walk along the clocks of a zone.
#![cfg(feature = "calendar")]

mod model;
mod periods;
mod quota;

use buttress_core::wall::UnixNanos;
use buttress_quota::Zone;
use jiff::Timestamp;

pub(crate) fn zone(name: &str) -> Zone {
    Zone::new(name).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn unix(text: &str) -> UnixNanos {
    UnixNanos::new(
        text.parse::<Timestamp>()
            .expect("it is an instant")
            .as_nanosecond(),
    )
}
