//! The limiter: settings, accounts and those who wait, behind one handle.

use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use buttress_core::time::Instant;
use buttress_core::{
    Describe, KeyHash, LimitId, Now, Permit, Policy, PolicyId, Reason, Rejection, Seed, Standing,
};

use crate::account::Account;
use crate::ask::RateDemand;
use crate::builder::RateLimiterBuilder;
use crate::decision::{Refused, Side, check};
use crate::limits::{Limits, MAX_QUOTAS, Settings};
use crate::quota::{Quota, Window};
use crate::room::{Arrival, Room, Turn};
use crate::rules;
use crate::sync::Mutex;
use crate::table::{Counts, Entry, Table};
use crate::ticket::Spent;

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

pub(crate) struct Shared {
    pub(crate) id: PolicyId,
    pub(crate) epoch: Instant,
    pub(crate) seed: Seed,
    pub(crate) keys: usize,
    pub(crate) flags: AtomicU8,
    pub(crate) current: Mutex<Arc<Settings>>,
    table: OnceLock<Table>,
    /// Held while the table is made, and while the settings change, so that none is made of old ones.
    /// Locks are taken in this order: room, making, current, a bucket, everyone, global.
    pub(crate) making: Mutex<()>,
    /// The account of requests that have no key because all share one.
    pub(crate) everyone: Mutex<One>,
    /// The account of the quotas that are kept for all keys together.
    pub(crate) global: Mutex<One>,
    pub(crate) room: Mutex<Room>,
    waiting: AtomicUsize,
    refused_in_room: AtomicU64,
    pub(crate) subscribers: Mutex<Vec<Waker>>,
}

/// An account outside the table.
#[derive(Debug)]
pub(crate) struct One {
    pub(crate) settings: Arc<Settings>,
    pub(crate) account: Account,
    pub(crate) counts: Counts,
}

/// Some quotas are kept per key.
pub(crate) const KEYED: u8 = 1;
/// Some quotas are kept for all keys together.
pub(crate) const GLOBAL: u8 = 2;
/// Nothing is refused.
pub(crate) const SHADOW: u8 = 4;

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
    /// ([`When::Never`](buttress_core::When::Never) if the cost is above a capacity).
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

    /// The hash that this limiter keeps a key by.
    pub fn hash(&self, key: impl Hash) -> KeyHash {
        self.shared.seed.hash(key)
    }

    /// The seed that keys are hashed with.
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

impl Shared {
    pub(crate) fn new(settings: Settings, seed: Seed, keys: usize, shadow: bool) -> Self {
        let settings = Arc::new(settings);
        let one = || {
            Mutex::new(One {
                settings: Arc::clone(&settings),
                account: Account::default(),
                counts: Counts::default(),
            })
        };
        Self {
            id: PolicyId::unique(),
            epoch: buttress_core::time::now(),
            seed,
            keys,
            flags: AtomicU8::new(settings.flags() | if shadow { SHADOW } else { 0 }),
            table: OnceLock::new(),
            making: Mutex::new(()),
            everyone: one(),
            global: one(),
            room: Mutex::new(Room::default()),
            waiting: AtomicUsize::new(0),
            refused_in_room: AtomicU64::new(0),
            subscribers: Mutex::new(Vec::new()),
            current: Mutex::new(settings),
        }
    }

    /// Nanoseconds since the limiter was made.
    #[inline]
    pub(crate) fn nanos(&self, now: &Now) -> u64 {
        self.nanos_at(now.get())
    }

    #[inline]
    pub(crate) fn nanos_at(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.epoch);
        let seconds = since.as_secs().saturating_mul(1_000_000_000);
        seconds.saturating_add(u64::from(since.subsec_nanos()))
    }

    #[inline]
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags.load(Ordering::Relaxed) & flag != 0
    }

    /// Whether somebody waits, behind whom others must queue up.
    #[inline]
    pub(crate) fn has_waiters(&self) -> bool {
        self.waiting.load(Ordering::Acquire) != 0
    }

    /// Spends at once or refuses, with the waiting first.
    #[inline]
    pub(crate) fn try_spend(&self, demand: &RateDemand, now: &Now) -> Result<Spent, Rejection> {
        let nanos = self.nanos(now);
        let result = match self.has_waiters() {
            false => self.spend(demand.key, demand.cost, nanos, true),
            true => self.spend_after_waiters(demand, nanos),
        };
        match result {
            Ok(()) => Ok(Spent::new(demand, nanos)),
            Err(_) if self.has(SHADOW) => Ok(Spent::shadowed(demand)),
            Err(refused) => Err(self.rejection(demand.key, Reason::RateLimit, &refused)),
        }
    }

    #[cold]
    fn spend_after_waiters(&self, demand: &RateDemand, now: u64) -> Result<(), Refused> {
        let arrival = Arrival {
            key: demand.key,
            cost: demand.cost,
            wait: 0,
            deadline: None,
        };
        match self.in_room(|room| room.arrive(&self, arrival, now)) {
            Turn::Granted { .. } => Ok(()),
            Turn::Refused(_, refused) => {
                self.count_refusal();
                Err(refused)
            }
            // Nobody waits for no time at all: what is not granted is refused above.
            Turn::At { ticket, .. } => {
                self.in_room(|room| room.leave(&self, ticket, now));
                self.spend(demand.key, demand.cost, now, true)
            }
        }
    }

    /// Works in the waiting room, and wakes whoever is to be woken after its lock is dropped.
    pub(crate) fn in_room<R>(&self, f: impl FnOnce(&mut Room) -> R) -> R {
        let mut room = self.room.lock();
        let result = f(&mut room);
        self.waiting.store(room.len(), Ordering::Release);
        let wakers = room.take_wakers();
        drop(room);
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    pub(crate) fn count_refusal(&self) {
        self.refused_in_room.fetch_add(1, Ordering::Relaxed);
    }

    /// The one decision.
    #[inline]
    pub(crate) fn spend(
        &self,
        key: KeyHash,
        cost: u64,
        now: u64,
        count_refusal: bool,
    ) -> Result<(), Refused> {
        self.with_accounts(key, now, |keyed, global| {
            let result = spend_both(key, keyed.settings, keyed.account, global, cost, now);
            match result {
                Ok(()) => keyed.counts.admitted += 1,
                Err(_) => keyed.counts.refused += u64::from(count_refusal),
            }
            result
        })
    }

    /// Calls `f` with the accounts that concern a key, locked; first the key's, then that of all keys.
    #[inline]
    pub(crate) fn with_accounts<R>(
        &self,
        key: KeyHash,
        now: u64,
        f: impl FnOnce(Entry<'_>, Option<&mut One>) -> R,
    ) -> R {
        let with_global = |entry: Entry<'_>| match entry.settings.has_global() {
            false => f(entry, None),
            true => f(entry, Some(&mut self.global.lock())),
        };
        if key == KeyHash::EVERYONE || !self.has(KEYED) {
            let mut one = self.everyone.lock();
            let One {
                settings,
                account,
                counts,
            } = &mut *one;
            return with_global(Entry {
                settings,
                account,
                counts,
            });
        }
        self.table().with(key, now, with_global)
    }

    #[inline]
    fn table(&self) -> &Table {
        match self.table.get() {
            Some(table) => table,
            None => self.make_table(),
        }
    }

    #[cold]
    fn make_table(&self) -> &Table {
        let _making = self.making.lock();
        self.table
            .get_or_init(|| Table::new(self.keys, &self.current.lock()))
    }

    /// The table, if any key has come.
    pub(crate) fn made_table(&self) -> Option<&Table> {
        self.table.get()
    }

    pub(crate) fn refused_in_room(&self) -> u64 {
        self.refused_in_room.load(Ordering::Relaxed)
    }

    pub(crate) fn rejection(&self, key: KeyHash, reason: Reason, refused: &Refused) -> Rejection {
        let limit = LimitId {
            policy: self.id,
            key,
            quota: refused.quota,
        };
        Rejection::new(reason, refused.when)
            .by(limit)
            .violating(refused.violated)
    }
}

/// Spends on both sides or on none.
#[inline]
fn spend_both(
    key: KeyHash,
    settings: &Settings,
    account: &mut Account,
    global: Option<&mut One>,
    cost: u64,
    now: u64,
) -> Result<(), Refused> {
    let rules = &settings.keyed(key).rules;
    let Some(global) = global else {
        return match account.admit(rules, cost, now) {
            Ok(()) => Ok(()),
            Err(_) => check(Side { rules, account }, None, cost, now),
        };
    };
    let global_rules = &global.settings.global.rules;
    let global_side = Side {
        rules: global_rules,
        account: &global.account,
    };
    check(Side { rules, account }, Some(global_side), cost, now)?;
    account.spend(rules, cost, now);
    global.account.spend(global_rules, cost, now);
    Ok(())
}

impl Policy for RateLimiter {
    type Demand = RateDemand;
    type Ticket = Spent;

    fn would_admit(&self, demand: &RateDemand, now: &Now) -> Result<(), Rejection> {
        let nanos = self.shared.nanos(now);
        let &RateDemand { key, cost, .. } = demand;
        let answer = self.shared.with_accounts(key, nanos, |keyed, global| {
            let side = Side {
                rules: &keyed.settings.keyed(key).rules,
                account: keyed.account,
            };
            let global = global.as_deref().map(|one| Side {
                rules: &one.settings.global.rules,
                account: &one.account,
            });
            check(side, global, cost, nanos)
        });
        match answer {
            Err(refused) if !self.shared.has(SHADOW) => {
                Err(self.shared.rejection(key, Reason::RateLimit, &refused))
            }
            _ => Ok(()),
        }
    }

    #[inline]
    fn try_admit(&self, demand: &RateDemand, now: &Now) -> Result<Permit<Spent>, Rejection> {
        self.shared.try_spend(demand, now).map(Permit::new)
    }

    fn release(&self, demand: &RateDemand, permit: Permit<Spent>, now: &Now) {
        if let Some(spent) = permit.into_ticket() {
            self.take_back(demand.key, spent.cost(), Some(spent.at()), now);
        }
    }

    fn touches(&self, demand: &RateDemand, limit: LimitId) -> bool {
        let settings = Arc::clone(&self.shared.current.lock());
        let keyed = settings.keyed(limit.key).rules.len();
        let is_global = usize::from(limit.quota) >= keyed;
        limit.policy == self.shared.id && demand.cost > 0 && (is_global || demand.key == limit.key)
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
            let by_key = keyed.account.standings(rules, nanos);
            let by_global = global
                .as_deref()
                .into_iter()
                .flat_map(|one| one.account.standings(&one.settings.global.rules, nanos));
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
fn window_of(quota: &Quota) -> std::time::Duration {
    match *quota.window() {
        Window::Rolling => quota.period(),
        Window::Paced { burst } => {
            let nanos = quota.period().as_nanos().saturating_mul(u128::from(burst));
            crate::duration::from_nanos(nanos.div_ceil(u128::from(quota.units())))
        }
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits: Limits = self.limits();
        f.debug_struct("RateLimiter")
            .field("quotas", &limits.quotas)
            .field("global", &limits.global)
            .finish_non_exhaustive()
    }
}
