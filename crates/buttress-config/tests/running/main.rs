//! A stack that runs, and is changed while it does.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod changes;
mod gates;
mod real;
mod reload;
mod stacks;
mod support;
mod switches;
mod under_load;
