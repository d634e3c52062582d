//! The layer over real HTTP, and its answers.

#![cfg(all(feature = "http", not(buttress_loom)))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod answers;
mod real;
