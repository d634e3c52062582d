//! Quotas: so much per so long, as a text and as arithmetic.
//!
//! A [`Quota`] says how much per how long, and how the limit moves with time: *paced* (a bucket that refills
//! continuously, to the nanosecond), *rolling* (neither more nor fewer in any stretch of time), or *by the
//! calendar* (feature `calendar`: back at midnight). The layers that keep limits, `buttress-rate-limit` and
//! `buttress-token-budget`, stand on this crate and pass on what their users need of it. Here is no tower, no
//! clock and no lock: [`algorithm`] is pure, and `now` is a parameter.
//!
//! ```
//! use buttress_quota::Quota;
//! use buttress_quota::algorithm::{Account, Rules};
//!
//! let rules = Rules::new(&["5/minute".parse()?, "1/second rolling".parse()?]);
//! let mut account = Account::default();
//! assert!(account.admit(&rules, 1, 0).is_ok());
//! assert!(account.admit(&rules, 1, 0).is_err());
//! assert_eq!(account.earliest(&rules, 1, 0), Some(1_000_000_000));
//! # Ok::<(), buttress_quota::QuotaError>(())
//! ```

mod account;
#[cfg(feature = "calendar")]
mod by_calendar;
#[cfg(feature = "calendar")]
mod calendar;
#[cfg(feature = "calendar")]
mod civil;
mod gcra;
#[cfg(feature = "persist")]
mod kept;
mod quota;
mod quota_error;
mod quota_text;
mod rule;
mod rules;
#[cfg(feature = "serde")]
mod setting;
mod share;
mod window;
#[cfg(feature = "calendar")]
mod zone;

/// The decisions without lock, clock or key: pure values, for a limiter of your own.
pub mod algorithm {
    pub use crate::account::{Account, Refusal};
    #[cfg(feature = "calendar")]
    pub use crate::calendar::{Calendar, Moment, Periods, Used};
    #[cfg(feature = "calendar")]
    pub use crate::civil::Period;
    pub use crate::gcra::{Pace, Tat, Verdict};
    pub use crate::rules::{Rules, Standing, When};
    pub use crate::window::{EXACT_ENTRIES, Log, MAX_ENTRIES, Rolling};
}

/// What the layers of this workspace need beside that. It may change with every version.
#[doc(hidden)]
pub mod parts {
    #[cfg(feature = "calendar")]
    pub use crate::by_calendar::ByCalendar;
    pub use crate::gcra::divide;
    #[cfg(feature = "persist")]
    pub use crate::kept::{Kept, KeptLog};
    pub use crate::rule::{Rule, State, View};
    pub use crate::rules::{Likeness, is_equal};
    #[cfg(feature = "serde")]
    pub use crate::setting::read as read_setting;
}

#[cfg(feature = "calendar")]
pub use civil::Unit;
pub use quota::{Quota, Window};
pub use quota_error::QuotaError;
#[cfg(feature = "calendar")]
pub use zone::{Zone, ZoneError};
