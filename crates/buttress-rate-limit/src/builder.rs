//! Choosing what a limiter enforces.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use buttress_core::wall::WallClock;
use buttress_core::{KeyHash, Seed};
use buttress_quota::Quota;

use crate::limiter::RateLimiter;
use crate::limits::{Limits, LimitsError};
use crate::penalty::Penalty;
use crate::shared::Shared;

/// How many live keys a limiter's table is rated for by default.
pub const DEFAULT_KEYS: usize = 65_536;

/// Builds a [`RateLimiter`].
#[derive(Clone, Debug)]
pub struct RateLimiterBuilder {
    quotas: Vec<Quota>,
    global: Vec<Quota>,
    overrides: Vec<Override>,
    tiers: BTreeMap<String, Vec<Quota>>,
    keys: usize,
    pub(crate) seed: Option<u64>,
    shadow: bool,
    wall_clock: Option<WallClock>,
    penalty: Option<Penalty>,
    instances: u32,
}

/// Other quotas for a key that is hashed when the seed is known.
#[derive(Clone)]
struct Override {
    hash: Arc<dyn Fn(&Seed) -> KeyHash + Send + Sync>,
    quotas: Vec<Quota>,
}

impl fmt::Debug for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.quotas.fmt(f)
    }
}

impl Default for RateLimiterBuilder {
    fn default() -> Self {
        Self {
            quotas: Vec::new(),
            global: Vec::new(),
            overrides: Vec::new(),
            tiers: BTreeMap::new(),
            keys: DEFAULT_KEYS,
            seed: None,
            shadow: false,
            wall_clock: None,
            penalty: None,
            instances: 1,
        }
    }
}

impl RateLimiterBuilder {
    /// Adds a quota that is kept per key. All quotas are one decision.
    #[must_use]
    pub fn quota(mut self, quota: Quota) -> Self {
        self.quotas.push(quota);
        self
    }

    /// Adds quotas that are kept per key.
    #[must_use]
    pub fn quotas(mut self, quotas: impl IntoIterator<Item = Quota>) -> Self {
        self.quotas.extend(quotas);
        self
    }

    /// Adds quotas that are kept for all keys together, in the same decision.
    #[must_use]
    pub fn global(mut self, quotas: impl IntoIterator<Item = Quota>) -> Self {
        self.global.extend(quotas);
        self
    }

    /// Adds a tier: other quotas for the keys that are put into it. What this means:
    /// [`RateLimitLayer::tier`](crate::RateLimitLayer::tier). Of one name the last holds.
    #[must_use]
    pub fn tier(mut self, name: &str, quotas: impl IntoIterator<Item = Quota>) -> Self {
        self.tiers
            .insert(name.to_owned(), quotas.into_iter().collect());
        self
    }

    /// Keeps other quotas for one key, instead of those that are kept per key.
    #[must_use]
    pub fn override_for(
        mut self,
        key: impl Hash + Send + Sync + 'static,
        quotas: impl IntoIterator<Item = Quota>,
    ) -> Self {
        self.overrides.push(Override {
            hash: Arc::new(move |seed| seed.hash(&key)),
            quotas: quotas.into_iter().collect(),
        });
        self
    }

    /// How many live keys the table is rated for; 65,536 if not said. A live key is one that has spent
    /// something that has not come back.
    ///
    /// The table is made when the first key comes, and never grows. While a single paced quota is all that is
    /// kept per key it takes 32 bytes a rated key. Overrides, several quotas, rolling and calendar quotas, and
    /// counts that are kept beyond the process, need 80 bytes a rated key; beyond a single paced quota a key
    /// that owes something takes 64 bytes a quota more, and one of a rolling quota 16 bytes an entry of its
    /// log.
    ///
    /// When more keys than rated are live, those that owe least may be forgotten, and are counted in
    /// [`RateLimiterStatus::evicted`](crate::RateLimiterStatus::evicted). A key is forgotten only while all the
    /// others in its two buckets owe for at least as long: whoever sends many keys cannot have one forgotten
    /// that has used up its quota, unless those beside it have used up theirs.
    #[must_use]
    pub fn keys(mut self, keys: usize) -> Self {
        self.keys = keys;
        self
    }

    /// Hashes keys with a fixed seed, so that runs repeat. For tests and replays: an attacker who knows the
    /// seed can aim at the table. A limiter that can be saved makes its seed of this number too.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Counts what would be refused, and refuses nothing.
    #[must_use]
    pub fn shadow(mut self, shadow: bool) -> Self {
        self.shadow = shadow;
        self
    }

    /// What repeated refusals of a key lead to.
    #[must_use]
    pub fn penalty(mut self, penalty: Penalty) -> Self {
        self.penalty = Some(penalty);
        self
    }

    /// Enforces one `instances`-th of every quota, so that several instances without a store keep one limit
    /// together. What this means: [`RateLimitLayer::share_of`](crate::RateLimitLayer::share_of).
    #[must_use]
    pub fn share_of(mut self, instances: u32) -> Self {
        self.instances = instances;
        self
    }

    /// What civil time it is, which decides when the periods of calendar quotas begin; that of the system if
    /// not said.
    #[must_use]
    pub fn wall_clock(mut self, clock: WallClock) -> Self {
        self.wall_clock = Some(clock);
        self
    }

    /// Makes the limiter.
    ///
    /// # Errors
    ///
    /// If there is no quota, an override or a tier without one, a tier without a name that can be written,
    /// more than 63 tiers, more than sixteen quotas that concern one request, or no instances share them.
    pub fn build(self) -> Result<RateLimiter, LimitsError> {
        let seed = self.seed.map_or_else(Seed::random, Seed::fixed);
        self.build_with(seed)
    }

    /// Makes the limiter with this seed, whatever was said of one.
    pub(crate) fn build_with(self, seed: Seed) -> Result<RateLimiter, LimitsError> {
        let hashed = |other: Override| ((other.hash)(&seed), other.quotas);
        let limits = Limits {
            quotas: self.quotas,
            global: self.global,
            tiers: self.tiers,
            overrides: self.overrides.into_iter().map(hashed).collect(),
        };
        limits.check()?;
        let clock = self.wall_clock.unwrap_or_default();
        let tiers = (!limits.tiers.is_empty()).then(|| limits.clone());
        let shared = Shared::new(limits, &clock, seed, self.keys, self.shadow);
        let limiter = RateLimiter {
            shared: Arc::new(shared),
        };
        if let Some(limits) = tiers {
            limiter.set_limits(limits)?;
        }
        if self.instances != 1 {
            limiter.set_share_of(self.instances)?;
        }
        if self.penalty.is_some() {
            limiter.set_penalty(self.penalty);
        }
        Ok(limiter)
    }
}
