//! The limiter: the handle, and the policy.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use buttress_core::{
    Describe, KeyHash, LimitId, Now, Permit, Policy, PolicyId, Reason, Rejection, Seed, Standing,
    Ticket,
};
use buttress_quota::{Quota, Window, algorithm as rules};

use crate::ask::RateDemand;
use crate::builder::RateLimiterBuilder;
use crate::limits::MAX_QUOTAS;
use crate::shared::{SHADOW, Shared};
use crate::ticket::Spent;
use crate::tiers::key_of;

/// Quotas, and what every key has spent of them.
///
/// It is the policy behind [`RateLimitLayer`](crate::RateLimitLayer), and of use without tower: for the
/// messages of a WebSocket, for jobs, for anything that has a key and a cost.
///
/// ```
/// use buttress_rate_limit::{Quota, RateLimiter};
///
/// let limiter = RateLimiter::new(Quota::per_minute(2));
/// assert!(limiter.check("alice", 1).is_ok());
/// assert!(limiter.check("alice", 1).is_ok());
/// let rejection = limiter.check("alice", 1).unwrap_err();
/// assert!(rejection.retry_after().unwrap().as_secs() < 30);
/// assert!(limiter.check("bob", 1).is_ok());
/// ```
///
/// Clones share everything. Keys are hashed and not stored; two keys with one 64-bit hash would share an
/// account. The table of keys is bounded and is made when the first key comes
/// ([`RateLimiterBuilder::keys`]).
#[derive(Clone)]
pub struct RateLimiter {
    pub(crate) shared: Arc<Shared>,
}

impl RateLimiter {
    /// A limiter of one quota, kept per key.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self::builder()
            .quota(quota)
            .build()
            .expect("one quota can be enforced")
    }

    /// A limiter of several quotas, and other choices.
    #[must_use]
    pub fn builder() -> RateLimiterBuilder {
        RateLimiterBuilder::default()
    }

    /// Spends `cost` units for `key`, of all quotas or of none.
    ///
    /// A cost of 0 is always admitted and spends nothing.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] with [`Reason::RateLimit`]: which quota decided, and when to come back
    /// ([`When::Never`](buttress_core::When::Never) if the cost is above a capacity). For a key that is
    /// penalised ([`Penalty`](crate::Penalty)) one with [`Reason::Banned`].
    pub fn check(&self, key: impl Hash, cost: u64) -> Result<(), Rejection> {
        let demand = RateDemand::new(self.hash(key), cost);
        self.shared.try_spend(&demand, &Now::new()).map(|_| ())
    }

    /// Whether [`check`](Self::check) would admit. It spends nothing and is not counted.
    ///
    /// # Errors
    ///
    /// The rejection that `check` would answer with.
    pub fn would_admit(&self, key: impl Hash, cost: u64) -> Result<(), Rejection> {
        let demand = RateDemand::new(self.hash(key), cost);
        Policy::would_admit(self, &demand, &Now::new())
    }

    /// The hash that this limiter keeps a key by that is in no tier; [`Tier::hash`](crate::Tier::hash) is that
    /// of one in a tier. Six of its bits are zero, and say the tier of those that are in one.
    #[inline]
    pub fn hash(&self, key: impl Hash) -> KeyHash {
        self.hash_in_no_tier(key)
    }

    /// The seed that keys are hashed with, by [`hash`](Self::hash).
    #[must_use]
    pub fn seed(&self) -> &Seed {
        &self.shared.seed
    }

    /// Who this limiter is in a rejection's [`LimitId`].
    #[must_use]
    pub fn id(&self) -> PolicyId {
        self.shared.id
    }
}

impl Policy for RateLimiter {
    type Demand = RateDemand;
    type Ticket = Spent;

    fn would_admit(&self, demand: &RateDemand, now: &Now) -> Result<(), Rejection> {
        let shared = &self.shared;
        if shared.has(SHADOW) {
            return Ok(());
        }
        shared.would_penalise(demand, shared.nanos(now))?;
        let refused = shared.would_spend(demand, now);
        refused.map_err(|refused| shared.rejection(demand.key, Reason::RateLimit, &refused))
    }

    #[inline]
    fn try_admit(&self, demand: &RateDemand, now: &Now) -> Result<Permit<Spent>, Rejection> {
        self.shared.try_spend(demand, now).map(Permit::new)
    }

    fn release(&self, demand: &RateDemand, permit: Permit<Spent>, now: &Now) {
        match permit.into_ticket() {
            Some(spent) if !Ticket::shadowed(&spent) => self.take_back(demand.key, spent, now),
            _ => {}
        }
    }

    fn refusals(&self, demand: &RateDemand, now: &Now, each: &mut dyn FnMut(Rejection)) {
        let Err(first) = Policy::would_admit(self, demand, now) else {
            return;
        };
        each(first);
        let Some(limit) = first.limit() else { return };
        let violated = (0..)
            .take(MAX_QUOTAS)
            .filter(|quota| first.violates(*quota));
        if violated.count() > 1 {
            let shared = &self.shared;
            let refusals = shared.refusals(demand.key, demand.cost, shared.nanos(now));
            for (quota, when) in (0..).zip(refusals) {
                if let Some(when) = when.filter(|_| quota != limit.quota) {
                    each(Rejection::new(first.reason(), when).by(LimitId { quota, ..limit }));
                }
            }
        }
    }

    fn touches(&self, demand: &RateDemand, limit: LimitId) -> bool {
        if limit.quota == LimitId::NO_QUOTA {
            let same_key = key_of(demand.key) == key_of(limit.key);
            return limit.policy == self.shared.id && demand.cost > 0 && same_key;
        }
        let settings = Arc::clone(&self.shared.current.lock());
        let keyed = settings.of(limit.key).keyed(limit.key).rules.len();
        let is_global = usize::from(limit.quota) >= keyed;
        limit.policy == self.shared.id && demand.cost > 0 && (is_global || demand.key == limit.key)
    }

    fn limits(&self, demand: &RateDemand, each: &mut dyn FnMut(LimitId, LimitId)) {
        if demand.cost == 0 {
            return;
        }
        let settings = Arc::clone(&self.shared.current.lock());
        let limit = |key, quota| LimitId {
            policy: self.shared.id,
            key,
            quota,
        };
        let keyed = settings.of(demand.key).keyed(demand.key).rules.len();
        for quota in (0..).take(keyed) {
            each(limit(demand.key, quota), limit(demand.key, quota));
        }
        // A ban is of the key, whatever its tier is.
        let banned = limit(key_of(demand.key), LimitId::NO_QUOTA);
        each(limit(demand.key, LimitId::NO_QUOTA), banned);
        // Overrides can have another number of quotas, so those for all keys are counted by themselves.
        let globals = (0..).take(settings.global.rules.len());
        for (quota, name) in (0..).skip(keyed).zip(globals) {
            each(limit(demand.key, quota), limit(KeyHash::EVERYONE, name));
        }
    }

    fn subscribe(&self, waker: &Waker) {
        let mut subscribers = self.shared.subscribers.lock();
        if !subscribers.iter().any(|held| held.will_wake(waker)) {
            subscribers.push(waker.clone());
        }
    }
}

impl Describe for RateLimiter {
    fn standings(&self, key: KeyHash, now: &Now, each: &mut dyn FnMut(Standing<'_>)) {
        let nanos = self.shared.nanos(now);
        let mut found = [const { None::<rules::Standing> }; MAX_QUOTAS];
        let settings = self.shared.with_accounts(key, nanos, |keyed, global| {
            let rules = &keyed.settings.keyed(key).rules;
            let by_key = keyed.account.standings(rules, keyed.now);
            let by_global = global
                .as_deref()
                .into_iter()
                .flat_map(|one| one.account.standings(&one.settings.global.rules, keyed.now));
            for (slot, standing) in found.iter_mut().zip(by_key.chain(by_global)) {
                *slot = Some(standing);
            }
            Arc::clone(keyed.settings)
        });
        let keyed = settings.keyed(key);
        let quotas = keyed.rules.quotas().iter().zip(&keyed.names);
        let globals = settings
            .global
            .rules
            .quotas()
            .iter()
            .zip(&settings.global.names);
        for (index, ((quota, name), standing)) in (0..).zip(quotas.chain(globals).zip(found)) {
            if let Some(standing) = standing {
                each(Standing {
                    quota: index,
                    name,
                    capacity: standing.capacity,
                    window: window_of(quota),
                    remaining: standing.remaining,
                    until_more: standing.until_more,
                });
            }
        }
    }
}

/// In how long all units come back.
pub(crate) fn window_of(quota: &Quota) -> Duration {
    match *quota.window() {
        Window::Paced { burst } => {
            let nanos = quota.period().as_nanos().saturating_mul(u128::from(burst));
            crate::duration::from_nanos(nanos.div_ceil(u128::from(quota.units())))
        }
        _ => quota.period(),
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = self.limits();
        f.debug_struct("RateLimiter")
            .field("quotas", &limits.quotas)
            .field("global", &limits.global)
            .finish_non_exhaustive()
    }
}
