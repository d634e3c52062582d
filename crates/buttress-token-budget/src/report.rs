//! What a budget tells of itself for a status.

use buttress_core::status::{
    KeysReport, LayerReport, QuotaReport, QuotaScope, Report, TokensReport,
};
use buttress_core::{KeyHash, Now};

use crate::budget::TokenBudget;
use crate::dimension::Dimension;
use crate::live::{BudgetStanding, BudgetStatus};

/// Quotas and how much is left of them by dimension, tokens, keys, counts. It goes through the whole table,
/// bucket by bucket.
impl Report for TokenBudget {
    fn report(&self, _: &Now) -> LayerReport {
        let status = self.status();
        let count = |keys: usize| u64::try_from(keys).unwrap_or(u64::MAX);
        let mut report = LayerReport::new("token_budget");
        report.mode = match (status.shadow, status.soft) {
            (true, _) => Some("shadow"),
            (false, true) => Some("soft"),
            (false, false) => None,
        };
        report.admitted = Some(status.admitted);
        report.refused = Some(status.refused);
        report.waiting = Some(count(status.waiting));
        report.keys = Some(KeysReport {
            live: count(status.live_keys),
            evicted: status.evicted,
        });
        for index in 0..self.shared.scopes.len() {
            let scope = match self.shared.is_global(index) {
                true => QuotaScope::All,
                false => QuotaScope::Key,
            };
            let unspent = index == 0 && status.live_keys == 0;
            // The plain quotas of requests without keys, and those that there are but once.
            let is_told = |standing: &BudgetStanding| {
                let is_full = standing.remaining >= standing.capacity && standing.debt == 0;
                scope == QuotaScope::All || (index == 0 && (unspent || !is_full))
            };
            let limits = self.shared.scopes[index].limits();
            let standings = self.balances_of(index, KeyHash::EVERYONE);
            for (standing, limit) in standings.into_iter().zip(&limits) {
                let is_told = is_told(&standing);
                let used = standing.capacity.saturating_sub(standing.remaining) + standing.debt;
                report.quotas.push(QuotaReport {
                    name: standing.name,
                    quota: limit.quota.to_string(),
                    scope,
                    dimension: Some(standing.dimension.name()),
                    limit: standing.capacity,
                    period: limit.quota.period(),
                    used: is_told.then_some(used),
                    left: is_told.then_some(standing.remaining),
                    debt: (is_told && standing.debt > 0).then_some(standing.debt),
                    more_in: standing.until_more.filter(|_| is_told),
                    ..QuotaReport::default()
                });
            }
        }
        report.tokens = tokens(&status);
        report
    }
}

/// What has been reserved of every dimension that anything has been reserved of.
fn tokens(status: &BudgetStatus) -> Vec<TokensReport> {
    let mut all = Vec::new();
    for dimension in Dimension::all() {
        let index = dimension.index();
        let (granted, reserved) = (status.granted[index], status.reserved[index]);
        let (refunded, overshot) = (status.refunded[index], status.overshot[index]);
        if granted > 0 {
            all.push(TokensReport {
                dimension: dimension.name(),
                reserved,
                granted,
                refunded,
                overshot,
                used: (granted + overshot).saturating_sub(reserved + refunded),
            });
        }
    }
    all
}
