//! The queue without tower: who goes, who waits, who is refused, on a paused clock.

#![cfg(not(buttress_loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod buckets;
mod drops;
mod gates;
mod handle;
mod model;
mod order;
mod savings;
mod starvation;
mod support;
