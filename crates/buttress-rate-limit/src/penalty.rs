//! What repeated refusals lead to: waits that grow, and a ban.
//!
//! Pure: `now` is a parameter, in nanoseconds since an epoch of the caller's. The idea, and the defaults, are
//! those of fail2ban (`maxretry`, `findtime`, `bantime`, `bantime.increment`).

use std::time::Duration;

use crate::duration::format_duration;
use crate::offence::Offence;
use crate::penalty_error::{PenaltyError, count, nanos, or_panic};

/// How many offenders are kept in mind by default.
pub const DEFAULT_OFFENDERS: usize = 10_000;

const LONGEST_UNLESS_SAID: u64 = 600_000_000_000;
/// A growth is kept in thousandths.
const ONE: u32 = 1_000;

/// What repeated refusals lead to.
///
/// ```
/// use std::time::Duration;
/// use buttress_rate_limit::{Penalty, Quota, RateLimiter};
///
/// let penalty = Penalty::after(5)
///     .first(Duration::from_secs(10))
///     .growing(2.0)
///     .up_to(Duration::from_secs(600))
///     .ban_after(50, Duration::from_secs(3_600));
/// let limiter = RateLimiter::builder()
///     .quota(Quota::per_minute(20))
///     .penalty(penalty)
///     .build()?;
/// # let _ = limiter;
/// # Ok::<(), buttress_rate_limit::LimitsError>(())
/// ```
///
/// Every fifth refusal of a key is a step here. The first step has it wait for 10 s from then on, the next one
/// for 20 s, and so on up to 10 minutes; the 50th refusal bans it for an hour. Until such a wait is over the
/// key is refused at once, whatever its quotas hold; *these refusals count too*, so a client that does not
/// heed `Retry-After` climbs step by step. A ban does not grow, and after it the key starts anew. A key that
/// was not refused for 10 minutes ([`forget_after`](Self::forget_after)) after its last wait starts anew.
///
/// Only refusals by quotas that are kept per key count: what is used up for all keys together is not the
/// fault of one, and where all share one key there is nobody to penalise.
///
/// The methods without `Result` are for numbers that stand in the source: they panic on an impossible one,
/// for which the others (`try_..`) give an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Penalty {
    steps: Option<Steps>,
    ban: Option<Ban>,
    forget_after: u64,
    offenders: usize,
}

/// Waits that grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Steps {
    /// How many refusals are a step.
    refusals: u32,
    first: u64,
    /// In thousandths.
    growth: u32,
    /// What was said of it.
    up_to: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ban {
    refusals: u32,
    length: u64,
}

impl Penalty {
    /// Every `refusals` refusals of a key are a step, which has it wait: for 10 s at first, twice as long
    /// each time, and up to 10 minutes, if nothing else is said.
    ///
    /// # Panics
    ///
    /// If `refusals` is 0.
    #[must_use]
    pub fn after(refusals: u32) -> Self {
        or_panic(Self::try_after(refusals))
    }

    /// As [`after`](Self::after).
    ///
    /// # Errors
    ///
    /// If `refusals` is 0.
    pub fn try_after(refusals: u32) -> Result<Self, PenaltyError> {
        Ok(Self {
            steps: Some(Steps {
                refusals: count("after", refusals)?,
                first: 10_000_000_000,
                growth: 2 * ONE,
                up_to: None,
            }),
            ban: None,
            forget_after: 600_000_000_000,
            offenders: DEFAULT_OFFENDERS,
        })
    }

    /// Bans a key for `length` at its `refusals`-th refusal, and does nothing before.
    ///
    /// # Panics
    ///
    /// If `refusals` is 0, or `length` is zero or above 2^63 nanoseconds.
    #[must_use]
    pub fn ban(refusals: u32, length: Duration) -> Self {
        or_panic(Self::try_ban(refusals, length))
    }

    /// As [`ban`](Self::ban).
    ///
    /// # Errors
    ///
    /// If `refusals` is 0, or `length` is zero or above 2^63 nanoseconds.
    pub fn try_ban(refusals: u32, length: Duration) -> Result<Self, PenaltyError> {
        let penalty = Self::try_after(1)?.try_ban_after(refusals, length)?;
        Ok(Self {
            steps: None,
            ..penalty
        })
    }

    /// How long the first step has a key wait; 10 s if not said.
    ///
    /// # Panics
    ///
    /// Where [`try_first`](Self::try_first) gives an error.
    #[must_use]
    pub fn first(self, wait: Duration) -> Self {
        or_panic(self.try_first(wait))
    }

    /// How long the first step has a key wait; 10 s if not said.
    ///
    /// # Errors
    ///
    /// If it is zero, above 2^63 nanoseconds, or above what [`up_to`](Self::up_to) said, or the penalty has no
    /// steps.
    pub fn try_first(self, wait: Duration) -> Result<Self, PenaltyError> {
        let first = nanos("first", wait)?;
        self.stepping("first", format_duration(wait), |steps| Steps {
            first,
            ..steps
        })
    }

    /// By what each step is longer than the one before; 2 if not said. 1 keeps them equal.
    ///
    /// # Panics
    ///
    /// Where [`try_growing`](Self::try_growing) gives an error.
    #[must_use]
    pub fn growing(self, factor: f64) -> Self {
        or_panic(self.try_growing(factor))
    }

    /// By what each step is longer than the one before; 2 if not said. It is kept in thousandths.
    ///
    /// # Errors
    ///
    /// If it is not a number from 1 to 1000, or the penalty has no steps.
    pub fn try_growing(self, factor: f64) -> Result<Self, PenaltyError> {
        // A duration of so many seconds has so many thousandths, and is no place for what is no number.
        let thousandths = Duration::try_from_secs_f64(factor).map(|exact| {
            let rounded = exact.saturating_add(Duration::from_micros(500));
            u32::try_from(rounded.as_millis()).unwrap_or(u32::MAX)
        });
        match thousandths {
            Ok(growth) if (ONE..=1_000 * ONE).contains(&growth) => {
                self.stepping("growing", factor.to_string(), |steps| Steps {
                    growth,
                    ..steps
                })
            }
            _ => Err(PenaltyError::new(
                "growing",
                factor.to_string(),
                "write a number from 1 to 1000",
            )),
        }
    }

    /// How long a step has a key wait at most; 10 minutes, or the first if that is longer, if not said.
    ///
    /// # Panics
    ///
    /// Where [`try_up_to`](Self::try_up_to) gives an error.
    #[must_use]
    pub fn up_to(self, longest: Duration) -> Self {
        or_panic(self.try_up_to(longest))
    }

    /// How long a step has a key wait at most; 10 minutes, or the first if that is longer, if not said.
    ///
    /// # Errors
    ///
    /// If it is zero, above 2^63 nanoseconds, or below the first, or the penalty has no steps.
    pub fn try_up_to(self, longest: Duration) -> Result<Self, PenaltyError> {
        let up_to = Some(nanos("up_to", longest)?);
        self.stepping("up_to", format_duration(longest), |steps| Steps {
            up_to,
            ..steps
        })
    }

    /// Bans a key for `length` at its `refusals`-th refusal. A ban does not grow, and when it ends the key
    /// starts anew.
    ///
    /// # Panics
    ///
    /// If `refusals` is 0, or `length` is zero or above 2^63 nanoseconds.
    #[must_use]
    pub fn ban_after(self, refusals: u32, length: Duration) -> Self {
        or_panic(self.try_ban_after(refusals, length))
    }

    /// As [`ban_after`](Self::ban_after).
    ///
    /// # Errors
    ///
    /// If `refusals` is 0, or `length` is zero or above 2^63 nanoseconds.
    pub fn try_ban_after(self, refusals: u32, length: Duration) -> Result<Self, PenaltyError> {
        let ban = Ban {
            refusals: count("ban_after", refusals)?,
            length: nanos("ban_after", length)?,
        };
        Ok(Self {
            ban: Some(ban),
            ..self
        })
    }

    /// How long a key must not be refused, after its last wait, to start anew; 10 minutes if not said.
    ///
    /// # Panics
    ///
    /// If it is zero or above 2^63 nanoseconds.
    #[must_use]
    pub fn forget_after(self, quiet: Duration) -> Self {
        or_panic(self.try_forget_after(quiet))
    }

    /// As [`forget_after`](Self::forget_after).
    ///
    /// # Errors
    ///
    /// If it is zero or above 2^63 nanoseconds.
    pub fn try_forget_after(self, quiet: Duration) -> Result<Self, PenaltyError> {
        Ok(Self {
            forget_after: nanos("forget_after", quiet)?,
            ..self
        })
    }

    /// How many offenders are kept in mind, about 200 bytes each; 10,000 if not said, and at least 1. When
    /// there are more, the one goes whose penalty ends first, and is counted
    /// ([`RateLimiter::offenders_evicted`](crate::RateLimiter::offenders_evicted)).
    #[must_use]
    pub fn offenders(self, most: usize) -> Self {
        Self {
            offenders: most.max(1),
            ..self
        }
    }

    pub(crate) const fn most_offenders(&self) -> usize {
        self.offenders
    }

    /// What a key is guilty of that is refused now.
    #[must_use]
    pub fn refused(&self, before: Option<Offence>, now: u64) -> Offence {
        let mut offence = before
            .filter(|before| now < before.forgotten)
            .unwrap_or(Offence::NONE);
        // Threads may meet in another order than their clocks.
        let now = now.max(offence.last);
        offence.refusals = offence.refusals.saturating_add(1);
        offence.last = now;
        if offence.banned {
            return offence;
        }
        match (self.ban, self.steps) {
            (Some(ban), _) if offence.refusals >= ban.refusals => {
                offence.penalise(now, ban.length);
                offence.banned = true;
                offence.forgotten = offence.until;
                return offence;
            }
            (_, Some(steps)) if offence.refusals.is_multiple_of(steps.refusals) => {
                offence.length = steps.after(offence.length);
                offence.penalise(now, offence.length);
            }
            _ => {}
        }
        let ended = offence.until.max(now);
        offence.forgotten = ended.saturating_add(self.forget_after);
        offence
    }

    fn stepping(
        self,
        field: &'static str,
        found: String,
        change: impl FnOnce(Steps) -> Steps,
    ) -> Result<Self, PenaltyError> {
        let Some(steps) = self.steps else {
            let fix = "a penalty that only bans has no steps; begin with `Penalty::after`";
            return Err(PenaltyError::new(field, found, fix));
        };
        let steps = change(steps);
        if steps.up_to.is_some_and(|up_to| up_to < steps.first) {
            let fix = "write a first wait that is not longer than the longest";
            return Err(PenaltyError::new(field, found, fix));
        }
        Ok(Self {
            steps: Some(steps),
            ..self
        })
    }
}

impl Steps {
    fn after(&self, length: u64) -> u64 {
        if length == 0 {
            return self.first;
        }
        let longest = self.up_to.unwrap_or(LONGEST_UNLESS_SAID.max(self.first));
        let grown = u128::from(length) * u128::from(self.growth) / u128::from(ONE);
        u64::try_from(grown).unwrap_or(u64::MAX).min(longest)
    }
}
