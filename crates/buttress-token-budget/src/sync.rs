//! What this crate shares between threads, which the models replace by loom's.

#[cfg(not(buttress_loom))]
pub(crate) use {
    parking_lot::{Mutex, MutexGuard},
    std::sync::atomic::AtomicUsize,
};

#[cfg(buttress_loom)]
pub(crate) use {
    buttress_core::model::Mutex, loom::sync::MutexGuard, loom::sync::atomic::AtomicUsize,
};
