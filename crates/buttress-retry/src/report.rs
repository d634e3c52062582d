//! What a budget for retries tells of itself for a status.

use buttress_core::Now;
use buttress_core::status::{LayerReport, Report, RetriesReport};

use crate::budget::RetryBudget;

/// How many retries are left, and how many there were.
impl Report for RetryBudget {
    fn report(&self, now: &Now) -> LayerReport {
        let seen = self.snapshot(now);
        let mut report = LayerReport::new("retry_budget");
        report.retries = Some(RetriesReport {
            left: seen.balance,
            allowed: seen.allowed,
            refused: seen.refused,
            in_flight: seen.in_flight,
        });
        report
    }
}
