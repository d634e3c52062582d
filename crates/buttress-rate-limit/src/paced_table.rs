//! The table for a single paced quota: one cache line a check, and 32 bytes a rated key.
//!
//! A key has two buckets of four slots, and stands in one of them by 32 bits of its hash; with the bits that
//! chose the bucket, two keys are taken for one about once in a thousand million looks, and nobody can aim at
//! it without the seed. A slot whose state has run out is free, so nothing is swept. When both buckets are
//! full of debtors, one of them goes to its own other bucket if that has room (cuckoo hashing: Pagh and
//! Rodler, 2001; by partial keys: Fan, Andersen, Kaminsky, Mitzenmacher, 2014); when there is none, the one
//! that owes for the shortest time is forgotten, and counted.
//!
//! **What a flood of keys can gain.** A key is forgotten only while all the other slots of its two buckets
//! hold keys that owe for at least as long. A key that has used up its quota is therefore forgotten only
//! after seven others next to it have used up theirs, and what it gains is at most its own capacity, once.
//! Whoever sprays keys without knowing the seed cannot choose which keys are neighbours: to forget a given key
//! on purpose, about as many units must be spent as would be needed to use up every slot of the table.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use buttress_core::{KeyHash, When};
use buttress_quota::algorithm::Verdict;

use crate::decision::Refused;
use crate::limits::Settings;
use crate::paced_bucket::{Locked, Overflow, PacedBucket, SLOTS};
use crate::shared_pace::SharedPace;
use crate::short_pace::{ShortPace, Span};
use crate::sync::Mutex;
use crate::table::Counts;

#[derive(Debug)]
pub(crate) struct PacedTable {
    buckets: Box<[PacedBucket]>,
    /// The paces that the buckets' states belong to. A live change writes the one that no bucket uses, and
    /// then takes bucket by bucket to it.
    paces: [SharedPace; 2],
    settings: [Mutex<Arc<Settings>>; 2],
    /// Which pace new states have.
    current: AtomicUsize,
    counts: SharedCounts,
}

/// What is written now and then, away from what is read always.
#[derive(Debug, Default)]
#[cfg_attr(not(buttress_loom), repr(align(64)))]
struct SharedCounts {
    admitted: AtomicU64,
    refused: AtomicU64,
    evicted: AtomicU64,
}

/// Where a key can stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Homes {
    pub(crate) first: usize,
    pub(crate) second: usize,
    pub(crate) tag: u32,
}

/// Two buckets while both are locked.
pub(crate) struct Both<'a> {
    pub(crate) first: Locked<'a>,
    pub(crate) second: Locked<'a>,
}

impl PacedTable {
    /// A table that is rated for `keys` keys.
    pub(crate) fn new(keys: usize, settings: &Arc<Settings>, pace: &ShortPace) -> Self {
        let buckets = keys.saturating_mul(2).div_ceil(SLOTS).max(2);
        let held = || Mutex::new(Arc::clone(settings));
        let table = Self {
            buckets: (0..buckets.next_power_of_two())
                .map(|_| PacedBucket::default())
                .collect(),
            paces: Default::default(),
            settings: [held(), held()],
            current: AtomicUsize::new(0),
            counts: SharedCounts::default(),
        };
        table.paces[0].set(pace, !settings.has_global());
        table
    }

    /// Spends without a look at anything but the key's bucket; `None` if more than that must be looked at.
    ///
    /// `clock` reads the time once more.
    #[inline]
    pub(crate) fn spend(
        &self,
        key: KeyHash,
        cost: u64,
        now: u64,
        count_refusal: bool,
        clock: impl Fn() -> u64,
    ) -> Option<Result<u64, Refused>> {
        let (index, tag) = self.first_home(key);
        let bucket = self.buckets[index].lock();
        let Some(slot) = bucket.find(tag).filter(|_| !bucket.is_moved()) else {
            drop(bucket);
            return self.spend_in_both(key, cost, now, count_refusal, clock);
        };
        let pace = self.paces[bucket.pace()].get()?;
        match pace.check(bucket.tat(slot), cost, now) {
            Verdict::Fits(tat) => {
                bucket.set_tat(slot, tat);
                self.add(bucket.count_admitted(now));
                Some(Ok(now))
            }
            _ if bucket.may_be_late(now) => {
                let now = bucket.time(now, clock);
                Some(self.spend_late(&bucket, slot, (&pace, cost, now), count_refusal))
            }
            verdict => Some(Err(self.refuse(&bucket, verdict, count_refusal))),
        }
    }

    #[inline]
    fn refuse(&self, bucket: &Locked<'_>, verdict: Verdict<Span>, is_counted: bool) -> Refused {
        if is_counted {
            self.add(bucket.count_refused());
        }
        refused(verdict)
    }

    /// A clock that was read before the lock was taken may be a little behind the one of whoever held the
    /// lock before; the last unit of a capacity would then be refused for the sake of nanoseconds. So it is
    /// read once more, if that can be.
    #[inline(never)]
    fn spend_late(
        &self,
        bucket: &Locked<'_>,
        slot: usize,
        (pace, cost, now): (&ShortPace, u64, u64),
        count_refusal: bool,
    ) -> Result<u64, Refused> {
        match pace.check(bucket.tat(slot), cost, now) {
            Verdict::Fits(tat) => {
                bucket.set_tat(slot, tat);
                self.add(bucket.count_admitted(now));
                Ok(now)
            }
            verdict => Err(self.refuse(bucket, verdict, count_refusal)),
        }
    }

    /// The way of a key that does not stand in its first bucket.
    #[inline(never)]
    fn spend_in_both(
        &self,
        key: KeyHash,
        cost: u64,
        now: u64,
        count_refusal: bool,
        clock: impl Fn() -> u64,
    ) -> Option<Result<u64, Refused>> {
        let homes = self.homes(key);
        let both = self.lock_both(homes);
        if both.first.is_moved() || both.second.is_moved() {
            return None;
        }
        if let Some((bucket, slot)) = both.find(homes.tag) {
            let pace = self.paces[bucket.pace()].get()?;
            let now = bucket.time(now, clock);
            return Some(self.spend_late(bucket, slot, (&pace, cost, now), count_refusal));
        }
        let chosen = both.roomier(now);
        let pace = self.paces[both.get(chosen).pace()].get()?;
        Some(match pace.check(Span::ZERO, cost, now) {
            Verdict::Fits(tat) => {
                self.enter(&both, homes, chosen, tat, now);
                self.add(both.get(chosen).count_admitted(now));
                Ok(now)
            }
            verdict => Err(self.refuse(both.get(chosen), verdict, count_refusal)),
        })
    }

    /// Gives a new key a slot.
    pub(crate) fn enter(&self, both: &Both<'_>, homes: Homes, chosen: bool, tat: Span, now: u64) {
        let bucket = both.get(chosen);
        let slot = bucket.free_slot(now).unwrap_or_else(|| {
            (0..SLOTS)
                .find(|&slot| self.goes_elsewhere(bucket, homes.at(chosen), slot, now))
                .unwrap_or_else(|| {
                    self.counts.evicted.fetch_add(1, Ordering::Relaxed);
                    bucket.least().1
                })
        });
        bucket.put(slot, homes.tag, tat, chosen);
    }

    /// Whether the key of a slot has gone to its other bucket, so that the slot is free.
    fn goes_elsewhere(&self, from: &Locked<'_>, index: usize, slot: usize, now: u64) -> bool {
        let other = index ^ self.offset(from.tag(slot));
        // Only tried: the locks of three buckets cannot be taken in order. Both of its own are not free.
        let Some(to) = self.buckets[other].try_lock() else {
            return false;
        };
        let fits = !to.is_moved() && to.pace() == from.pace();
        let Some(free) = to.free_slot(now).filter(|_| fits) else {
            return false;
        };
        to.put(free, from.tag(slot), from.tat(slot), !from.is_second(slot));
        true
    }

    pub(crate) fn lock(&self, index: usize) -> Locked<'_> {
        self.buckets[index].lock()
    }

    /// Locks both buckets of a key, in the order of their places.
    pub(crate) fn lock_both(&self, homes: Homes) -> Both<'_> {
        let low = self.buckets[homes.first.min(homes.second)].lock();
        let high = self.buckets[homes.first.max(homes.second)].lock();
        match homes.first < homes.second {
            true => Both {
                first: low,
                second: high,
            },
            false => Both {
                first: high,
                second: low,
            },
        }
    }

    /// The bucket that a key is first looked for in, and its tag.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an index and a tag are taken from the bits of a hash"
    )]
    fn first_home(&self, key: KeyHash) -> (usize, u32) {
        let first = key.get() as usize & (self.buckets.len() - 1);
        (first, (key.get() >> 32) as u32)
    }

    pub(crate) fn homes(&self, key: KeyHash) -> Homes {
        let (first, tag) = self.first_home(key);
        Homes {
            first,
            second: first ^ self.offset(tag),
            tag,
        }
    }

    /// What leads from one bucket of a key to the other and back: odd, so that they are two.
    #[inline]
    fn offset(&self, tag: u32) -> usize {
        let mixed = tag.wrapping_mul(0x9e37_79b1).rotate_left(16);
        (mixed as usize | 1) & (self.buckets.len() - 1)
    }

    /// As much of a key's hash as is known of a slot.
    pub(crate) fn key_of(&self, bucket: &Locked<'_>, index: usize, slot: usize) -> KeyHash {
        let tag = bucket.tag(slot);
        let first = match bucket.is_second(slot) {
            true => index ^ self.offset(tag),
            false => index,
        };
        KeyHash::from_number(u64::from(tag) << 32 | first as u64)
    }

    /// The bits of a hash that this table knows its keys by.
    pub(crate) fn known_bits(&self) -> u64 {
        u64::from(u32::MAX) << 32 | (self.buckets.len() as u64 - 1)
    }

    pub(crate) fn len(&self) -> usize {
        self.buckets.len()
    }

    /// What a bucket's states are kept under.
    pub(crate) fn settings_of(&self, bucket: &Locked<'_>) -> Arc<Settings> {
        Arc::clone(&self.settings[bucket.pace()].lock())
    }

    /// The pace of a bucket's states.
    pub(crate) fn pace_of(&self, bucket: &Locked<'_>) -> ShortPace {
        self.paces[bucket.pace()].read()
    }

    /// Takes every state along to another pace.
    pub(crate) fn change(&self, settings: &Arc<Settings>, pace: &ShortPace, now: u64) {
        let old = self.current.load(Ordering::Relaxed);
        let new = 1 - old;
        let (from, to) = (self.settings[old].lock().pace(), settings.pace());
        self.paces[new].set(pace, !settings.has_global());
        *self.settings[new].lock() = Arc::clone(settings);
        self.current.store(new, Ordering::Relaxed);
        let was = self.paces[old].read();
        for bucket in &self.buckets {
            let bucket = bucket.lock();
            if let (Some(from), Some(to)) = (&from, &to) {
                for slot in (0..SLOTS).filter(|&slot| !bucket.is_free(slot, now)) {
                    let tat = to.convert(from, was.lengthen(bucket.tat(slot)), now);
                    bucket.set_tat(slot, pace.shorten(tat));
                }
            }
            bucket.set_pace(new);
        }
    }

    /// Adds up the buckets: how many keys owe something, and what was decided.
    pub(crate) fn totals(&self, now: u64) -> (usize, Counts) {
        let mut live = 0;
        let mut counts = Counts {
            admitted: self.counts.admitted.load(Ordering::Relaxed),
            refused: self.counts.refused.load(Ordering::Relaxed),
        };
        for bucket in &self.buckets {
            let bucket = bucket.lock();
            if !bucket.is_moved() {
                live += SLOTS - bucket.room(now);
            }
            let counted = bucket.counted();
            counts.admitted += counted.admitted;
            counts.refused += counted.refused;
        }
        (live, counts)
    }

    /// How many keys were forgotten while they owed something.
    pub(crate) fn evicted(&self) -> u64 {
        self.counts.evicted.load(Ordering::Relaxed)
    }

    /// Forgets what all keys have spent.
    pub(crate) fn reset(&self) {
        for bucket in &self.buckets {
            let bucket = bucket.lock();
            (0..SLOTS).for_each(|slot| bucket.set_tat(slot, Span::ZERO));
        }
    }

    #[inline]
    pub(crate) fn add(&self, overflow: Option<Overflow>) {
        if let Some(overflow) = overflow {
            self.add_some(overflow);
        }
    }

    #[cold]
    fn add_some(&self, Overflow { admitted, refused }: Overflow) {
        self.counts.admitted.fetch_add(admitted, Ordering::Relaxed);
        self.counts.refused.fetch_add(refused, Ordering::Relaxed);
    }
}

impl Homes {
    fn at(&self, second: bool) -> usize {
        if second { self.second } else { self.first }
    }
}

impl<'a> Both<'a> {
    pub(crate) fn get(&self, second: bool) -> &Locked<'a> {
        if second { &self.second } else { &self.first }
    }

    pub(crate) fn find(&self, tag: u32) -> Option<(&Locked<'a>, usize)> {
        let of = |bucket: &'_ Locked<'a>| bucket.find(tag).filter(|_| !bucket.is_moved());
        match of(&self.first) {
            Some(slot) => Some((&self.first, slot)),
            None => of(&self.second).map(|slot| (&self.second, slot)),
        }
    }

    /// The bucket that a new key goes to: whether it is the second.
    pub(crate) fn roomier(&self, now: u64) -> bool {
        match (self.first.room(now), self.second.room(now)) {
            (0, 0) => self.second.least() < self.first.least(),
            (first, second) => second > first,
        }
    }
}

/// The refusal of the one quota.
#[inline]
fn refused(verdict: Verdict<Span>) -> Refused {
    Refused {
        when: match verdict {
            Verdict::After(wait) => When::After(wait),
            _ => When::Never,
        },
        quota: 0,
        violated: 1,
        global: false,
    }
}
