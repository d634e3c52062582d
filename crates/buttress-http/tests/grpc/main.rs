//! Refusals and outcomes in gRPC, in memory and over the wire with tonic.

#[path = "../support/mod.rs"]
mod support;

mod answer;
mod limits;
mod received;
mod server;
mod wire;
