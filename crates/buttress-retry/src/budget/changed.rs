//! A budget whose rule is changed while it works.

use buttress_core::Now;

use super::{RetryBudget, full};
use crate::rule::{BudgetRule, Kind};
use crate::sync::Ordering;

impl RetryBudget {
    /// A budget of another rule that goes on from where this one is: what it holds stays, as far as the other
    /// has room for it, if both keep a balance or both keep tokens; else it starts as any new one. What it has
    /// allowed and refused is counted on.
    ///
    /// Calls that run pay into the old one until they end.
    #[must_use]
    pub fn changed_to(&self, rule: BudgetRule, now: &Now) -> Self {
        let changed = Self::new(rule);
        let _ = self.0.holds(now);
        let held = self.0.balance.load(Ordering::Relaxed);
        let kept = match (self.0.rule.0, rule.0) {
            (Kind::Balance { .. }, Kind::Balance { terms, .. }) => Some(held.min(terms.capacity)),
            (Kind::Throttle { .. }, Kind::Throttle { .. }) | (Kind::Prices(_), Kind::Prices(_)) => {
                Some(held.min(full(&rule)))
            }
            _ => None,
        };
        if let Some(kept) = kept {
            changed.0.balance.store(kept, Ordering::Relaxed);
        }
        let counters = [
            (&self.0.allowed, &changed.0.allowed),
            (&self.0.refused, &changed.0.refused),
        ];
        for (old, new) in counters {
            new.store(old.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        changed
    }
}
