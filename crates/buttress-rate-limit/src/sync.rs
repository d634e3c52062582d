//! What this crate shares between threads, which the models replace by loom's.

#[cfg(not(buttress_loom))]
pub(crate) use {
    crate::spin_lock::{SpinGuard as BucketGuard, SpinLock as BucketLock},
    parking_lot::Mutex,
    std::sync::atomic::{AtomicU8, AtomicUsize},
    std::thread::yield_now,
};

#[cfg(buttress_loom)]
pub(crate) use {
    buttress_core::model::Mutex,
    loom::sync::MutexGuard,
    loom::sync::atomic::{AtomicU8, AtomicUsize},
    loom::thread::yield_now,
    model::BucketLock,
};

/// The models of the table have one step for a lock; the lock of a bucket has a model of its own.
#[cfg(buttress_loom)]
pub(crate) type BucketGuard<'a> = MutexGuard<'a, ()>;

#[cfg(buttress_loom)]
mod model {
    use loom::sync::MutexGuard;

    #[derive(Debug)]
    pub(crate) struct BucketLock(loom::sync::Mutex<()>);

    impl Default for BucketLock {
        fn default() -> Self {
            Self(loom::sync::Mutex::new(()))
        }
    }

    impl BucketLock {
        pub(crate) fn lock(&self) -> MutexGuard<'_, ()> {
            self.0.lock().expect("no holder of this lock panics")
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, ()>> {
            self.0.try_lock().ok()
        }
    }
}
