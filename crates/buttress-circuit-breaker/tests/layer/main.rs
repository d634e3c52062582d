//! The layer around a service.

#![cfg(not(buttress_loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod drops;
mod fallback;
mod handle;
mod keys;
mod pending;
mod stacks;
mod support;
mod trips;
mod types;
