//! Rate limits as a `tower` layer, and without tower.
//!
//! A [`Quota`] says so much per so long, and how the limit moves with time: *paced* (a bucket that refills
//! continuously, to the nanosecond) or *rolling* (neither more nor fewer in any stretch of time). Several
//! quotas, kept per key or for all keys together, are one decision. What does not fit is refused at once, or
//! waits in order of arrival. A [`RateLimiter`] is the limit itself; a [`RateLimitLayer`] puts it in front of
//! any service:
//!
//! ```
//! use buttress_rate_limit::{Quota, RateLimitLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! #[derive(Clone)]
//! struct Call {
//!     tenant: u32,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let mut service = ServiceBuilder::new()
//!     .layer(RateLimitLayer::new(Quota::per_minute(1)).by(|call: &Call| Some(call.tenant)))
//!     .service(service_fn(async |call: Call| Ok::<_, std::io::Error>(call.tenant)));
//!
//! assert!(service.ready().await.unwrap().call(Call { tenant: 1 }).await.is_ok());
//! assert!(service.ready().await.unwrap().call(Call { tenant: 1 }).await.is_err());
//! assert!(service.ready().await.unwrap().call(Call { tenant: 2 }).await.is_ok());
//! # }
//! ```
//!
//! With feature `http`, `respond_http()` turns refusals into responses, with the fields that clients know.
//! With feature `persist`, what is spent of quotas of a day or more survives a restart:
//! `RateLimiter::builder().quota(..).persist(path)`.
//! The limits of one process are not those of another: several each enforce a part
//! ([`share_of`](RateLimitLayer::share_of)), or need a store.

mod accounts;
mod ask;
mod bans;
mod builder;
mod charge;
mod charge_if;
#[cfg(feature = "http")]
mod charge_status;
#[cfg(feature = "serde")]
mod config;
mod decision;
#[cfg(feature = "persist")]
mod encoding;
mod epoch;
#[cfg(feature = "persist")]
mod file;
mod forecast;
mod keyed;
mod layer;
mod ledger;
mod limiter;
mod limits;
mod line;
mod live;
#[cfg(buttress_loom)]
#[doc(hidden)]
pub mod model;
mod offence;
mod offenders;
mod outlook;
mod paced_bucket;
mod paced_table;
mod penalties;
mod penalty;
mod penalty_error;
#[cfg(feature = "persist")]
mod persist;
#[cfg(feature = "persist")]
mod persist_error;
mod place;
mod report;
#[cfg(feature = "http")]
mod respond;
mod room;
mod sample;
#[cfg(feature = "persist")]
mod saved;
mod share;
mod shared;
mod shared_pace;
mod short_pace;
mod spin_lock;
mod sync;
mod table;
mod ticket;
mod tier;
mod tiers;
mod wait;
mod waiter;

/// The decisions without lock, clock or key: pure values, for a limiter of your own.
pub mod algorithm {
    pub use crate::offence::Offence;
    pub use crate::offenders::Offenders;
    pub use buttress_quota::algorithm::*;
}

#[cfg(feature = "http")]
pub use ask::TellMissing;
pub use ask::{Cost, Deadline, RateAsk, RateDemand};
pub use bans::Ban;
pub use builder::{DEFAULT_KEYS, RateLimiterBuilder};
pub use buttress_core::duration::{self, DurationError, format_duration, parse_duration};
pub use buttress_quota::{Quota, QuotaError, Window};
#[cfg(feature = "calendar")]
pub use buttress_quota::{Unit, Zone, ZoneError};
pub use charge::{Charge, Charged, ChargedTicket, ChargedWait, Judged, UNITS};
pub use charge_if::{ChargeAnswer, ChargeBy, Replaceable};
#[cfg(feature = "http")]
pub use charge_status::{ByStatusCode, ChargeByStatus};
#[cfg(feature = "serde")]
pub use config::RateLimitConfig;
pub use layer::{RateLimit, RateLimitLayer};
pub use limiter::RateLimiter;
pub use limits::{Limits, LimitsError};
pub use live::{QuotaStanding, RateLimiterStatus};
pub use penalty::{DEFAULT_OFFENDERS, Penalty};
pub use penalty_error::PenaltyError;
#[cfg(feature = "persist")]
pub use persist::PersistentBuilder;
#[cfg(feature = "persist")]
pub use persist_error::{PersistError, SnapshotError};
#[cfg(feature = "http")]
pub use respond::{Described, HasFields, HttpRateLimitLayer, WithFields};
#[cfg(feature = "persist")]
pub use saved::{Restored, Snapshot};
pub use ticket::Spent;
pub use tier::{ByTier, PutInTier, QuotaFor, Tier, TieredAsk, UnknownTier};
pub use wait::{RateWait, Waiting};
