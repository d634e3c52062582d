//! The instant from which a limiter counts nanoseconds.

use std::time::Duration;

use buttress_core::time::Instant;
use buttress_quota::{Quota, Window};

use crate::limits::Limits;

/// An instant so early that whatever a log of these limits can hold from before a restart has its own time
/// after it; now where nothing is kept over restarts.
///
/// Where the machine's clock cannot be read back that far, the earliest that can be told; what was spent
/// before it then comes back as if it had been spent at that instant, so late and not early.
pub(crate) fn epoch_for(limits: &Limits) -> Instant {
    let lists = limits.overrides.values().chain(limits.tiers.values());
    let quotas = lists.chain([&limits.quotas, &limits.global]).flatten();
    let longest = quotas.filter(|quota| keeps_a_log(quota)).map(Quota::period);
    before(
        buttress_core::time::now(),
        longest.max().unwrap_or_default(),
    )
}

fn keeps_a_log(quota: &Quota) -> bool {
    cfg!(feature = "persist")
        && outlasts_a_restart(quota)
        && matches!(quota.window(), Window::Rolling)
}

fn before(now: Instant, length: Duration) -> Instant {
    let mut length = length;
    loop {
        match now.checked_sub(length) {
            Some(instant) => return instant,
            None => length /= 2,
        }
    }
}

/// Whether a quota's period is a day or more, so that a restart must not forgive what was spent of it.
pub(crate) fn outlasts_a_restart(quota: &Quota) -> bool {
    quota.period() >= Duration::from_secs(86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_is_as_early_as_a_kept_log_reaches_back_or_as_can_be_told() {
        let now = buttress_core::time::now();
        assert_eq!(before(now, Duration::ZERO), now);
        let day = Duration::from_secs(86_400);
        assert_eq!(now.duration_since(before(now, day)), day);
        let _ = before(now, Duration::MAX);
    }
}
