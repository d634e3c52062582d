//! Timeouts and deadlines over HTTP, in virtual time.

#![cfg(feature = "http")]

mod answers;
mod bodies;
mod deadlines;
mod model;
mod support;
