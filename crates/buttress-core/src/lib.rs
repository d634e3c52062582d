//! The words and the one mechanism that every buttress layer shares.
//!
//! A request walks one path, forward: what it asks for (its *demand*) is read from it once by an
//! [`Ask`], an [`Admission`] answers with a [`Permit`] or a [`Rejection`], the inner service runs, and
//! a [`Settle`] tells the permit how the request ended. [`Admit`] is the `tower` service that walks
//! it; a layer crate contributes a [`Policy`] and a builder.
//!
//! This crate knows nothing of HTTP, of metrics or of stores, and it is not a layer that you would put
//! into a stack yourself, unless you write a policy of your own:
//!
//! ```
//! use buttress_core::{AdmitLayer, Now, Permit, Policy, Reason, Rejection, When};
//! use std::sync::atomic::{AtomicBool, Ordering};
//!
//! /// Refuses everything while a switch is off.
//! #[derive(Default)]
//! struct Switch(AtomicBool);
//!
//! impl Policy for Switch {
//!     type Demand = ();
//!     type Ticket = ();
//!
//!     fn would_admit(&self, _: &(), _: &Now) -> Result<(), Rejection> {
//!         match self.0.load(Ordering::Relaxed) {
//!             true => Ok(()),
//!             false => Err(Rejection::new(Reason::Overloaded, When::Unknown)),
//!         }
//!     }
//!
//!     fn try_admit(&self, demand: &(), now: &Now) -> Result<Permit<()>, Rejection> {
//!         self.would_admit(demand, now).map(Permit::new)
//!     }
//! }
//!
//! let layer = AdmitLayer::new(Switch::default());
//! # let _ = layer;
//! ```

mod admission;
mod admit;
mod ask;
pub mod duration;
mod gate;
mod key;
mod key_map;
#[cfg(buttress_loom)]
pub mod model;
mod observe;
mod on_reject;
mod outcome;
mod permit;
mod policy;
mod rejection;
mod sample;
mod settle;
pub mod status;
#[cfg(feature = "test-util")]
pub mod test_util;
pub mod time;
pub mod wall;

pub use admission::{Admission, NeverWaits, Verdict};
pub use admit::{Admit, AdmitLayer, Path, ResponseFuture, note_sent};
pub use ask::{Ask, Exempt};
pub use gate::{Gate, GateOf};
pub use key::{Key, KeyHash, KeyHasher, MissingKey, Seed};
pub use key_map::{AlreadyHashed, KeyMap};
pub use observe::{Event, GiveUp, Observe, Observed, ObservedTicket, ObservedWait};
pub use on_reject::{AsBoxError, AsError, BoxError, Error, OnReject, With};
pub use outcome::{ByBoxError, ByError, ByResult, Classify, Outcome, Usage};
pub use permit::{End, Permit, Ticket, as_settled, as_timed_out};
pub use policy::Policy;
pub use rejection::{Describe, LimitId, PolicyId, Reason, Rejection, Standing, When};
pub use sample::{Quantity, Reading, Sample};
pub use settle::{AtHead, Settle};
pub use time::Now;
