//! What a limiter tells of itself for a status.

use buttress_core::status::{KeysReport, LayerReport, QuotaReport, QuotaScope, Report};
use buttress_core::{Describe, KeyHash, Now};
use buttress_quota::Quota;

use crate::limiter::{RateLimiter, window_of};

/// Quotas and how much is left of them, keys, counts. It goes through the whole table, bucket by bucket.
impl Report for RateLimiter {
    fn report(&self, now: &Now) -> LayerReport {
        let status = self.status();
        let count = |keys: usize| u64::try_from(keys).unwrap_or(u64::MAX);
        let mut report = LayerReport::new("rate_limit");
        report.mode = status.shadow.then_some("shadow");
        report.admitted = Some(status.admitted);
        report.refused = Some(status.refused);
        report.waiting = Some(count(status.waiting));
        report.keys = Some(KeysReport {
            live: count(status.live_keys),
            evicted: status.evicted,
        });
        let own = status.quotas.len();
        let written: Vec<_> = status.quotas.iter().chain(&status.global).collect();
        self.standings(KeyHash::EVERYONE, now, &mut |standing| {
            let index = usize::from(standing.quota);
            let scope = match index < own {
                true => QuotaScope::Key,
                false => QuotaScope::All,
            };
            // Requests without keys spend in everybody's name; as long as nobody has, all is left.
            let is_told = scope == QuotaScope::All
                || status.live_keys == 0
                || standing.remaining < standing.capacity;
            report.quotas.push(QuotaReport {
                name: standing.name.to_owned(),
                quota: written
                    .get(index)
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                scope,
                limit: standing.capacity,
                period: standing.window,
                used: is_told.then(|| standing.capacity.saturating_sub(standing.remaining)),
                left: is_told.then_some(standing.remaining),
                more_in: standing.until_more.filter(|_| is_told),
                ..QuotaReport::default()
            });
        });
        for (tier, quotas) in &status.tiers {
            let of_tier = quotas.iter().map(|quota| of_tier(tier, quota));
            report.quotas.extend(of_tier);
        }
        report
    }
}

/// A quota that every key of a tier has.
fn of_tier(tier: &str, quota: &Quota) -> QuotaReport {
    let text = quota.to_string();
    QuotaReport {
        name: quota.name().map_or_else(|| text.clone(), str::to_owned),
        quota: text,
        scope: QuotaScope::Key,
        tier: Some(tier.to_owned()),
        limit: quota.capacity(),
        period: window_of(quota),
        ..QuotaReport::default()
    }
}
