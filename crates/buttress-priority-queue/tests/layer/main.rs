//! The layers in tower stacks, on a paused clock, with a mock behind them.

#![cfg(not(buttress_loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod drops;
mod stacks;
mod types;
