//! The arithmetic of the retry budgets: pure, without clock and without lock.

use crate::setting::SettingError;

/// One retry, in the unit in which balances are kept. A ratio is a whole number of billionths, so that a
/// hundred deposits of 0.6 are sixty retries and not one less.
pub(crate) const RETRY: u64 = 1_000_000_000;

/// More than this no budget holds.
const MOST_RETRIES: f64 = 1e9;

/// A balance is kept up to this, if the reserve is not larger.
const LEAST_CAPACITY: u64 = 100 * RETRY;

/// The terms of a budget in units of a billionth of a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// What it starts with.
    pub(crate) reserve: u64,
    /// What it holds at most.
    pub(crate) capacity: u64,
    /// What comes in with time, per second.
    pub(crate) per_second: u64,
}

/// How much has come in with time, and up to when it was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accrual {
    /// Nanoseconds since the budget was made.
    until: u64,
    /// What did not make up a whole unit yet, in units per billion.
    remainder: u64,
}

impl Terms {
    pub(crate) fn new(reserve: u64, per_second: u64) -> Self {
        Self {
            reserve,
            capacity: reserve.max(LEAST_CAPACITY),
            per_second,
        }
    }

    /// A balance that starts full, and that nothing comes into with time.
    pub(crate) const fn without_time(capacity: u64) -> Self {
        Self {
            reserve: capacity,
            capacity,
            per_second: 0,
        }
    }

    /// A balance after something came in.
    pub(crate) fn after_deposit(&self, balance: u64, amount: u64) -> u64 {
        balance.saturating_add(amount).min(self.capacity)
    }

    /// A balance after something was paid, if it is enough.
    pub(crate) fn after_payment(balance: u64, price: u64) -> Option<u64> {
        balance.checked_sub(price)
    }
}

impl Accrual {
    /// What has come in from the last time on until `now`, in nanoseconds since the budget was made.
    ///
    /// It may be asked late: deposits and time only ever add, so what is added in another order comes to
    /// the same balance, bounded or not.
    pub(crate) fn advance(&mut self, terms: &Terms, now: u64) -> u64 {
        let elapsed = u128::from(now.saturating_sub(self.until));
        self.until = self.until.max(now);
        let due = elapsed * u128::from(terms.per_second) + u128::from(self.remainder);
        let per_unit = u128::from(RETRY);
        self.remainder = u64::try_from(due % per_unit).unwrap_or(0);
        u64::try_from(due / per_unit).unwrap_or(u64::MAX)
    }

    /// Forgets what time has brought.
    pub(crate) fn restart(&mut self, now: u64) {
        *self = Self {
            until: now,
            remainder: 0,
        };
    }
}

/// A number of retries in units, to the nearest.
///
/// # Errors
///
/// If it is negative, no number, or above a billion.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number was checked to lie between zero and 10^18"
)]
pub(crate) fn units(field: &'static str, retries: f64) -> Result<u64, SettingError> {
    match retries.is_finite() && (0.0..=MOST_RETRIES).contains(&retries) {
        true => Ok((retries * RETRY as f64).round() as u64),
        false => Err(SettingError::new(
            field,
            retries,
            "a number from 0 to 1000000000",
        )),
    }
}
