//! Waits that grow with refusals, and bans.

#![cfg(not(buttress_loom))]

mod limiter;
mod model;
mod store;
mod values;
