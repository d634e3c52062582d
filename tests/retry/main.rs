//! Retries around real clients, over loopback.

mod bodies;
mod hints;
mod outage;
#[path = "../http/support.rs"]
#[expect(dead_code, reason = "these tests use a part of it")]
mod support;
