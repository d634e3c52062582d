//! A priority queue with other layers behind it, in virtual time.

mod gates;
mod waits;
