//! What a retry budget allows.

use std::time::Duration;

use crate::setting::SettingError;
use crate::tokens::{RETRY, Terms, units};

/// What a [`RetryBudget`](crate::RetryBudget) allows: a value, from which any number of budgets can be
/// made.
///
/// The usual one is [`ratio`](Self::ratio); the others are those of systems that publish theirs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetRule(pub(crate) Kind);

/// A thousandth of a token, in billionths.
const THOUSANDTH: u64 = RETRY / 1_000;

/// All numbers are in billionths of a retry, or of a token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Unlimited,
    /// A balance: a share of the requests, plus so many per second.
    Balance {
        ratio: u64,
        terms: Terms,
    },
    /// gRPC: no retries while half of the tokens are gone.
    Throttle {
        ratio: u64,
        most: u64,
    },
    /// AWS: tokens that retries borrow, and give back when they succeed.
    Prices(Prices),
    /// Finagle: a balance that forgets what is older than a window.
    Window {
        ratio: u64,
        reserve: i64,
        slice: Duration,
    },
    /// Envoy: so many retries at once.
    InFlight {
        least: u64,
        share: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prices {
    pub(crate) capacity: u64,
    pub(crate) retry: u64,
    pub(crate) lost: u64,
    pub(crate) first_success: u64,
}

impl Default for BudgetRule {
    /// A retry for every fifth request, ten a second, and a reserve of a hundred.
    fn default() -> Self {
        Self(Kind::Balance {
            ratio: RETRY / 5,
            terms: Terms::new(100 * RETRY, 10 * RETRY),
        })
    }
}

impl BudgetRule {
    /// Every retry is allowed.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self(Kind::Unlimited)
    }

    /// So many retries a request: 0.2 is one for every fifth. On top of it come ten a second and a reserve
    /// of a hundred to start with, unless [`per_second`](Self::per_second) and
    /// [`reserve`](Self::reserve) say otherwise.
    ///
    /// A request pays in when its first attempt has ended in an answer or an error of the upstream; one
    /// that can never be sent again pays nothing. The balance never exceeds the reserve, or a hundred if
    /// that is more.
    ///
    /// # Panics
    ///
    /// If the ratio is negative, no number, or above a billion.
    #[must_use]
    pub fn ratio(ratio: f64) -> Self {
        let default = Self::default();
        default.try_ratio(ratio).unwrap_or_else(|e| panic!("{e}"))
    }

    /// So many retries a second, however few requests there are.
    ///
    /// # Panics
    ///
    /// If the number is negative, no number, or above a billion.
    #[must_use]
    pub fn per_second(self, retries: f64) -> Self {
        self.try_per_second(retries)
            .unwrap_or_else(|e| panic!("{e}"))
    }

    /// So many retries to start with.
    ///
    /// # Panics
    ///
    /// If the number is negative, no number, or above a billion.
    #[must_use]
    pub fn reserve(self, retries: f64) -> Self {
        self.try_reserve(retries).unwrap_or_else(|e| panic!("{e}"))
    }

    /// As [`ratio`](Self::ratio), for numbers that come from elsewhere.
    ///
    /// # Errors
    ///
    /// If the ratio is negative, no number, or above a billion.
    pub fn try_ratio(self, ratio: f64) -> Result<Self, SettingError> {
        let (_, terms) = self.balance();
        let ratio = units("ratio", ratio)?;
        Ok(Self(Kind::Balance { ratio, terms }))
    }

    /// As [`per_second`](Self::per_second), for numbers that come from elsewhere.
    ///
    /// # Errors
    ///
    /// If the number is negative, no number, or above a billion.
    pub fn try_per_second(self, retries: f64) -> Result<Self, SettingError> {
        let (ratio, terms) = self.balance();
        let terms = Terms::new(terms.reserve, units("per_second", retries)?);
        Ok(Self(Kind::Balance { ratio, terms }))
    }

    /// As [`reserve`](Self::reserve), for numbers that come from elsewhere.
    ///
    /// # Errors
    ///
    /// If the number is negative, no number, or above a billion.
    pub fn try_reserve(self, retries: f64) -> Result<Self, SettingError> {
        let (ratio, terms) = self.balance();
        let terms = Terms::new(units("reserve", retries)?, terms.per_second);
        Ok(Self(Kind::Balance { ratio, terms }))
    }

    /// gRPC's throttling (gRPC proposal A6): tokens that start at `most`; a failure that could be retried
    /// takes one, as does a server that says not to retry; a success gives back `ratio` of one, of which
    /// three decimals count. There are retries only while more than half are left.
    ///
    /// # Errors
    ///
    /// If `most` is not between 1 and 1,000, or `ratio` is below 0.001.
    pub fn grpc(most: u32, ratio: f64) -> Result<Self, SettingError> {
        if !(1..=1000).contains(&most) {
            return Err(SettingError::new(
                "maxTokens",
                most,
                "a number from 1 to 1000",
            ));
        }
        // A6: "Decimal places beyond 3 are ignored. (eg. 0.5466 is treated as 0.546.)"
        let whole = units("tokenRatio", ratio)? / THOUSANDTH * THOUSANDTH;
        if whole == 0 {
            let expected = "a number of at least 0.001";
            return Err(SettingError::new("tokenRatio", ratio, expected));
        }
        let most = u64::from(most) * RETRY;
        Ok(Self(Kind::Throttle { ratio: whole, most }))
    }

    /// The retry quota of the AWS SDKs (retry behaviour version 2.0): 500 tokens; a retry borrows 5, or 10
    /// after a timeout or where no connection could be made, and gives them back if it succeeds; a success
    /// at the first attempt gives one.
    ///
    /// The SDKs differ in what takes 10: some count timeouts alone, some also 500, 502, 503 and 504.
    #[must_use]
    pub const fn aws() -> Self {
        Self(Kind::Prices(Prices {
            capacity: 500,
            retry: 5,
            lost: 10,
            first_success: 1,
        }))
    }

    /// Finagle's budget: a fifth of the requests of the last ten seconds, and ten a second beside that.
    #[must_use]
    pub const fn finagle() -> Self {
        Self(Kind::Window {
            ratio: RETRY / 5,
            reserve: 100 * 1_000_000_000,
            slice: Duration::from_secs(1),
        })
    }

    /// Envoy's limit: `least` retries at once, or `share` of the requests in flight if that is more. A
    /// share of zero is Envoy's `max_retries`, any other its `retry_budget`.
    ///
    /// # Errors
    ///
    /// If the share is not between 0 and 1.
    pub fn in_flight(least: u32, share: f64) -> Result<Self, SettingError> {
        if !(0.0..=1.0).contains(&share) {
            return Err(SettingError::new("share", share, "a number from 0 to 1"));
        }
        Ok(Self(Kind::InFlight {
            least: u64::from(least),
            share: units("share", share)?,
        }))
    }

    /// The terms of a balance, or the usual ones for a rule that keeps none.
    fn balance(self) -> (u64, Terms) {
        match self.0 {
            Kind::Balance { ratio, terms } => (ratio, terms),
            _ => (RETRY / 5, Terms::new(100 * RETRY, 10 * RETRY)),
        }
    }
}
