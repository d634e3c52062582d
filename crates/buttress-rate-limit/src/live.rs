//! Looking at a limiter and changing it while it runs.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use buttress_core::{Describe, KeyHash, Now};
use buttress_quota::Quota;
use buttress_quota::algorithm::{Account, Rules};

use crate::accounts::One;
use crate::decision::Refused;
use crate::forecast::Forecast;
use crate::ledger::{Ledger, Scope};
use crate::limiter::RateLimiter;
use crate::limits::{Limits, LimitsError, Settings};
use crate::room::Room;
use crate::shared::{GLOBAL, KEYED, SHADOW, Shared};
use crate::table::Counts;
use crate::ticket::Spent;
use crate::tiers::MOST_TIERS;

/// Where one quota stands for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct QuotaStanding {
    /// The quota's name: its own, `default` for an only one, else its text.
    pub name: String,
    /// How many units it holds at most.
    pub capacity: u64,
    /// How many whole units are left.
    pub remaining: u64,
    /// In how long `remaining` next grows if nothing else comes; none if it is full.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub until_more: Option<Duration>,
}

/// What a status page shows of a limiter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RateLimiterStatus {
    /// The quotas kept per key.
    pub quotas: Vec<Quota>,
    /// The quotas kept for all keys together.
    pub global: Vec<Quota>,
    /// The quotas kept per key of a tier, by its name.
    pub tiers: BTreeMap<String, Vec<Quota>>,
    /// Whether it refuses nothing; `refused` then counts what it would have refused.
    pub shadow: bool,
    /// How many keys have spent something that has not come back.
    pub live_keys: usize,
    /// How many requests wait.
    pub waiting: usize,
    /// How many requests were admitted.
    pub admitted: u64,
    /// How many requests were refused.
    pub refused: u64,
    /// How many keys were forgotten while they owed something, because the table was over-full.
    pub evicted: u64,
    /// How many requests were given a tier that is not there ([`RateLimiter::unknown_tier`]).
    pub unknown_tiers: u64,
}

impl RateLimiter {
    /// Where the quotas stand that concern a key, in the order in which they were given, those kept for
    /// all keys last.
    pub fn peek(&self, key: impl Hash) -> Vec<QuotaStanding> {
        self.peek_hash(self.hash(key))
    }

    /// As [`peek`](Self::peek), for a key that is hashed already.
    #[must_use]
    pub fn peek_hash(&self, key: KeyHash) -> Vec<QuotaStanding> {
        let mut standings = Vec::new();
        self.standings(key, &Now::new(), &mut |standing| {
            standings.push(QuotaStanding {
                name: standing.name.to_owned(),
                capacity: standing.capacity,
                remaining: standing.remaining,
                until_more: standing.until_more,
            });
        });
        standings
    }

    /// Gives units back to a key, as those that were spent last: of all quotas, never above a capacity.
    pub fn refund(&self, key: impl Hash, cost: u64) {
        self.refund_hash(self.hash(key), cost);
    }

    pub(crate) fn refund_hash(&self, key: KeyHash, cost: u64) {
        let shared = &self.shared;
        let now = shared.nanos(&Now::new());
        shared.give_back(key, cost, None, now);
        shared.announce_room(Some(key), now);
    }

    /// Forgets what a key has spent. What it spent of quotas kept for all keys stays spent.
    pub fn reset(&self, key: impl Hash) {
        self.reset_hash(self.hash(key));
    }

    pub(crate) fn reset_hash(&self, key: KeyHash) {
        let shared = &self.shared;
        let now = shared.nanos(&Now::new());
        shared.with_accounts(key, now, |keyed, _| {
            *keyed.account = Account::default();
        });
        shared.announce_room(Some(key), now);
    }

    /// Forgets what everybody has spent.
    pub fn reset_all(&self) {
        let shared = &self.shared;
        for (_, accounts) in shared.all_accounts() {
            accounts.reset();
        }
        shared.global.lock().account = Account::default();
        shared.announce_room(None, shared.nanos(&Now::new()));
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.shared.current.lock().limits.clone()
    }

    /// Puts other limits in force for every decision from now on. What was spent stays spent, in units:
    /// with 3 of 5 spent, 5 of 8 are left; with 8 spent, a limit of 4 refuses until enough has come back.
    ///
    /// A quota takes over from an equal one, else from one of the same kind and period, else from the next
    /// in order; one without a predecessor starts fresh.
    ///
    /// # Errors
    ///
    /// Limits that cannot be enforced; then nothing changes.
    pub fn set_limits(&self, limits: Limits) -> Result<(), LimitsError> {
        self.change_limits(|held| *held = limits)
    }

    /// Changes the limits in one step, so that of two changes at the same time none is lost.
    pub(crate) fn change_limits(
        &self,
        change: impl FnOnce(&mut Limits),
    ) -> Result<(), LimitsError> {
        self.change(|limits, _| change(limits))
    }

    /// As [`change_limits`](Self::change_limits), and by how many instances they are shared.
    pub(crate) fn change(
        &self,
        change: impl FnOnce(&mut Limits, &mut u32),
    ) -> Result<(), LimitsError> {
        let shared = &self.shared;
        let now = shared.nanos(&Now::new());
        shared.in_room(|room| {
            let (mut limits, mut instances) = (self.limits(), self.share_of());
            change(&mut limits, &mut instances);
            shared.settle(limits, instances, now)?;
            room.limits_changed(&&**shared, now);
            Ok(())
        })?;
        shared.wake_subscribers();
        Ok(())
    }

    /// Puts one quota in force in place of all that are kept per key.
    pub fn set_quota(&self, quota: Quota) {
        // Global quotas that fitted beside another quota fit beside this one.
        let _ = self.change_limits(|limits| limits.quotas = vec![quota]);
    }

    /// Keeps other quotas for one key, or, with none, the ones that all keys have.
    ///
    /// # Errors
    ///
    /// If more than sixteen quotas would concern one request.
    pub fn set_override(
        &self,
        key: impl Hash,
        quotas: impl IntoIterator<Item = Quota>,
    ) -> Result<(), LimitsError> {
        let quotas: Vec<_> = quotas.into_iter().collect();
        let key = self.hash(key);
        self.change_limits(|limits| {
            match quotas.is_empty() {
                true => limits.overrides.remove(&key),
                false => limits.overrides.insert(key, quotas),
            };
        })
    }

    /// Turns shadow mode on or off: counting what would be refused, and refusing nothing.
    pub fn set_shadow(&self, shadow: bool) {
        match shadow {
            true => self.shared.flags.fetch_or(SHADOW, Ordering::Relaxed),
            false => self.shared.flags.fetch_and(!SHADOW, Ordering::Relaxed),
        };
        // Whoever waits is let through, or looks again.
        self.shared.in_room(Room::wake_all);
        self.shared.wake_subscribers();
    }

    /// What a status page shows. It goes through the whole table, bucket by bucket.
    #[must_use]
    pub fn status(&self) -> RateLimiterStatus {
        let shared = &self.shared;
        let now = shared.nanos(&Now::new());
        let (mut live_keys, mut counts, mut evicted) = (0, Counts::default(), 0);
        for (_, accounts) in shared.all_accounts() {
            let (live, more) = accounts.totals(now);
            live_keys += live;
            counts = counts.and(more);
            evicted += accounts.evicted();
        }
        let limits = self.limits();
        RateLimiterStatus {
            quotas: limits.quotas,
            global: limits.global,
            tiers: limits.tiers,
            shadow: shared.has(SHADOW),
            live_keys,
            waiting: shared.room.lock().len(),
            admitted: counts.admitted.saturating_sub(shared.released()),
            refused: counts.refused + shared.refused_in_room(),
            evicted,
            unknown_tiers: shared.tiers.unknown(),
        }
    }

    /// Gives back what a request has spent that does not count. It stays one that was admitted.
    pub(crate) fn uncharge(&self, spent: Spent, now: &Now) {
        let (shared, key) = (&self.shared, spent.key_hash());
        let nanos = shared.nanos(now);
        shared.give_back(key, spent.cost(), Some(spent.at()), nanos);
        shared.announce_room(Some(key), nanos);
    }

    /// Takes back an admission that was never used.
    pub(crate) fn take_back(&self, key: KeyHash, spent: Spent, now: &Now) {
        let nanos = self.shared.nanos(now);
        Ledger::give_back(&&*self.shared, key, spent.cost(), spent.at(), nanos);
        self.shared.announce_room(Some(key), nanos);
    }
}

impl Shared {
    fn give_back(&self, key: KeyHash, cost: u64, spent_at: Option<u64>, now: u64) {
        self.with_accounts(key, now, |keyed, global| {
            let refund = |account: &mut Account, rules: &Rules| match spent_at {
                Some(at) => account.refund_at(rules, cost, at, keyed.now),
                None => account.refund(rules, cost, keyed.now),
            };
            refund(keyed.account, &keyed.settings.keyed(key).rules);
            if let Some(One {
                settings, account, ..
            }) = global
            {
                refund(account, &settings.global.rules);
            }
        });
    }

    /// Puts other limits in force, if they can be enforced.
    fn settle(&self, limits: Limits, instances: u32, now: u64) -> Result<(), LimitsError> {
        limits.check()?;
        let count = self.tiers.count_with(limits.tiers.keys());
        if count > MOST_TIERS {
            return Err(LimitsError::TooManyTiers { count });
        }
        let _making = self.making.lock();
        let old = Arc::clone(&self.current.lock());
        for name in limits.tiers.keys() {
            self.tiers.add(name, &old);
        }
        let names = self.tiers.iter().map(|place| &place.name);
        let settings = Arc::new(Settings::new(limits, instances, &self.civil, names));
        self.put_in_force(&settings, now);
        Ok(())
    }

    /// Makes every account one of these settings.
    fn put_in_force(&self, settings: &Arc<Settings>, now: u64) {
        *self.current.lock() = Arc::clone(settings);
        let change = |flags: u8| Some(flags & SHADOW | settings.flags());
        let _ = self
            .flags
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
        self.untiered.change(settings, now);
        for (place, tier) in self.tiers.iter().zip(settings.tiers()) {
            // Who was put into a tier that is taken away has what those in none have.
            place.accounts.change(tier.unwrap_or(settings), now);
            place.kept.store(tier.is_some(), Ordering::Release);
        }
        let mut global = self.global.lock();
        global.change(settings, now, |settings| &settings.global.rules);
    }

    /// Tells those who wait that room may have become free, for a key or with none for everybody.
    pub(crate) fn announce_room(&self, key: Option<KeyHash>, now: u64) {
        if self.has_waiters() {
            self.in_room(|room| room.accounts_changed(&self, key, now));
        }
        self.wake_subscribers();
    }

    pub(crate) fn wake_subscribers(&self) {
        let subscribers = std::mem::take(&mut *self.subscribers.lock());
        subscribers.into_iter().for_each(Waker::wake);
    }
}

impl Ledger for &Shared {
    fn check(&self, key: KeyHash, cost: u64, now: u64) -> Result<(), Refused> {
        Shared::check(self, key, cost, now)
    }

    fn spend(&self, key: KeyHash, cost: u64, now: u64) -> Result<u64, Refused> {
        Shared::spend(self, key, cost, now, false)
    }

    fn give_back(&self, key: KeyHash, cost: u64, spent_at: u64, now: u64) {
        Shared::give_back(self, key, cost, Some(spent_at), now);
        self.count_release();
    }

    fn forecast(&self) -> Forecast {
        let global = self.global.lock();
        let account = global.settings.has_global().then(|| global.account.clone());
        Forecast::new(Arc::clone(&global.settings), account)
    }

    fn account(&self, key: KeyHash, now: u64) -> Account {
        self.with_accounts(key, now, |keyed, _| keyed.account.clone())
    }

    fn scope(&self) -> Scope {
        let flags = self.flags.load(Ordering::Relaxed);
        match (flags & KEYED != 0, flags & GLOBAL != 0) {
            (true, true) => Scope::Both,
            (false, true) => Scope::Global,
            _ => Scope::Keyed,
        }
    }
}
