//! Reading from a request what a rate limit must know.

use std::sync::{Arc, OnceLock};

use buttress_core::time::Instant;
use buttress_core::{Ask, Exempt, Key, KeyHash, MissingKey, Now, Reason, Rejection, Seed, When};

use crate::tier::PutInTier;
use crate::tiers::in_no_tier;

/// What a request asks of a rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateDemand {
    /// What the limit is kept by, and in which tier: of [`RateLimiter::hash`](crate::RateLimiter::hash) or
    /// [`Tier::hash`](crate::Tier::hash).
    pub key: KeyHash,
    /// How many units.
    pub cost: u64,
    /// From when on it is too late to start; only waiting looks at it.
    pub deadline: Option<Instant>,
}

impl RateDemand {
    /// A demand without a deadline.
    #[must_use]
    pub const fn new(key: KeyHash, cost: u64) -> Self {
        Self {
            key,
            cost,
            deadline: None,
        }
    }
}

/// Reads how many units a request costs.
///
/// A closure is one, and so is a number.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell the cost of a `{Req}`",
    note = "a cost is a `u64`, or a closure whose argument is annotated: `|request: &Request| request.len()`"
)]
pub trait Cost<Req> {
    /// The cost in units.
    fn cost(&self, request: &Req) -> u64;
}

/// One unit.
impl<Req> Cost<Req> for () {
    #[inline]
    fn cost(&self, _: &Req) -> u64 {
        1
    }
}

impl<Req> Cost<Req> for u64 {
    fn cost(&self, _: &Req) -> u64 {
        *self
    }
}

impl<Req, F: Fn(&Req) -> u64> Cost<Req> for F {
    fn cost(&self, request: &Req) -> u64 {
        self(request)
    }
}

/// Reads from when on an answer to a request is worthless.
///
/// A closure is one.
pub trait Deadline<Req> {
    /// The deadline, if the request has one.
    fn deadline(&self, request: &Req) -> Option<Instant>;
}

/// There is none.
impl<Req> Deadline<Req> for () {
    #[inline]
    fn deadline(&self, _: &Req) -> Option<Instant> {
        None
    }
}

impl<Req, F: Fn(&Req) -> Option<Instant>> Deadline<Req> for F {
    fn deadline(&self, request: &Req) -> Option<Instant> {
        self(request)
    }
}

/// Reads a [`RateDemand`] from a request: the [`Ask`] of a rate limit.
#[derive(Clone, Debug)]
pub struct RateAsk<K = (), C = (), X = (), D = (), T = ()> {
    seed: Seed,
    key: K,
    cost: C,
    exempt: X,
    deadline: D,
    tier: T,
    missing: Missing,
}

/// What the first request lacked that had no key. What a key is called is known only together with the
/// request's type, and must be told where that type is not.
pub(crate) type Missing = Arc<OnceLock<MissingKey>>;

impl RateAsk {
    /// One unit of one limit for everybody.
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            seed,
            key: (),
            cost: (),
            exempt: (),
            deadline: (),
            tier: (),
            missing: Missing::default(),
        }
    }
}

/// Tells what requests lack that have no key: a [`RateAsk`], whatever it reads.
#[cfg(feature = "http")]
pub trait TellMissing {
    /// Where that is written down, once there was such a request.
    fn missing(&self) -> Arc<OnceLock<MissingKey>>;
}

#[cfg(feature = "http")]
impl<K, C, X, D, T> TellMissing for RateAsk<K, C, X, D, T> {
    fn missing(&self) -> Missing {
        Arc::clone(&self.missing)
    }
}

impl<K, C, X, D, T> RateAsk<K, C, X, D, T> {
    pub(crate) fn with_key<K2>(self, key: K2) -> RateAsk<K2, C, X, D, T> {
        self.with(|_, cost, exempt, deadline, tier| (key, cost, exempt, deadline, tier))
    }

    pub(crate) fn with_cost<C2>(self, cost: C2) -> RateAsk<K, C2, X, D, T> {
        self.with(|key, _, exempt, deadline, tier| (key, cost, exempt, deadline, tier))
    }

    pub(crate) fn with_exempt<X2>(self, exempt: X2) -> RateAsk<K, C, X2, D, T> {
        self.with(|key, cost, _, deadline, tier| (key, cost, exempt, deadline, tier))
    }

    pub(crate) fn with_deadline<D2>(self, deadline: D2) -> RateAsk<K, C, X, D2, T> {
        self.with(|key, cost, exempt, _, tier| (key, cost, exempt, deadline, tier))
    }

    pub(crate) fn with_tier<T2>(self, tier: T2) -> RateAsk<K, C, X, D, T2> {
        self.with(|key, cost, exempt, deadline, _| (key, cost, exempt, deadline, tier))
    }

    fn with<K2, C2, X2, D2, T2>(
        self,
        change: impl FnOnce(K, C, X, D, T) -> (K2, C2, X2, D2, T2),
    ) -> RateAsk<K2, C2, X2, D2, T2> {
        let (key, cost, exempt, deadline, tier) =
            change(self.key, self.cost, self.exempt, self.deadline, self.tier);
        RateAsk {
            seed: self.seed,
            key,
            cost,
            exempt,
            deadline,
            tier,
            missing: self.missing,
        }
    }
}

impl<Req, K, C, X, D, T> Ask<Req> for RateAsk<K, C, X, D, T>
where
    K: Key<Req>,
    C: Cost<Req>,
    X: Exempt<Req>,
    D: Deadline<Req>,
    T: PutInTier<Req>,
{
    type Demand = RateDemand;

    #[inline]
    fn ask(&self, request: &Req, _: &Now) -> Result<Option<RateDemand>, Rejection> {
        if self.exempt.exempts(request) {
            return Ok(None);
        }
        let key = if self.key.is_everyone() {
            KeyHash::EVERYONE
        } else {
            let mut hasher = self.seed.hasher();
            if !self.key.hash_key(request, &mut hasher) {
                self.missing.get_or_init(|| self.key.missing());
                return Err(Rejection::new(Reason::MissingKey, When::Never));
            }
            in_no_tier(hasher.finish())
        };
        Ok(Some(RateDemand {
            key: self.tier.put_in_tier(request, key),
            cost: self.cost.cost(request),
            deadline: self.deadline.deadline(request),
        }))
    }
}
