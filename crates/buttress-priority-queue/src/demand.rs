//! What a request asks of a queue.

use buttress_core::time::Instant;
use buttress_core::{KeyHash, Now, Permit, Policy, Rejection};

use crate::priority::{Priority, Urgency};

/// What a request asks of a queue, and of the gates behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueDemand<D = ()> {
    /// How urgent it is, from 0.
    pub level: u8,
    /// Whose it is.
    pub tenant: KeyHash,
    /// What its turn costs its tenant; 0 is 1.
    pub cost: u64,
    /// From when on its answer is worthless.
    pub deadline: Option<Instant>,
    /// Its partition, from 0; a number above the last is the last.
    pub partition: usize,
    /// What it asks of the gates; none if it does not concern them.
    pub gates: Option<D>,
}

impl QueueDemand {
    /// A place for something so urgent.
    #[must_use]
    pub fn new(urgency: impl Urgency) -> Self {
        Self::with_gates(urgency, Some(()))
    }
}

impl Default for QueueDemand {
    fn default() -> Self {
        Self::new(Priority::default())
    }
}

impl<D> QueueDemand<D> {
    /// A place for something so urgent, and what the gates are to be asked.
    #[must_use]
    pub fn with_gates(urgency: impl Urgency, gates: Option<D>) -> Self {
        Self {
            level: urgency.level(),
            tenant: KeyHash::EVERYONE,
            cost: 1,
            deadline: None,
            partition: 0,
            gates,
        }
    }

    /// Nothing of it starts at or after this instant.
    #[must_use]
    pub const fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Whose it is, and what its turn costs.
    #[must_use]
    pub const fn tenant(mut self, tenant: KeyHash, cost: u64) -> Self {
        self.tenant = tenant;
        self.cost = cost;
        self
    }
}

/// No gates: a place is all that is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoGate;

impl Policy for NoGate {
    type Demand = ();
    type Ticket = ();

    #[inline]
    fn would_admit(&self, (): &(), _: &Now) -> Result<(), Rejection> {
        Ok(())
    }

    #[inline]
    fn try_admit(&self, (): &(), _: &Now) -> Result<Permit<()>, Rejection> {
        Ok(Permit::exempt())
    }

    fn release(&self, (): &(), _: Permit<()>, _: &Now) {}
}
