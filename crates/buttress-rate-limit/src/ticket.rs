use buttress_core::{End, KeyHash, Now, Ticket};

use crate::ask::RateDemand;

/// What an admitted request has spent. Spent is spent: neither a failure nor a cancellation gives it
/// back; only an admission that was never used does. What is given back when its outcome does not count has
/// a ticket of its own ([`Charged`](crate::Charged)), so that this one needs no handle to its limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    key: KeyHash,
    cost: u64,
    /// Nanoseconds since the limiter was made.
    at: u64,
    shadowed: bool,
}

impl Spent {
    #[inline]
    pub(crate) const fn new(demand: &RateDemand, at: u64) -> Self {
        Self {
            key: demand.key,
            cost: demand.cost,
            at,
            shadowed: false,
        }
    }

    /// Let through in shadow mode: nothing was spent.
    pub(crate) const fn shadowed(demand: &RateDemand) -> Self {
        Self {
            key: demand.key,
            cost: 0,
            at: 0,
            shadowed: true,
        }
    }

    /// How many units were spent.
    #[must_use]
    pub const fn cost(&self) -> u64 {
        self.cost
    }

    pub(crate) const fn at(&self) -> u64 {
        self.at
    }

    pub(crate) const fn key_hash(&self) -> KeyHash {
        self.key
    }
}

impl Ticket for Spent {
    #[inline]
    fn end(self, _: End, _: &Now) {}

    fn shadowed(&self) -> bool {
        self.shadowed
    }

    fn key(&self) -> Option<KeyHash> {
        Some(self.key)
    }
}
