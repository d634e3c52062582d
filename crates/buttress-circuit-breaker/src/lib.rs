//! Circuit breakers: a service that keeps failing is left alone until it has had time to recover.
//!
//! A circuit trips on a run of failures, on a rate of failures or on a rate of slow calls. Then it is open:
//! calls are refused at once, and told when to come back. After that it is half-open: a few probes go
//! through, and close it or open it again. Windows are exact, of calls or of time; probes are bounded, kept
//! apart from the window, and give their places back when they are dropped; and what was admitted before a
//! change of state counts nothing after it.
//!
//! ```
//! use std::time::Duration;
//! use buttress_circuit_breaker::CircuitBreakerLayer;
//!
//! let layer = CircuitBreakerLayer::failure_rate(0.5)
//!     .or_consecutive_failures(5)
//!     .window(Duration::from_secs(20))
//!     .minimum_calls(5)
//!     .open_for(Duration::from_secs(30))
//!     .open_growth(2.0)
//!     .jitter(0.1)
//!     .probes(3)
//!     .close_after(3);
//! let breaker = layer.breaker().clone();
//! # let _ = breaker;
//! ```
//!
//! A breaker belongs below every wait: see [`CircuitBreakerLayer`]. [`FallbackLayer`] answers in place of
//! what was refused or failed.

mod ask;
mod breaker;
mod call;
mod cell;
mod circuit;
#[cfg(feature = "serde")]
mod config;
mod fallback;
mod key_circuit;
mod keyed;
mod layer;
mod metrics;
mod open_time;
mod pending;
mod presets;
mod probes;
mod report;
#[cfg(feature = "http")]
mod respond;
mod sample;
mod settings;
mod settings_error;
mod shared;
mod state;
mod sync;
mod ticket;
mod watch;
mod window;
mod word;

/// The decisions without lock, clock or key: pure values, for a breaker of your own.
pub mod algorithm {
    pub use crate::call::{Call, Kind, Refused, Seen};
    pub use crate::circuit::Circuit;
    pub use crate::window::{CallRing, Mark, Ring, SLICES, Tally, TimeRing};
}

pub use ask::CircuitAsk;
pub use breaker::{CircuitBreaker, CircuitBreakerBuilder, CircuitDemand, DEFAULT_KEYS};
#[cfg(feature = "serde")]
pub use config::{By, CircuitBreakerConfig};
pub use fallback::{
    AnyError, Asking, Fallback, FallbackFuture, FallbackLayer, FallbackService, Function, Other,
    Refusals, StepsIn, Value,
};
pub use key_circuit::KeyCircuit;
pub use layer::{CircuitBreakerLayer, CircuitBroken, Reclassify};
pub use metrics::{CircuitMetrics, Snapshot};
pub use pending::{PendingWhileOpen, PendingWhileOpenLayer};
#[cfg(feature = "http")]
pub use respond::{Described, GrpcCircuitBreakerLayer, HttpCircuitBreakerLayer};
pub use settings::{MOST_CALLS, Settings, Window};
pub use settings_error::SettingsError;
pub use state::{Change, State};
pub use ticket::CircuitTicket;
pub use watch::{Changes, KEPT_CHANGES};
