//! What a budget tells of itself to whoever samples it.

use buttress_core::{KeyHash, Now, Quantity, Reading, Sample};

use crate::budget::TokenBudget;
use crate::dimension::Dimension;
use crate::live::BudgetStanding;

/// Keys that are live and evicted, how many requests wait; by dimension what is reserved, was granted,
/// refunded, used and used beyond what had been reserved, and with feature `hdrhistogram` how far estimates
/// were off; and where the quotas stand that are kept for all keys together. It goes through the whole table,
/// bucket by bucket.
impl Sample for TokenBudget {
    fn sample(&self, _: &Now, each: &mut dyn FnMut(Reading<'_>)) {
        let status = self.status();
        let count = |keys: usize| u64::try_from(keys).unwrap_or(u64::MAX);
        each(Reading::new(
            Quantity::KeysLive,
            "",
            count(status.live_keys),
        ));
        each(Reading::new(Quantity::KeysEvicted, "", status.evicted));
        each(Reading::new(Quantity::Waiting, "", count(status.waiting)));
        for dimension in Dimension::all() {
            let index = dimension.index();
            let granted = status.granted[index];
            if granted == 0 {
                continue;
            }
            let reserved = status.reserved[index];
            let (refunded, overshot) = (status.refunded[index], status.overshot[index]);
            let used = (granted + overshot).saturating_sub(reserved + refunded);
            let told = [
                (Quantity::Reserved, reserved),
                (Quantity::Granted, granted),
                (Quantity::Refunded, refunded),
                (Quantity::Overshot, overshot),
                (Quantity::Used, used),
            ];
            for (quantity, amount) in told {
                each(Reading::new(quantity, dimension.name(), amount));
            }
            #[cfg(feature = "hdrhistogram")]
            errors(self, dimension, each);
        }
        for scope in 0..self.shared.scopes.len() {
            let for_all = scope > 0 && self.shared.is_global(scope);
            if for_all || scope == 0 {
                let unspent = status.live_keys == 0;
                standings(
                    &self.balances_of(scope, KeyHash::EVERYONE),
                    for_all || unspent,
                    each,
                );
            }
        }
    }
}

/// Where quotas stand. Requests without keys spend in everybody's name; if others have keys, everybody's
/// quotas are full, which says nothing.
fn standings(all: &[BudgetStanding], even_if_full: bool, each: &mut dyn FnMut(Reading<'_>)) {
    for standing in all {
        let full = standing.remaining >= standing.capacity && standing.debt == 0;
        if even_if_full || !full {
            each(Reading::new(
                Quantity::Left,
                &standing.name,
                standing.remaining,
            ));
            each(Reading::new(
                Quantity::QuotaLimit,
                &standing.name,
                standing.capacity,
            ));
            each(Reading::new(Quantity::Debt, &standing.name, standing.debt));
        }
    }
}

/// What was used in percent of what had been reserved.
#[cfg(feature = "hdrhistogram")]
fn errors(budget: &TokenBudget, dimension: Dimension, each: &mut dyn FnMut(Reading<'_>)) {
    let Some(seen) = budget
        .settle_errors(dimension)
        .filter(|seen| !seen.is_empty())
    else {
        return;
    };
    for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
        let of = format!("{}/{name}", dimension.name());
        // They are kept in thousandths.
        let percent = seen.value_at_quantile(quantile) / 10;
        each(Reading::new(Quantity::SettleError, &of, percent));
    }
}
