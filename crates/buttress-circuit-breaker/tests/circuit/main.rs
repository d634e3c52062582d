//! The state machine: against a model that keeps everything, and at its edges.

#![cfg(not(buttress_loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod edges;
mod model;
mod presets;
mod properties;
mod support;
