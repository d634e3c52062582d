//! The layer around an upstream that does what the test says, on a paused clock.

#![cfg(not(buttress_loom))]

#[path = "../support/mod.rs"]
mod support;

mod attempts;
mod drops;
mod hedge;
mod presets;
mod time;
mod tower_around;
mod traps;
