//! The layer over real HTTP, and its answers.

#![cfg(all(feature = "http", not(buttress_loom)))]

mod answers;
mod real;
