//! The layers over real HTTP, their answers, and what they read from requests.

#![cfg(all(feature = "http", not(buttress_loom)))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod answers;
mod fields;
mod real;
