//! What this crate shares between threads, which the models replace by loom's.

#[cfg(not(buttress_loom))]
pub(crate) use {
    parking_lot::{Mutex, MutexGuard},
    std::sync::atomic::{AtomicU32, AtomicU64},
};

#[cfg(buttress_loom)]
pub(crate) use {
    buttress_core::model::Mutex,
    loom::sync::MutexGuard,
    loom::sync::atomic::{AtomicU32, AtomicU64},
};
