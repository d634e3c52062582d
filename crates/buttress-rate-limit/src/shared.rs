//! What all clones of a limiter share: settings, accounts and those who wait.

use std::sync::Arc;
#[cfg(feature = "persist")]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::Waker;

use buttress_core::time::Instant;
use buttress_core::wall::{CivilTime, WallClock};
use buttress_core::{KeyHash, LimitId, Now, PolicyId, Reason, Rejection, Seed};

use crate::accounts::{Accounts, One};
use crate::ask::RateDemand;
use crate::decision::{self, Refused, Side, check};
use crate::keyed::Keyed;
use crate::limits::{Limits, Settings};
use crate::penalties::Penalties;
use crate::room::Room;
use crate::sync::{AtomicUsize, Mutex};
use crate::table::Entry;
use crate::ticket::Spent;
use crate::tiers::{Tiers, key_of};
use crate::waiter::{Arrival, Turn};

pub(crate) struct Shared {
    pub(crate) id: PolicyId,
    /// When the limiter was made, or earlier, so that what was spent before it was made has its time.
    pub(crate) epoch: Instant,
    /// What civil time it is for instants that are counted from the epoch.
    pub(crate) civil: CivilTime,
    pub(crate) seed: Seed,
    pub(crate) keys: usize,
    pub(crate) flags: AtomicU8,
    pub(crate) current: Mutex<Arc<Settings>>,
    /// The accounts of the keys in no tier.
    pub(crate) untiered: Accounts,
    pub(crate) tiers: Tiers,
    /// Held while a table is made, and while the settings change, so that none is made of old ones.
    /// Locks are taken in this order: room, making, current, buckets of the
    /// small table, one of the general table, everyone, global.
    pub(crate) making: Mutex<()>,
    /// The account of the quotas that are kept for all keys together.
    pub(crate) global: Mutex<One>,
    pub(crate) room: Mutex<Room>,
    waiting: AtomicUsize,
    refused_in_room: AtomicU64,
    /// How many were counted as admitted, and then gave back what they had never used.
    released: AtomicU64,
    pub(crate) subscribers: Mutex<Vec<Waker>>,
    #[cfg(feature = "persist")]
    pub(crate) persistence: OnceLock<crate::persist::Persistence>,
    pub(crate) penalties: Penalties,
}

/// Some quotas are kept per key.
pub(crate) const KEYED: u8 = 1;
/// Some quotas are kept for all keys together.
pub(crate) const GLOBAL: u8 = 2;
/// Nothing is refused.
pub(crate) const SHADOW: u8 = 4;
/// Keys can be in a tier.
pub(crate) const TIERED: u8 = 8;

impl Shared {
    pub(crate) fn new(
        limits: Limits,
        clock: &WallClock,
        seed: Seed,
        keys: usize,
        shadow: bool,
    ) -> Self {
        let epoch = crate::epoch::epoch_for(&limits);
        let civil = clock.since(epoch);
        let settings = Arc::new(Settings::new(limits, 1, &civil, std::iter::empty()));
        Self {
            id: PolicyId::unique(),
            epoch,
            civil,
            seed,
            keys,
            flags: AtomicU8::new(settings.flags() | if shadow { SHADOW } else { 0 }),
            untiered: Accounts::new(&settings),
            tiers: Tiers::new(),
            making: Mutex::new(()),
            global: Mutex::new(One::new(&settings)),
            room: Mutex::new(Room::default()),
            waiting: AtomicUsize::new(0),
            refused_in_room: AtomicU64::new(0),
            released: AtomicU64::new(0),
            subscribers: Mutex::new(Vec::new()),
            #[cfg(feature = "persist")]
            persistence: OnceLock::new(),
            penalties: Penalties::default(),
            current: Mutex::new(settings),
        }
    }

    /// Nanoseconds since the epoch.
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
        if self.penalties.may_concern(nanos)
            && let Some(answer) = self.refuse_penalised(demand, nanos)
        {
            return answer;
        }
        // What costs nothing waits behind nobody.
        if !self.has_waiters()
            && let Some(answer) = self.spend_alone(demand.key, demand.cost, nanos, true)
        {
            return match answer {
                Ok(at) => Ok(Spent::new(demand, at)),
                Err(refused) if !self.penalties.are_kept() && !self.has(SHADOW) => {
                    Err(self.rejection(demand.key, Reason::RateLimit, &refused))
                }
                Err(refused) => self.refuse(demand, Reason::RateLimit, refused, nanos),
            };
        }
        self.try_spend_on_accounts(demand, nanos)
    }

    #[inline(never)]
    fn try_spend_on_accounts(&self, demand: &RateDemand, nanos: u64) -> Result<Spent, Rejection> {
        let result = match demand.cost > 0 && self.has_waiters() {
            // That the key's quota is not all there is to it is known by now.
            false => self.spend_on_accounts(demand.key, demand.cost, nanos, true),
            true => self.spend_after_waiters(demand, nanos),
        };
        match result {
            Ok(at) => Ok(Spent::new(demand, at)),
            Err(refused) => self.refuse(demand, Reason::RateLimit, refused, nanos),
        }
    }

    /// Whether [`try_spend`](Self::try_spend) would spend.
    pub(crate) fn would_spend(&self, demand: &RateDemand, now: &Now) -> Result<(), Refused> {
        let nanos = self.nanos(now);
        if demand.cost > 0 && self.has_waiters() {
            let arrival = Arrival::without_waiting(demand);
            return self.in_room(|room| room.would_admit(&self, arrival, nanos));
        }
        self.check(demand.key, demand.cost, nanos)
    }

    #[cold]
    fn spend_after_waiters(&self, demand: &RateDemand, now: u64) -> Result<u64, Refused> {
        let arrival = Arrival::without_waiting(demand);
        match self.in_room(|room| room.arrive(&self, arrival, now)) {
            Turn::Granted { at } => Ok(at),
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
        // What is given back before others see this, a newcomer sees itself: it looks once more before it
        // sleeps.
        self.waiting.store(room.len(), Ordering::Release);
        let wakers = room.take_wakers();
        drop(room);
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    pub(crate) fn count_release(&self) {
        self.released.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn released(&self) -> u64 {
        self.released.load(Ordering::Relaxed)
    }

    pub(crate) fn count_refusal(&self) {
        self.refused_in_room.fetch_add(1, Ordering::Relaxed);
    }

    /// The one decision. The instant at which was spent is not before `now`.
    #[inline]
    pub(crate) fn spend(
        &self,
        key: KeyHash,
        cost: u64,
        now: u64,
        count_refusal: bool,
    ) -> Result<u64, Refused> {
        match self.spend_alone(key, cost, now, count_refusal) {
            Some(answer) => answer,
            None => self.spend_on_accounts(key, cost, now, count_refusal),
        }
    }

    /// The decision where a key's one paced quota is all that concerns it; none if more does.
    #[inline]
    fn spend_alone(
        &self,
        key: KeyHash,
        cost: u64,
        now: u64,
        count_refusal: bool,
    ) -> Option<Result<u64, Refused>> {
        if cost == 0 || key == KeyHash::EVERYONE {
            return None;
        }
        const KEYED_IN_TIERS: u8 = KEYED | TIERED;
        let accounts = match self.flags.load(Ordering::Relaxed) & (KEYED_IN_TIERS | GLOBAL) {
            KEYED => &self.untiered,
            KEYED_IN_TIERS => return self.spend_alone_in_tier(key, cost, now, count_refusal),
            _ => return None,
        };
        let paced = accounts.table()?.paced()?;
        paced.spend(key, cost, now, count_refusal, || self.clock())
    }

    #[inline(never)]
    fn spend_alone_in_tier(
        &self,
        key: KeyHash,
        cost: u64,
        now: u64,
        count_refusal: bool,
    ) -> Option<Result<u64, Refused>> {
        let paced = self.accounts(key).table()?.paced()?;
        paced.spend(key_of(key), cost, now, count_refusal, || self.clock())
    }

    #[inline(never)]
    fn spend_on_accounts(
        &self,
        key: KeyHash,
        cost: u64,
        now: u64,
        count_refusal: bool,
    ) -> Result<u64, Refused> {
        self.with_accounts(key, now, |keyed, global| {
            let now = keyed.now;
            let rules = &keyed.settings.keyed(key).rules;
            let global = global.map(|one| (&one.settings.global.rules, &mut one.account));
            let result = decision::spend(rules, keyed.account, global, cost, now);
            match result {
                Ok(()) => keyed.counts.admitted += 1,
                Err(_) => keyed.counts.refused += u64::from(count_refusal),
            }
            result.map(|()| now)
        })
    }

    /// Whether the one decision would admit.
    pub(crate) fn check(&self, key: KeyHash, cost: u64, now: u64) -> Result<(), Refused> {
        self.with_sides(key, now, |keyed, global, now| {
            check(keyed, global, cost, now)
        })
    }

    /// For every quota that refuses, in order, when it would admit.
    pub(crate) fn refusals(&self, key: KeyHash, cost: u64, now: u64) -> decision::Refusals {
        self.with_sides(key, now, |keyed, global, now| {
            decision::refusals(keyed, global, cost, now)
        })
    }

    fn with_sides<R>(
        &self,
        key: KeyHash,
        now: u64,
        f: impl FnOnce(Side<'_>, Option<Side<'_>>, u64) -> R,
    ) -> R {
        self.with_accounts(key, now, |keyed, global| {
            let side = Side {
                rules: &keyed.settings.keyed(key).rules,
                account: keyed.account,
            };
            let global = global.as_deref().map(|one| Side {
                rules: &one.settings.global.rules,
                account: &one.account,
            });
            f(side, global, keyed.now)
        })
    }

    /// Calls `f` with the accounts that concern a key, locked; first the key's, then that of all keys.
    #[inline]
    pub(crate) fn with_accounts<R>(
        &self,
        tiered: KeyHash,
        now: u64,
        f: impl FnOnce(Entry<'_>, Option<&mut One>) -> R,
    ) -> R {
        let with_global = |mut entry: Entry<'_>| {
            if !entry.settings.has_global() {
                return f(entry, None);
            }
            let mut global = self.global.lock();
            entry.now = global.latest.at(entry.now);
            f(entry, Some(&mut global))
        };
        let (accounts, key) = match self.has(TIERED) {
            true => (self.accounts(tiered), key_of(tiered)),
            false => (&self.untiered, tiered),
        };
        if key == KeyHash::EVERYONE || !self.has(KEYED) {
            let mut one = accounts.everyone.lock();
            let One {
                settings,
                account,
                counts,
                latest,
            } = &mut *one;
            return with_global(Entry {
                settings,
                account,
                counts,
                now: latest.at(now),
            });
        }
        let table = match accounts.table() {
            Some(table) => table,
            None => self.make_table(accounts, tiered),
        };
        table.with(key, now, || self.clock(), with_global)
    }

    /// The time once more.
    #[cold]
    fn clock(&self) -> u64 {
        self.nanos_at(buttress_core::time::now())
    }

    #[cold]
    fn make_table<'a>(&self, accounts: &'a Accounts, hash: KeyHash) -> &'a Keyed {
        let _making = self.making.lock();
        accounts.table_or(|| {
            let current = self.current.lock();
            let settings = current.tier(hash).unwrap_or(&current);
            Keyed::new(self.keys, settings, self.seed.number().is_some())
        })
    }

    /// The accounts that a hash's is among.
    pub(crate) fn accounts(&self, hash: KeyHash) -> &Accounts {
        self.tiers.accounts(hash).unwrap_or(&self.untiered)
    }

    /// All accounts, each with the name of its tier.
    pub(crate) fn all_accounts(&self) -> impl Iterator<Item = (Option<&str>, &Accounts)> {
        let tiers = self.tiers.iter();
        let tiers = tiers.map(|place| (Some(&*place.name), &place.accounts));
        std::iter::once((None, &self.untiered)).chain(tiers)
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
