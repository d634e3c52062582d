//! The pace of a table, which every check reads and a live change now and then writes.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::short_pace::{ShortPace, Span};

/// A pace that is read without a lock: whoever has locked a bucket that uses it knows that nobody writes it.
#[derive(Debug, Default)]
#[cfg_attr(not(buttress_loom), repr(align(64)))]
pub(crate) struct SharedPace {
    interval: AtomicU64,
    tolerance: AtomicU64,
    capacity: AtomicU64,
    denominator: AtomicU64,
    parts: AtomicU64,
    /// Whether the quota is the only one that concerns a request.
    alone: AtomicU64,
}

impl SharedPace {
    pub(crate) fn set(&self, pace: &ShortPace, alone: bool) {
        let parts = u64::from(pace.interval.part) << 16 | u64::from(pace.tolerance.part);
        self.interval.store(pace.interval.nanos, Ordering::Relaxed);
        self.tolerance
            .store(pace.tolerance.nanos, Ordering::Relaxed);
        self.capacity.store(pace.capacity, Ordering::Relaxed);
        self.denominator
            .store(pace.denominator.into(), Ordering::Relaxed);
        self.parts.store(parts, Ordering::Relaxed);
        self.alone.store(alone.into(), Ordering::Relaxed);
    }

    /// The pace, if its quota is the only one.
    #[inline]
    pub(crate) fn get(&self) -> Option<ShortPace> {
        (self.alone.load(Ordering::Relaxed) != 0).then(|| self.read())
    }

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "they are taken apart again"
    )]
    pub(crate) fn read(&self) -> ShortPace {
        let parts = self.parts.load(Ordering::Relaxed);
        ShortPace {
            interval: Span {
                nanos: self.interval.load(Ordering::Relaxed),
                part: (parts >> 16) as u16,
            },
            tolerance: Span {
                nanos: self.tolerance.load(Ordering::Relaxed),
                part: parts as u16,
            },
            denominator: self.denominator.load(Ordering::Relaxed) as u32,
            capacity: self.capacity.load(Ordering::Relaxed),
        }
    }
}
