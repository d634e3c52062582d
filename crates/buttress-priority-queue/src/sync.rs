//! What this crate shares between threads, which the models replace by loom's.

#[cfg(not(buttress_loom))]
pub(crate) use {
    parking_lot::Mutex,
    std::sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

#[cfg(buttress_loom)]
pub(crate) use {
    loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    model::Mutex,
};

#[cfg(buttress_loom)]
mod model {
    use loom::sync::MutexGuard;

    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("no holder of this lock panics")
        }
    }
}
