//! A whole stack of buttress layers as one value: read from a file, checked, built, and changed while it runs.
//!
//! [`StackConfig`] is what a file says: TOML, or through `serde` any format that describes itself, with
//! environment variables ([`Environment`]) on top. All that is wrong with it is told at once, with line,
//! field, value and fix ([`Problems`]); what is good by itself and senseless together is a [`Warning`].
//! [`StackConfig::build`] makes a [`Stack`]: the live handles of its layers, and the layer that puts them
//! around a service of HTTP. [`Stack::apply`] puts another configuration in force without losing what was
//! counted, who waits or what is in flight, and tells what of it needs a restart ([`Changes`]); [`Reload`]
//! does so whenever a file changes.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use buttress_config::{Environment, StackBody, StackConfig, StackRequest};
//! use http::Response;
//! use tower::{Layer, service_fn};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let file = r#"
//!     [priority_queue]
//!     concurrency = 12
//!     rate_aware = true
//!
//!     [circuit_breaker]
//!     preset = "resilience4j"
//!
//!     [rate_limit]
//!     quotas = ["1/second burst 5", "1200/day rolling"]
//! "#;
//! let config = StackConfig::from_toml_and(file, &Environment::of(std::env::vars_os()))?;
//! for warning in config.warnings() {
//!     eprintln!("{warning}");
//! }
//! let stack = config.build()?.key(buttress_http::ClientIp::peer());
//! let upstream = service_fn(async |_: StackRequest| {
//!     Ok::<_, Infallible>(Response::new(StackBody::default()))
//! });
//! let service = stack.layer().layer(upstream);
//! # let _ = service;
//! # Ok(())
//! # }
//! ```
//!
//! The tables and their fields are on the page `docs/configuration.md` of the project, which is made of the
//! same table ([`fields`]) as the JSON Schema (feature `schema`). `buttress-replay` reads its policies with
//! this crate.
//!
//! This crate is no layer: it knows all of them, as a file can name any. A program that builds its layers by
//! hand has no need of it.

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
mod reference;
mod reload;
mod retry_step;
#[cfg(feature = "schema")]
mod schema;
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
pub use reference::reference;
pub use reload::{Reload, ReloadError};
#[cfg(feature = "schema")]
pub use schema::json_schema;
pub use stack::Stack;
pub use words::StackRequest;
