//! What this crate shares between threads, which the models replace by loom's.

#[cfg(not(buttress_loom))]
pub(crate) use {
    parking_lot::Mutex,
    std::sync::atomic::{AtomicU64, Ordering},
};

#[cfg(buttress_loom)]
pub(crate) use {
    buttress_core::model::Mutex,
    loom::sync::atomic::{AtomicU64, Ordering},
};
