//! The state machine: against a model that keeps everything, and at its edges.

#![cfg(not(buttress_loom))]

mod edges;
mod model;
mod presets;
mod properties;
mod support;
