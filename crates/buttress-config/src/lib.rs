//! A whole stack of buttress layers as one value.

mod admissions;
mod body;
mod change;
mod config;
mod contradictions;
mod document;
mod environment;
pub mod fields;
mod gates;
mod layer;
mod live;
mod order;
mod problem;
mod read;
mod retry_step;
mod stack;
mod switch;
mod text;
mod tree;
mod words;

pub use body::StackBody;
pub use change::{Changes, NeedsRestart};
pub use config::StackConfig;
pub use contradictions::Warning;
pub use environment::Environment;
pub use gates::{GateDemand, GateTicket, StackGate, StackGates};
pub use layer::{StackLayer, StackService};
pub use live::BuildError;
pub use order::LayerName;
pub use problem::{Place, Problem, Problems, expected_one_of, quoted};
pub use stack::Stack;
pub use words::StackRequest;
