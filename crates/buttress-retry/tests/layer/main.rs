//! The layer around an upstream that does what the test says, on a paused clock.

#![cfg(not(buttress_loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../support/mod.rs"]
mod support;

mod attempts;
mod drops;
mod hedge;
mod presets;
mod time;
mod tower_around;
mod traps;
