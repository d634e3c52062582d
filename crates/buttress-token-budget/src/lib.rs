//! Token budgets as a `tower` layer, and without tower.
//!
//! What a call to a language model costs is known only when its answer has ended. A [`TokenBudget`] reserves
//! an estimate before the call, in every [`Dimension`] (requests, input, output, total, cost, and three of your
//! own) or in none, and puts what was really used in its place when the call ends: less goes back to the moment
//! of the reservation, more is charged at once, and while anything is below zero nothing is admitted. A
//! [`TokenBudgetLayer`] does that around any service:
//!
//! ```
//! use buttress_token_budget::{Amounts, Dimension, TokenBudget, TokenBudgetLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! #[derive(Clone)]
//! struct Call {
//!     tenant: u32,
//!     input: u64,
//!     max_output: u64,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let budget = TokenBudget::builder()
//!     .limit(Dimension::TOTAL, "10k/minute rolling".parse()?)
//!     .global(Dimension::REQUESTS, "500/minute".parse()?)
//!     .build()?;
//! let layer = TokenBudgetLayer::from(budget.clone())
//!     .by(|call: &Call| Some(call.tenant))
//!     .estimate(|call: &Call| Amounts::tokens(call.input, call.max_output))
//!     .measure(|used: &u64| Some(Amounts::tokens(0, *used).with(Dimension::TOTAL, 100 + used)));
//! let mut service = ServiceBuilder::new()
//!     .layer(layer)
//!     .service(service_fn(async |_: Call| Ok::<u64, std::io::Error>(400)));
//!
//! let call = Call { tenant: 1, input: 100, max_output: 8_000 };
//! assert!(service.ready().await?.call(call.clone()).await.is_ok());
//! assert_eq!(budget.balances(1_u32)[0].remaining, 9_500);
//! assert!(service.ready().await?.call(call).await.is_ok());
//! # Ok(())
//! # }
//! ```
//!
//! Quotas are those of rate limits: paced, rolling, or by the calendar. With feature `http` usage is read from
//! heads, bodies and frames, and `respond_http()` turns refusals into responses. What it is not: a rate limit
//! (a call that failed costs nothing here), and no bookkeeping of what was paid.

mod alerts;
mod ask;
mod balance;
mod budget;
mod builder;
mod change;
#[cfg(feature = "serde")]
mod config;
mod demand;
mod dimension;
mod errors;
mod forecast;
mod layer;
mod learned;
mod limits;
mod lines;
mod live;
mod measure;
mod mode;
#[cfg(buttress_loom)]
#[doc(hidden)]
pub mod model;
mod place;
mod report;
#[cfg(feature = "http")]
mod respond;
mod room;
mod sample;
mod shared;
mod step;
mod sync;
mod table;
mod ticket;
mod wait;

pub use alerts::MAX_THRESHOLDS;
pub use ask::{AndBy, BudgetAsk, By, Deadline, Estimate, Keys};
pub use budget::TokenBudget;
pub use builder::{DEFAULT_KEYS, TokenBudgetBuilder};
pub use buttress_quota::{Quota, QuotaError, Window};
#[cfg(feature = "calendar")]
pub use buttress_quota::{Unit, Zone, ZoneError};
#[cfg(feature = "serde")]
pub use config::TokenBudgetConfig;
pub use demand::BudgetDemand;
pub use dimension::{Amounts, Dimension, MAX_DIMENSIONS};
pub use layer::{ByFurtherKey, TokenBudgetLayer, TokenBudgetService};
pub use learned::{DEFAULT_LEARNED, Learned, LearnedError};
pub use limits::{Limit, LimitsError, MAX_LIMITS, MAX_SCOPES};
pub use live::{BudgetStanding, BudgetStatus, DoesNotFit, Spender};
pub use measure::Measured;
#[cfg(feature = "http")]
pub use respond::{Described, ForHttp, MeasuredHttp, MeasuringBudgetLayer};
pub use room::DEFAULT_WAITERS;
pub use ticket::{OnDrop, Reserved, Settlement};
pub use wait::{BudgetWait, Waiting};
