//! What a request asks of a budget.

use buttress_core::KeyHash;
use buttress_core::time::Instant;

use crate::dimension::{Amounts, Dimension, MAX_DIMENSIONS};
use crate::limits::MAX_SCOPES;

/// The keys of a request, one for each scope of the budget.
pub(crate) type Keys = [KeyHash; MAX_SCOPES];

/// What a request asks of a budget. [`TokenBudget::demand`](crate::TokenBudget::demand) makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetDemand {
    pub(crate) keys: Keys,
    /// What is reserved.
    pub(crate) amounts: Amounts,
    pub(crate) scales: Scales,
    /// From when on it is too late to start; only waiting looks at it.
    pub(crate) deadline: Option<Instant>,
}

/// By what the estimate was multiplied, in parts of [`ONE`], dimension by dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scales(pub(crate) [u16; MAX_DIMENSIONS]);

/// The scale that changes nothing.
pub(crate) const ONE: u16 = 1024;

impl Scales {
    pub(crate) const NONE: Self = Self([ONE; MAX_DIMENSIONS]);

    /// The estimate that so much was reserved for.
    pub(crate) fn estimated(&self, dimension: Dimension, reserved: u64) -> u64 {
        let scale = u128::from(self.0[dimension.index()].max(1));
        let estimate = u128::from(reserved) * u128::from(ONE) / scale;
        u64::try_from(estimate).unwrap_or(u64::MAX)
    }
}

impl BudgetDemand {
    /// From when on it is too late to start.
    #[must_use]
    pub const fn deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// What is reserved: the estimate, after what was learned.
    #[must_use]
    pub const fn amounts(&self) -> Amounts {
        self.amounts
    }

    /// What the budget is kept by.
    #[must_use]
    pub const fn key(&self) -> KeyHash {
        self.keys[0]
    }
}
