//! Tries a policy on a trace: the real layers, in virtual time, and one line for what became of every request.
//!
//! The format of policies, traces and decisions is `docs/replay.md` of the project. This library is what the
//! binary `buttress-replay` is made of; it reads, checks and prints, and leaves every decision to the layers.

pub mod arguments;
pub mod decision;
pub mod error;
mod line;
pub mod policy;
mod replay;
mod run;
pub mod seconds;
pub mod summary;
pub mod trace;

pub use crate::replay::replay;
pub use crate::run::{Status, run};
