//! A priority queue with other layers behind it, and in front of servers, in virtual time.

mod gates;
#[path = "../http/memory.rs"]
mod memory;
mod overload;
mod waits;
