//! A whole stack of buttress layers as one value.

mod config;
mod contradictions;
mod document;
mod environment;
pub mod fields;
mod order;
mod problem;
mod read;
mod text;
mod tree;

pub use config::StackConfig;
pub use contradictions::Warning;
pub use environment::Environment;
pub use order::LayerName;
pub use problem::{Place, Problem, Problems, expected_one_of, quoted};
