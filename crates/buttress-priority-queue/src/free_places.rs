//! Places that nobody waits for are taken and given back without the queue's lock.

use crate::sync::{AtomicUsize, Ordering};

/// How many places are taken, times two, and one more while the count is kept under the lock: because
/// somebody waits or is told something, or because more than the count decides. One word, so that of those
/// who take the lock and those who do without one always sees the other.
#[derive(Debug)]
pub(crate) struct FreePlaces {
    word: AtomicUsize,
    limit: AtomicUsize,
}

const LOCKED: usize = 1;
const ONE: usize = 2;

impl FreePlaces {
    /// Kept under the lock, until somebody lays it down.
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicUsize::new(LOCKED),
            limit: AtomicUsize::new(0),
        }
    }

    /// Takes one, and tells how many are taken then.
    #[inline]
    pub(crate) fn take(&self) -> Option<u32> {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word & LOCKED != 0 || word / ONE >= self.limit.load(Ordering::Relaxed) {
                return None;
            }
            match self.exchange(word, word + ONE) {
                Ok(_) => return u32::try_from(word / ONE + 1).ok(),
                Err(changed) => word = changed,
            }
        }
    }

    /// Gives one back; not if the lock is needed for it.
    #[inline]
    pub(crate) fn give_back(&self) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word & LOCKED != 0 || word < ONE {
                return false;
            }
            match self.exchange(word, word - ONE) {
                Ok(_) => return true,
                Err(changed) => word = changed,
            }
        }
    }

    fn exchange(&self, from: usize, to: usize) -> Result<usize, usize> {
        self.word
            .compare_exchange_weak(from, to, Ordering::AcqRel, Ordering::Acquire)
    }

    /// Keeps the count under the lock, which is held, from now on. Tells the count if it was not kept there.
    #[inline]
    pub(crate) fn take_up(&self) -> Option<u32> {
        // Only who holds the lock lays it down.
        if self.word.load(Ordering::Relaxed) & LOCKED != 0 {
            return None;
        }
        let word = self.word.fetch_or(LOCKED, Ordering::AcqRel);
        Some(u32::try_from(word / ONE).unwrap_or(u32::MAX))
    }

    /// Keeps the count here from now on. The lock is held.
    #[inline]
    pub(crate) fn lay_down(&self, taken: u32, limit: u32) {
        let size = |count| usize::try_from(count).unwrap_or(usize::MAX / ONE);
        self.limit.store(size(limit), Ordering::Relaxed);
        self.word.store(size(taken) * ONE, Ordering::Release);
    }

    /// How many are taken, if that is not kept under the lock.
    pub(crate) fn taken(&self) -> Option<u32> {
        let word = self.word.load(Ordering::Acquire);
        (word & LOCKED == 0).then(|| u32::try_from(word / ONE).unwrap_or(u32::MAX))
    }
}
