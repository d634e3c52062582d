//! A team of agents that shares one quota of a language model, and the layers that let them use all of it
//! without ever being refused: [`layered`], in `stack.rs`.

mod config;
mod ledger;
mod options;
mod stack;
mod team;
pub mod usage;

pub use config::{Config, ConfigError};
pub use ledger::{Counts, Ledger, Row};
pub use options::Options;
pub use stack::{Call, Client, layered};
pub use team::{Team, noted};

#[cfg(doctest)]
#[doc = include_str!("../../../docs/llm-client.md")]
struct Page;
