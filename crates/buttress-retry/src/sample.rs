//! What a budget for retries tells of itself to whoever samples it.

use buttress_core::{Now, Quantity, Reading, Sample};

use crate::budget::RetryBudget;

/// How many retries are left, and how many were refused.
impl Sample for RetryBudget {
    fn sample(&self, now: &Now, each: &mut dyn FnMut(Reading<'_>)) {
        let seen = self.snapshot(now);
        // A budget that allows all has no number.
        if let Some(value) = seen.balance {
            each(Reading {
                quantity: Quantity::RetriesLeft,
                of: "",
                value,
            });
        }
        each(Reading::new(Quantity::RetriesRefused, "", seen.refused));
    }
}
