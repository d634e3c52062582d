//! What a limiter tells of itself to whoever samples it.

use buttress_core::{Describe, KeyHash, Now, Quantity, Reading, Sample};

use crate::limiter::RateLimiter;

/// Keys that are live and evicted, how many requests wait, and where the quotas stand that are kept for all
/// keys together, or by requests without keys. It goes through the whole table, bucket by bucket.
impl Sample for RateLimiter {
    fn sample(&self, now: &Now, each: &mut dyn FnMut(Reading<'_>)) {
        let status = self.status();
        let live = u64::try_from(status.live_keys).unwrap_or(u64::MAX);
        let waiting = u64::try_from(status.waiting).unwrap_or(u64::MAX);
        each(Reading::new(Quantity::KeysLive, "", live));
        each(Reading::new(Quantity::KeysEvicted, "", status.evicted));
        each(Reading::new(Quantity::Waiting, "", waiting));
        // Those of single keys are as many as there are keys.
        let own = status.quotas.len();
        self.standings(KeyHash::EVERYONE, now, &mut |standing| {
            let for_all = usize::from(standing.quota) >= own;
            // Requests without keys spend in everybody's name; as long as nobody has, all is left.
            if for_all || live == 0 || standing.remaining < standing.capacity {
                each(Reading::new(
                    Quantity::Left,
                    standing.name,
                    standing.remaining,
                ));
                each(Reading::new(
                    Quantity::QuotaLimit,
                    standing.name,
                    standing.capacity,
                ));
            }
        });
    }
}
