//! What a budget remembers of a reservation, and how it is settled.

use std::fmt;
use std::sync::Arc;

use buttress_core::{End, KeyHash, Now, Outcome, Ticket, Usage};

use crate::demand::BudgetDemand;
use crate::dimension::{Amounts, Dimension};
use crate::shared::Shared;

/// How a call that broke off settles: whose caller went away, or whose answer did, when it had reached the
/// upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDrop {
    /// At least what was reserved, and more if more was seen: the upstream may have gone on.
    #[default]
    Keep,
    /// What was seen of those dimensions of which something was seen, and of requests and input at least
    /// what was reserved: for upstreams that stop when the connection does. What nothing was seen of stays
    /// as reserved.
    Seen,
    /// Nothing: all is given back, for upstreams that charge only for whole answers.
    Refund,
}

/// How a reservation is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// So much was used; what is not said stays as reserved.
    Exact(Usage),
    /// At least so much was used: more may be charged, and nothing is given back.
    AtLeast(Usage),
    /// Nothing was done: all is given back.
    Nothing,
}

/// A reservation that runs. It is settled by its [`End`], or by hand ([`Reserved::settle`]).
pub struct Reserved {
    shared: Arc<Shared>,
    demand: BudgetDemand,
    /// The instant of the reservation, in nanoseconds of the budget's.
    at: u64,
    shadowed: bool,
    /// The upstream has begun to do what it was asked.
    began: bool,
    /// All was given back before the call came to its end.
    settled: bool,
}

impl Reserved {
    pub(crate) const fn new(
        shared: Arc<Shared>,
        demand: &BudgetDemand,
        at: u64,
        shadowed: bool,
    ) -> Self {
        Self {
            shared,
            demand: *demand,
            at,
            shadowed,
            began: false,
            settled: false,
        }
    }

    /// What is reserved.
    #[must_use]
    pub const fn amounts(&self) -> Amounts {
        self.demand.amounts
    }

    /// Settles by hand, for use without tower.
    pub fn settle(self, settlement: Settlement, now: &Now) {
        if !self.settled {
            self.put(settlement, now);
        }
    }

    /// Puts what was used in the place of what is reserved.
    fn put(&self, settlement: Settlement, now: &Now) {
        let reserved = self.demand.amounts;
        let used = match settlement {
            Settlement::Exact(usage) => reserved.settled(&usage),
            Settlement::AtLeast(usage) => reserved.at_least(&reserved.settled(&usage)),
            Settlement::Nothing => Amounts::NOTHING,
        };
        if let Settlement::Exact(usage) = settlement {
            self.learn(&usage, &used);
        }
        let (shared, now) = (&self.shared, self.shared.nanos(now));
        shared.settle(&self.demand.keys, &reserved, &used, self.at, now);
    }

    /// Remembers how far the estimate was off.
    fn learn(&self, usage: &Usage, used: &Amounts) {
        for dimension in Dimension::all().filter(|dimension| dimension.is_guessed()) {
            let reserved = self.demand.amounts.get(dimension);
            let follows = dimension == Dimension::TOTAL && used.get(dimension) != reserved;
            if reserved == 0 || usage.get(dimension.index()).is_none() && !follows {
                continue;
            }
            self.shared.errors.record(
                self.demand.keys[0],
                dimension,
                reserved,
                used.get(dimension),
            );
            if let Some(learned) = &self.shared.learned {
                let estimated = self.demand.scales.estimated(dimension, reserved);
                learned.learn(
                    self.demand.keys[0],
                    dimension,
                    estimated,
                    used.get(dimension),
                );
            }
        }
    }

    /// How a call that broke off settles, with what was seen of it.
    fn broken(&self, seen: Option<Usage>) -> Settlement {
        let seen = seen.unwrap_or_default();
        match self.shared.on_drop {
            OnDrop::Keep => Settlement::AtLeast(seen),
            OnDrop::Refund => Settlement::Nothing,
            OnDrop::Seen => {
                let reserved = self.demand.amounts;
                let known = [Dimension::REQUESTS, Dimension::INPUT];
                let at_least = known.into_iter().fold(seen, |usage, dimension| {
                    let seen = usage.get(dimension.index()).unwrap_or(0);
                    usage.with(dimension.index(), seen.max(reserved.get(dimension)))
                });
                match seen == Usage::default() {
                    true => Settlement::AtLeast(seen),
                    false => Settlement::Exact(at_least),
                }
            }
        }
    }
}

impl Ticket for Reserved {
    fn head(&mut self, outcome: Outcome, _: &Now) {
        self.began = outcome == Outcome::Success;
    }

    fn used(&mut self, usage: Usage, now: &Now) {
        if usage == Usage::NOTHING && !self.settled {
            self.put(Settlement::Nothing, now);
            self.settled = true;
        }
    }

    fn end(self, end: End, now: &Now) {
        let settlement = match end {
            End::Settled(Outcome::Refused, _) | End::Released => Settlement::Nothing,
            // It is known that nothing was done: the response was none, or the request was never sent.
            End::Settled(_, Some(Usage::NOTHING)) | End::Cancelled(Some(Usage::NOTHING)) => {
                Settlement::Nothing
            }
            End::Settled(Outcome::Success, usage) => Settlement::Exact(usage.unwrap_or_default()),
            // The upstream may have spent it, and goes on with it.
            End::Settled(Outcome::TimedOut, seen) => Settlement::AtLeast(seen.unwrap_or_default()),
            End::Settled(Outcome::Failure | Outcome::Throttled(_) | Outcome::Overloaded, seen) => {
                match self.began {
                    true => self.broken(seen),
                    false => Settlement::Nothing,
                }
            }
            End::Cancelled(seen) => self.broken(seen),
        };
        self.settle(settlement, now);
    }

    fn shadowed(&self) -> bool {
        self.shadowed
    }

    fn key(&self) -> Option<KeyHash> {
        Some(self.demand.keys[0])
    }
}

impl fmt::Debug for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserved")
            .field("amounts", &self.demand.amounts)
            .field("shadowed", &self.shadowed)
            .finish_non_exhaustive()
    }
}
