//! The keys of one scope: a bounded number of balances, and no sweeper.
//!
//! A key has one bucket of [`SLOTS`] places, chosen by its hash, and there are four times as many places as
//! rated keys. A balance that has run out is as good as an empty place, so nothing has to be swept; when a
//! bucket is full of balances that owe something, the one that owes for the shortest time goes, and is
//! counted. A key is therefore never forgotten while a less indebted one shares its bucket.

use std::sync::{Arc, OnceLock};

use buttress_core::KeyHash;

use crate::balance::Balance;
use crate::dimension::{Amounts, Dimension, MAX_DIMENSIONS};
use crate::limits::{Limit, ScopeRules};
use crate::sync::{Mutex, MutexGuard};

const SLOTS: usize = 16;

/// How many places there are for each rated key.
const PLACES: usize = 4;

/// One scope: what its key is called, what is in force, and what its keys have spent.
#[derive(Debug)]
pub(crate) struct Scope {
    /// All requests have the same key here.
    pub(crate) global: bool,
    pub(crate) current: Mutex<Arc<ScopeRules>>,
    /// The balance of requests that have no key because all share one.
    everyone: Mutex<Bucket>,
    keys: usize,
    buckets: OnceLock<Box<[Mutex<Bucket>]>>,
    /// Held while the buckets are made and while the rules change, so that none is made of old ones.
    making: Mutex<()>,
}

/// What one lock protects.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) rules: Arc<ScopeRules>,
    /// The latest instant at which something was decided here: a clock that was read before the lock was
    /// taken may be a little behind.
    pub(crate) latest: u64,
    pub(crate) counts: Counts,
    keys: [KeyHash; SLOTS],
    balances: [Balance; SLOTS],
}

/// What happened in a bucket, whatever became of its keys.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) admitted: u64,
    pub(crate) refused: u64,
    pub(crate) settled: u64,
    pub(crate) evicted: u64,
    /// How many reservations have not been settled, and how much they hold.
    pub(crate) outstanding: u64,
    pub(crate) reserved: Sums,
    pub(crate) granted: Sums,
    pub(crate) refunded: Sums,
    /// What was used beyond what had been reserved for it.
    pub(crate) overshot: Sums,
}

/// Sums by dimension. They wrap, so that what is taken away again leaves what was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums([u64; MAX_DIMENSIONS]);

/// A place for a key in a locked bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slot {
    Found(usize),
    /// The key stands nowhere: it has spent nothing.
    New(KeyHash),
}

impl Sums {
    #[inline]
    pub(crate) fn add(&mut self, amounts: &Amounts) {
        for dimension in Dimension::all() {
            self.add_one(dimension, amounts.get(dimension));
        }
    }

    #[inline]
    pub(crate) fn add_one(&mut self, dimension: Dimension, units: u64) {
        let sum = &mut self.0[dimension.index()];
        *sum = sum.wrapping_add(units);
    }

    #[inline]
    pub(crate) fn take(&mut self, amounts: &Amounts) {
        for dimension in Dimension::all() {
            let sum = &mut self.0[dimension.index()];
            *sum = sum.wrapping_sub(amounts.get(dimension));
        }
    }

    pub(crate) fn get(&self, dimension: Dimension) -> u64 {
        self.0[dimension.index()]
    }

    fn merge(&mut self, other: &Self) {
        for (sum, other) in self.0.iter_mut().zip(other.0) {
            *sum = sum.wrapping_add(other);
        }
    }
}

impl Counts {
    fn merge(&mut self, other: &Self) {
        self.admitted += other.admitted;
        self.refused += other.refused;
        self.settled += other.settled;
        self.evicted += other.evicted;
        self.outstanding += other.outstanding;
        self.reserved.merge(&other.reserved);
        self.granted.merge(&other.granted);
        self.refunded.merge(&other.refunded);
        self.overshot.merge(&other.overshot);
    }
}

impl Scope {
    pub(crate) fn new(rules: Arc<ScopeRules>, keys: usize, global: bool) -> Self {
        Self {
            global,
            everyone: Mutex::new(Bucket::new(Arc::clone(&rules))),
            current: Mutex::new(rules),
            keys,
            buckets: OnceLock::new(),
            making: Mutex::new(()),
        }
    }

    #[inline]
    pub(crate) fn lock(&self, key: KeyHash) -> MutexGuard<'_, Bucket> {
        if key == KeyHash::EVERYONE {
            return self.everyone.lock();
        }
        let buckets = match self.buckets.get() {
            Some(buckets) => buckets,
            None => self.make(),
        };
        buckets[index(key, buckets.len())].lock()
    }

    #[cold]
    fn make(&self) -> &[Mutex<Bucket>] {
        let _making = self.making.lock();
        self.buckets.get_or_init(|| {
            let rules = Arc::clone(&self.current.lock());
            let buckets = self.keys.saturating_mul(PLACES).div_ceil(SLOTS).max(1);
            (0..buckets.next_power_of_two())
                .map(|_| Mutex::new(Bucket::new(Arc::clone(&rules))))
                .collect()
        })
    }

    /// Calls `f` with every bucket, one after the other.
    pub(crate) fn each(&self, mut f: impl FnMut(&mut Bucket)) {
        f(&mut self.everyone.lock());
        for bucket in self.buckets.get().into_iter().flatten() {
            f(&mut bucket.lock());
        }
    }

    pub(crate) fn totals(&self) -> Counts {
        let mut counts = Counts::default();
        self.each(|bucket| counts.merge(&bucket.counts));
        counts
    }

    /// Puts other rules in force.
    pub(crate) fn change(&self, rules: &Arc<ScopeRules>, now: u64) {
        let _making = self.making.lock();
        *self.current.lock() = Arc::clone(rules);
        self.each(|bucket| bucket.change(rules, now));
    }

    /// The rules in force.
    pub(crate) fn rules(&self) -> Arc<ScopeRules> {
        Arc::clone(&self.current.lock())
    }

    pub(crate) fn limits(&self) -> Vec<Limit> {
        self.rules().limits.to_vec()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "an index is taken from the bits of a hash"
)]
fn index(key: KeyHash, buckets: usize) -> usize {
    key.get() as usize & (buckets - 1)
}

impl Bucket {
    fn new(rules: Arc<ScopeRules>) -> Self {
        Self {
            rules,
            latest: 0,
            counts: Counts::default(),
            // In the table no key has this hash; the bucket of everyone has its first place for it.
            keys: [KeyHash::EVERYONE; SLOTS],
            balances: Default::default(),
        }
    }

    #[inline]
    pub(crate) fn find(&self, key: KeyHash) -> Slot {
        match self.keys.iter().position(|held| *held == key) {
            Some(slot) => Slot::Found(slot),
            None => Slot::New(key),
        }
    }

    /// What a key has spent, and under which rules.
    #[inline]
    pub(crate) fn look(&self, slot: Slot) -> (&ScopeRules, Option<&Balance>) {
        let balance = match slot {
            Slot::Found(slot) => Some(&self.balances[slot]),
            Slot::New(_) => None,
        };
        (&self.rules, balance)
    }

    /// As [`look`](Self::look), to spend; a new key takes a place.
    #[inline]
    pub(crate) fn open(&mut self, slot: Slot, now: u64) -> (&ScopeRules, &mut Balance) {
        let slot = match slot {
            Slot::Found(slot) => slot,
            Slot::New(key) => self.enter(key, now),
        };
        (&self.rules, &mut self.balances[slot])
    }

    fn enter(&mut self, key: KeyHash, now: u64) -> usize {
        let rules = &self.rules;
        let idle = |balance: &Balance| balance.is_idle(rules, now);
        let free = self.balances.iter().position(idle);
        let least = || {
            let debts = self.balances.iter().map(|balance| balance.debt(rules, now));
            let least = debts.enumerate().min_by_key(|(_, debt)| *debt);
            least.map_or(0, |(slot, _)| slot)
        };
        let slot = free.unwrap_or_else(least);
        self.counts.evicted += u64::from(free.is_none());
        self.keys[slot] = key;
        let balance = &mut self.balances[slot];
        // The memory of who was there before serves the next.
        balance.accounts.fill_with(Default::default);
        balance.quiet.fill(0);
        slot
    }

    /// The keys that owe something.
    pub(crate) fn live(&self, now: u64) -> impl Iterator<Item = (KeyHash, &Balance)> {
        let held = self.keys.iter().copied().zip(&self.balances);
        held.filter(move |(_, balance)| !balance.is_idle(&self.rules, now))
    }

    pub(crate) fn forget(&mut self, key: Option<KeyHash>) {
        for (held, balance) in self.keys.iter().zip(&mut self.balances) {
            if key.is_none_or(|key| key == *held) {
                *balance = Balance::default();
            }
        }
    }

    fn change(&mut self, rules: &Arc<ScopeRules>, now: u64) {
        self.latest = self.latest.max(now);
        for balance in &mut self.balances {
            balance.convert(&self.rules, rules, self.latest);
        }
        self.rules = Arc::clone(rules);
    }
}
