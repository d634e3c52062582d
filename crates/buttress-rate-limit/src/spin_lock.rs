//! A lock of one byte, for a few loads and stores.

#![cfg_attr(
    not(buttress_loom),
    expect(unreachable_pub, reason = "the models see it")
)]

use std::sync::atomic::Ordering;

use crate::sync::{AtomicU8, yield_now};

/// How often the lock is looked at before the thread lets others run.
const SPINS: usize = if cfg!(buttress_loom) { 1 } else { 64 };

/// Whoever holds it neither calls out nor allocates, so it is free again at once; unless its holder's thread
/// was interrupted, which is why those who wait let others run after a while.
#[derive(Debug)]
pub struct SpinLock(AtomicU8);

/// Frees the lock when it is dropped.
#[derive(Debug)]
pub struct SpinGuard<'a>(&'a SpinLock);

impl Default for SpinLock {
    fn default() -> Self {
        Self(AtomicU8::new(0))
    }
}

impl SpinLock {
    /// Waits until the lock is free, and takes it.
    #[inline]
    pub fn lock(&self) -> SpinGuard<'_> {
        if !self.take() {
            self.take_when_free();
        }
        SpinGuard(self)
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<SpinGuard<'_>> {
        self.take().then_some(SpinGuard(self))
    }

    #[cold]
    fn take_when_free(&self) {
        loop {
            for _ in 0..SPINS {
                if self.0.load(Ordering::Relaxed) == 0 && self.take() {
                    return;
                }
                std::hint::spin_loop();
            }
            yield_now();
        }
    }

    #[inline]
    fn take(&self) -> bool {
        self.0
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }
}

impl Drop for SpinGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.0.store(0, Ordering::Release);
    }
}
