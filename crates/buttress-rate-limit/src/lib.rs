//! Rate limits as a `tower` layer.
//!
//! x
mod account;
mod ask;
mod builder;
#[cfg(feature = "serde")]
mod config;
mod decision;
pub mod duration;
mod forecast;
mod gcra;
mod layer;
mod limiter;
mod limits;
mod line;
mod live;
mod quota;
mod quota_text;
mod room;
mod rules;
mod sync;
mod table;
mod ticket;
mod wait;
mod window;

/// The decisions without lock, clock or key: pure values, for a limiter of your own.
pub mod algorithm {
    pub use crate::account::{Account, Refusal};
    pub use crate::gcra::{Pace, Tat, Verdict};
    pub use crate::rules::{Rules, Standing, When};
    pub use crate::window::{EXACT_ENTRIES, Log, MAX_ENTRIES, Rolling};
}

pub use ask::{Cost, Deadline, RateAsk, RateDemand};
pub use builder::{DEFAULT_KEYS, RateLimiterBuilder};
#[cfg(feature = "serde")]
pub use config::RateLimitConfig;
pub use duration::{DurationError, format_duration, parse_duration};
pub use layer::{RateLimit, RateLimitLayer};
pub use limiter::RateLimiter;
pub use limits::{Limits, LimitsError};
pub use live::{QuotaStanding, Snapshot};
pub use quota::{Quota, QuotaError, Window};
pub use ticket::Spent;
pub use wait::{RateWait, Waiting};
