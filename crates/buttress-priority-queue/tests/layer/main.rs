//! The layers in tower stacks, on a paused clock, with a mock behind them.

#![cfg(not(buttress_loom))]

mod concurrency;
mod drops;
mod stacks;
mod types;
