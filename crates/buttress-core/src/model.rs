//! What the loom models of all crates put in the place of locks.

use loom::sync::MutexGuard;

/// loom's mutex with the words of the one that it stands for.
#[derive(Debug)]
pub struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// A lock around a value.
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    /// Waits for the lock.
    ///
    /// # Panics
    ///
    /// If a holder has panicked, which fails the model.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("no holder of this lock panics")
    }
}
