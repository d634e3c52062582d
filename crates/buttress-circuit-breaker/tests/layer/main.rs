//! The layer around a service.

#![cfg(not(buttress_loom))]

mod drops;
mod fallback;
mod handle;
mod keys;
mod pending;
mod stacks;
mod support;
mod trips;
mod types;
