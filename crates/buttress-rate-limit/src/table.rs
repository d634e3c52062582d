//! The keyed table: a bounded number of accounts, and no sweeper.
//!
//! A key has two buckets of [`SLOTS`] places, chosen by its hash, and stands in one of them. An account
//! that has run out is as good as an empty place, so nothing has to be swept; when both buckets are full
//! of accounts that owe something, the one that owes for the shortest time goes, and is counted. A key is
//! therefore never forgotten while a less indebted one shares its buckets.
//!
//! With two choices and twice as many places as rated keys, a bucket overflows practically never (balanced
//! allocations: Azar, Broder, Karlin, Upfal, 1994).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use buttress_core::KeyHash;
use buttress_quota::algorithm::Account;

use crate::limits::Settings;
use crate::sync::Mutex;

/// How many keys a bucket holds.
const SLOTS: usize = 8;

/// What stands in a free place: no key of the table has this hash.
const FREE: KeyHash = KeyHash::EVERYONE;

/// Where a new key goes without a look at its second bucket: while the first has more free places than
/// this.
const ROOMY: usize = SLOTS / 2;

#[derive(Debug)]
pub(crate) struct Table {
    buckets: Box<[Shelf]>,
    /// The bits by which keys are told apart: all of them, unless some of its keys came from a table that
    /// knew fewer.
    bits: u64,
    evicted: AtomicU64,
}

/// A bucket from the start of a cache line, its lock first, so that a hit reads as few lines as there are.
#[derive(Debug)]
#[cfg_attr(not(buttress_loom), repr(align(64)))]
struct Shelf(Mutex<Bucket>);

/// What every hit reads comes first.
#[derive(Debug)]
#[repr(C)]
struct Bucket {
    settings: Arc<Settings>,
    latest: Latest,
    counts: Counts,
    keys: [KeyHash; SLOTS],
    accounts: [Account; SLOTS],
}

/// The latest instant at which something was decided under a lock.
///
/// A clock that was read before the lock was taken may be a little behind the one of whoever held the lock
/// before: the last unit of a capacity would then be refused for the sake of nanoseconds. Decisions take
/// the latest time that is known instead.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Latest(u64);

impl Latest {
    #[inline]
    pub(crate) fn at(&mut self, now: u64) -> u64 {
        self.0 = self.0.max(now);
        self.0
    }
}

/// How often was decided what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) admitted: u64,
    pub(crate) refused: u64,
}

impl Counts {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            admitted: self.admitted + other.admitted,
            refused: self.refused + other.refused,
        }
    }
}

/// One key's account, with what it is kept under, while its bucket is locked.
pub(crate) struct Entry<'a> {
    pub(crate) settings: &'a Arc<Settings>,
    pub(crate) account: &'a mut Account,
    pub(crate) counts: &'a mut Counts,
    /// The time to decide by.
    pub(crate) now: u64,
}

impl Table {
    /// A table that is rated for `keys` keys.
    pub(crate) fn new(keys: usize, settings: &Arc<Settings>, bits: u64) -> Self {
        let buckets = keys.saturating_mul(2).div_ceil(SLOTS).max(2);
        let bucket = || Shelf(Mutex::new(Bucket::new(Arc::clone(settings))));
        Self {
            buckets: (0..buckets.next_power_of_two()).map(|_| bucket()).collect(),
            bits,
            evicted: AtomicU64::new(0),
        }
    }

    /// Calls `f` with the account of `key`, as one step.
    #[inline]
    pub(crate) fn with<R>(&self, key: KeyHash, now: u64, f: impl FnOnce(Entry<'_>) -> R) -> R {
        let (first, second) = self.choices(key);
        let mut bucket = self.buckets[first].0.lock();
        if let Some(slot) = bucket.find(key, self.bits) {
            let now = bucket.latest.at(now);
            return f(bucket.entry(slot, now));
        }
        drop(bucket);
        self.with_second(key, first, second, now, f)
    }

    /// Adds up the buckets: how many keys owe something, and what was decided.
    pub(crate) fn totals(&self, now: u64) -> (usize, Counts) {
        let mut live = 0;
        let mut counts = Counts::default();
        for bucket in &self.buckets {
            let bucket = bucket.0.lock();
            live += (0..SLOTS)
                .filter(|&slot| !bucket.is_free(slot, now))
                .count();
            counts.admitted += bucket.counts.admitted;
            counts.refused += bucket.counts.refused;
        }
        (live, counts)
    }

    /// How many keys were forgotten while they owed something.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Takes every account along to other settings.
    pub(crate) fn change(&self, settings: &Arc<Settings>, now: u64) {
        // What other quotas are kept for is told by the whole key.
        for key in settings.overridden() {
            self.with(key, now, |_| ());
        }
        for bucket in &self.buckets {
            bucket.0.lock().change(settings, now);
        }
    }

    /// Calls `f` with a copy of every account that owes something, a bucket at a time and outside its lock.
    #[cfg(feature = "persist")]
    pub(crate) fn each(&self, now: u64, mut f: impl FnMut(KeyHash, &Settings, &Account)) {
        for bucket in &self.buckets {
            let bucket = bucket.0.lock();
            let settings = Arc::clone(&bucket.settings);
            let held: [_; SLOTS] = std::array::from_fn(|slot| {
                let owes = !bucket.is_free(slot, now);
                owes.then(|| (bucket.keys[slot], bucket.accounts[slot].clone()))
            });
            drop(bucket);
            for (key, account) in held.into_iter().flatten() {
                f(key, &settings, &account);
            }
        }
    }

    /// Forgets what all keys have spent.
    pub(crate) fn reset(&self) {
        for bucket in &self.buckets {
            let mut bucket = bucket.0.lock();
            bucket.keys = [FREE; SLOTS];
            bucket.accounts = Default::default();
        }
    }

    /// The way of a key that does not stand in its first bucket.
    ///
    /// A key is entered under the locks of both of its buckets, in the order of their places, so that it
    /// never stands in both.
    fn with_second<R>(
        &self,
        key: KeyHash,
        first: usize,
        second: usize,
        now: u64,
        f: impl FnOnce(Entry<'_>) -> R,
    ) -> R {
        let mut low = self.buckets[first.min(second)].0.lock();
        let mut high = self.buckets[first.max(second)].0.lock();
        let (first, second) = match first < second {
            true => (&mut *low, &mut *high),
            false => (&mut *high, &mut *low),
        };
        let now = second.latest.at(first.latest.at(now));
        if let Some(slot) = first.find(key, self.bits) {
            return f(first.entry(slot, now));
        }
        if let Some(slot) = second.find(key, self.bits) {
            return f(second.entry(slot, now));
        }
        let bucket = Self::roomier(first, second, now);
        let mut account = Account::default();
        let settings = Arc::clone(&bucket.settings);
        let result = f(Entry {
            settings: &settings,
            account: &mut account,
            counts: &mut bucket.counts,
            now,
        });
        // A key that spent nothing needs no place, so a refused stranger displaces nobody.
        if !account.is_idle(&settings.keyed(key).rules, now) {
            let forgotten = bucket.enter(key, account, now);
            self.evicted
                .fetch_add(u64::from(forgotten), Ordering::Relaxed);
        }
        result
    }

    /// The bucket that a new key goes to.
    fn roomier<'a>(first: &'a mut Bucket, second: &'a mut Bucket, now: u64) -> &'a mut Bucket {
        let room = first.room(now);
        if room > ROOMY || room > 0 && room >= second.room(now) {
            return first;
        }
        match room == 0 && second.room(now) == 0 && first.least(now) <= second.least(now) {
            true => first,
            false => second,
        }
    }

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an index is taken from the bits of a hash"
    )]
    fn choices(&self, key: KeyHash) -> (usize, usize) {
        let mask = self.buckets.len() - 1;
        let first = key.get() as usize & mask;
        let second = (key.get() >> 32) as usize & mask;
        match first == second {
            true => (first, first ^ 1),
            false => (first, second),
        }
    }
}

impl Bucket {
    fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            keys: [FREE; SLOTS],
            accounts: Default::default(),
            counts: Counts::default(),
            latest: Latest::default(),
        }
    }

    #[inline]
    fn find(&mut self, key: KeyHash, bits: u64) -> Option<usize> {
        let is_it = |held: &KeyHash| (held.get() ^ key.get()) & bits == 0;
        let slot = self.keys.iter().position(is_it)?;
        // What was known of it may have been less. Mostly it was not, and the line of the keys stays clean.
        if self.keys[slot] != key {
            self.keys[slot] = key;
        }
        Some(slot)
    }

    #[inline]
    fn entry(&mut self, slot: usize, now: u64) -> Entry<'_> {
        Entry {
            settings: &self.settings,
            account: &mut self.accounts[slot],
            counts: &mut self.counts,
            now,
        }
    }

    fn is_free(&self, slot: usize, now: u64) -> bool {
        let rules = &self.settings.keyed(self.keys[slot]).rules;
        self.keys[slot] == FREE || self.accounts[slot].is_idle(rules, now)
    }

    /// How many places are free.
    fn room(&self, now: u64) -> usize {
        (0..SLOTS).filter(|&slot| self.is_free(slot, now)).count()
    }

    fn debt(&self, slot: usize, now: u64) -> u64 {
        let rules = &self.settings.keyed(self.keys[slot]).rules;
        self.accounts[slot].debt(rules, now)
    }

    /// The least that a place of this bucket owes.
    fn least(&self, now: u64) -> u64 {
        let debts = (0..SLOTS).map(|slot| self.debt(slot, now));
        debts.min().unwrap_or(0)
    }

    /// Gives a key a place; true if another that owed something was forgotten for it.
    fn enter(&mut self, key: KeyHash, account: Account, now: u64) -> bool {
        let free = (0..SLOTS).find(|&slot| self.is_free(slot, now));
        let slot = free.or_else(|| (0..SLOTS).min_by_key(|&slot| self.debt(slot, now)));
        if let Some(slot) = slot {
            self.keys[slot] = key;
            self.accounts[slot] = account;
        }
        free.is_none()
    }

    fn change(&mut self, settings: &Arc<Settings>, now: u64) {
        let now = self.latest.at(now);
        for (key, account) in self.keys.iter().zip(&mut self.accounts) {
            let old = &self.settings.keyed(*key).rules;
            account.convert(old, &settings.keyed(*key).rules, now);
        }
        self.settings = Arc::clone(settings);
    }
}
