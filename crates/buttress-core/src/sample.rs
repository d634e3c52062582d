//! What a policy can tell of itself at any time, for whoever asks.

use std::sync::Arc;

use crate::time::Now;

/// A number that a policy tells of itself.
///
/// What events tell is counted from them; this is what they do not tell, because it changes without anybody
/// calling, or because it is known only where it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Quantity {
    /// How many keys something is remembered of. A state.
    KeysLive,
    /// How many keys were forgotten though something of them should have been remembered. A total.
    KeysEvicted,
    /// How many calls run. A state.
    InFlight,
    /// How many may run. A state.
    Limit,
    /// How many requests wait, by priority. A state.
    Waiting,
    /// How many may wait. A state.
    Capacity,
    /// 1 for the state that a circuit is in and 0 for every other, by the state's name. A state.
    CircuitState,
    /// How many circuits of keys are open or half-open, by the state's name. A state.
    KeyCircuits,
    /// How many units are left of a quota that is kept for all keys together, by the quota's name. A state.
    Left,
    /// How many units such a quota holds at most, by its name. A state.
    QuotaLimit,
    /// How many units a quota that is kept for all keys together is below zero, by its name. A state.
    Debt,
    /// What reservations that run hold, by dimension. A state.
    Reserved,
    /// What has been reserved altogether, by dimension. A total.
    Granted,
    /// What has been given back of it, by dimension. A total.
    Refunded,
    /// What was used beyond what had been reserved, by dimension. A total.
    Overshot,
    /// What was used by calls that have been settled, by dimension. A total.
    Used,
    /// What was used in percent of what had been reserved, as `dimension/p50`, `p90` and `p99`. A state.
    SettleError,
    /// How many retries a budget would allow now. A state.
    RetriesLeft,
    /// How many retries a budget has refused. A total.
    RetriesRefused,
}

impl Quantity {
    /// Whether it only grows.
    #[must_use]
    pub const fn is_total(self) -> bool {
        matches!(
            self,
            Self::KeysEvicted
                | Self::Granted
                | Self::Refunded
                | Self::Overshot
                | Self::Used
                | Self::RetriesRefused
        )
    }
}

/// A number and what it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading<'a> {
    /// What is counted.
    pub quantity: Quantity,
    /// Of what: a priority, a state, a dimension, the name of a quota. Nothing if there is but one. There are
    /// few of them, and never the keys of requests.
    pub of: &'a str,
    /// How much. Totals are whole numbers.
    pub value: f64,
}

impl<'a> Reading<'a> {
    /// A count.
    #[must_use]
    pub fn new(quantity: Quantity, of: &'a str, count: u64) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts beyond 2^53 may be off by one part in as many"
        )]
        let value = count as f64;
        Self {
            quantity,
            of,
            value,
        }
    }
}

/// Tells the numbers of a policy: the handle of every layer does.
pub trait Sample {
    /// Calls `each` for every number. It is called when somebody looks, so it may take locks, but `each` is
    /// called outside them.
    fn sample(&self, now: &Now, each: &mut dyn FnMut(Reading<'_>));
}

impl<S: Sample + ?Sized> Sample for Arc<S> {
    fn sample(&self, now: &Now, each: &mut dyn FnMut(Reading<'_>)) {
        (**self).sample(now, each);
    }
}
