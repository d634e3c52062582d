//! Requests of HTTP and gRPC, on a paused clock.

#![cfg(all(feature = "http", not(buttress_loom)))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod hints;
mod requests;
mod support;
