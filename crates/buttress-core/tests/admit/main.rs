//! The one service that walks the path, seen from outside.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod ends;
mod observed;
mod support;
mod traps;
mod types;
mod unsent;
