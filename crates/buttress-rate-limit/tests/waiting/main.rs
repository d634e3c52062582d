//! Waiting for a limit: who goes when.

#![cfg(not(buttress_loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod changes;
mod order;
mod support;
