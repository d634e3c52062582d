//! One cache line of the table for a single paced quota: four keys behind a one-byte lock.
//!
//! What the lock guards are atomics that are only read and written under it, with plain moves: so there is no
//! `unsafe`, and no second line to a check.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use crate::short_pace::Span;
use crate::sync::{BucketGuard, BucketLock};

/// How many keys a bucket holds.
pub(crate) const SLOTS: usize = 4;

/// Which of the two paces of the table the bucket's states belong to.
const PACE: u8 = 1;
/// The bucket's keys have gone to the other table.
const MOVED: u8 = 2;
/// From this bit on, one a slot: whether the bucket is the second choice of the slot's key.
const SECOND: u8 = 16;

/// `Latest` is counted in this many bits of a nanosecond less: about a microsecond.
const COARSE: u32 = 10;

#[derive(Debug, Default)]
#[cfg_attr(not(buttress_loom), repr(C, align(64)))]
pub(crate) struct PacedBucket {
    lock: BucketLock,
    bits: AtomicU8,
    /// What was decided since it was last added to the table's counts.
    admitted: AtomicU8,
    refused: AtomicU8,
    /// About when a state was last changed, see [`Locked::may_be_late`].
    latest: AtomicU32,
    tags: [AtomicU32; SLOTS],
    parts: [AtomicU16; SLOTS],
    nanos: [AtomicU64; SLOTS],
}

#[cfg(not(buttress_loom))]
const _: () = assert!(size_of::<PacedBucket>() == 64, "one cache line");

/// What was decided in a bucket, when it is too much to be counted there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overflow {
    pub(crate) admitted: u64,
    pub(crate) refused: u64,
}

/// A bucket while it is locked.
#[derive(Debug)]
pub(crate) struct Locked<'a>(
    &'a PacedBucket,
    #[expect(dead_code, reason = "it frees the lock")] BucketGuard<'a>,
);

impl PacedBucket {
    #[inline]
    pub(crate) fn lock(&self) -> Locked<'_> {
        Locked(self, self.lock.lock())
    }

    pub(crate) fn try_lock(&self) -> Option<Locked<'_>> {
        Some(Locked(self, self.lock.try_lock()?))
    }
}

impl Locked<'_> {
    #[inline]
    pub(crate) fn find(&self, tag: u32) -> Option<usize> {
        let tags = &self.0.tags;
        tags.iter()
            .position(|held| held.load(Ordering::Relaxed) == tag)
    }

    #[inline]
    pub(crate) fn tag(&self, slot: usize) -> u32 {
        self.0.tags[slot].load(Ordering::Relaxed)
    }

    /// The theoretical arrival time of a slot's key.
    #[inline]
    pub(crate) fn tat(&self, slot: usize) -> Span {
        Span {
            nanos: self.0.nanos[slot].load(Ordering::Relaxed),
            part: self.0.parts[slot].load(Ordering::Relaxed),
        }
    }

    #[inline]
    pub(crate) fn set_tat(&self, slot: usize, tat: Span) {
        self.0.nanos[slot].store(tat.nanos, Ordering::Relaxed);
        self.0.parts[slot].store(tat.part, Ordering::Relaxed);
    }

    /// Whether the bucket is the second choice of a slot's key.
    pub(crate) fn is_second(&self, slot: usize) -> bool {
        self.bits() & SECOND << slot != 0
    }

    /// Puts a key into a slot.
    pub(crate) fn put(&self, slot: usize, tag: u32, tat: Span, second: bool) {
        let bit = SECOND << slot;
        let bits = self.bits() & !bit | if second { bit } else { 0 };
        self.0.bits.store(bits, Ordering::Relaxed);
        self.0.tags[slot].store(tag, Ordering::Relaxed);
        self.set_tat(slot, tat);
    }

    /// A slot whose state has run out is free.
    #[inline]
    pub(crate) fn is_free(&self, slot: usize, now: u64) -> bool {
        self.tat(slot) <= Span::at(now)
    }

    /// How many slots are free.
    pub(crate) fn room(&self, now: u64) -> usize {
        (0..SLOTS).filter(|&slot| self.is_free(slot, now)).count()
    }

    /// Of the free slots the one that is longest free, so that a key which comes now and then is found where
    /// it stood.
    pub(crate) fn free_slot(&self, now: u64) -> Option<usize> {
        let (tat, slot) = self.least();
        (tat <= Span::at(now)).then_some(slot)
    }

    /// The slot that owes for the shortest time, and until when.
    pub(crate) fn least(&self) -> (Span, usize) {
        let slots = (0..SLOTS).map(|slot| (self.tat(slot), slot));
        slots.min().unwrap_or_default()
    }

    /// Which of the two paces of the table the states belong to.
    #[inline]
    pub(crate) fn pace(&self) -> usize {
        usize::from(self.bits() & PACE)
    }

    pub(crate) fn set_pace(&self, pace: usize) {
        let bit = if pace == 0 { 0 } else { PACE };
        let bits = self.bits() & !PACE | bit;
        self.0.bits.store(bits, Ordering::Relaxed);
    }

    /// Whether the keys have gone to the other table.
    #[inline]
    pub(crate) fn is_moved(&self) -> bool {
        self.bits() & MOVED != 0
    }

    pub(crate) fn set_moved(&self) {
        let bits = self.bits() | MOVED;
        self.0.bits.store(bits, Ordering::Relaxed);
    }

    #[inline]
    fn bits(&self) -> u8 {
        self.0.bits.load(Ordering::Relaxed)
    }

    /// Counts an admission; what it gives is to be added to the table's counts.
    #[inline]
    pub(crate) fn count_admitted(&self, now: u64) -> Option<Overflow> {
        self.changed_at(now);
        count(&self.0.admitted).then_some(Overflow {
            admitted: 1 << 8,
            refused: 0,
        })
    }

    /// Remembers that a state was changed by this time.
    #[inline]
    pub(crate) fn changed_at(&self, now: u64) {
        self.0.latest.store(coarse(now), Ordering::Relaxed);
    }

    /// Counts a refusal; what it gives is to be added to the table's counts.
    #[inline]
    pub(crate) fn count_refused(&self) -> Option<Overflow> {
        count(&self.0.refused).then_some(Overflow {
            admitted: 0,
            refused: 1 << 8,
        })
    }

    /// What was counted here and is not in the table's counts.
    pub(crate) fn counted(&self) -> Overflow {
        Overflow {
            admitted: self.0.admitted.load(Ordering::Relaxed).into(),
            refused: self.0.refused.load(Ordering::Relaxed).into(),
        }
    }

    /// The time to decide by: `now`, or, if somebody may have decided here later, what `clock` reads.
    pub(crate) fn time(&self, now: u64, clock: impl Fn() -> u64) -> u64 {
        match self.may_be_late(now) {
            true => now.max(clock()),
            false => now,
        }
    }

    /// Whether somebody may have decided here at a later time than `now`, which was read before the lock was
    /// taken. Sometimes wrongly true, never wrongly false while a thread is less than half an hour behind.
    pub(crate) fn may_be_late(&self, now: u64) -> bool {
        let ahead = self
            .0
            .latest
            .load(Ordering::Relaxed)
            .wrapping_sub(coarse(now));
        ahead < 1 << 31
    }
}

/// Adds one; true if it has run over.
#[inline]
fn count(counter: &AtomicU8) -> bool {
    let next = counter.load(Ordering::Relaxed).wrapping_add(1);
    counter.store(next, Ordering::Relaxed);
    next == 0
}

#[inline]
fn coarse(now: u64) -> u32 {
    (now >> COARSE & 0xffff_ffff) as u32
}
