//! What is turned on, off and over while a stack works.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use buttress_core::Exempt;

/// Whether a layer does anything. One that is off exempts every request: it goes straight on, with the
/// readiness that the inner service has, and what was admitted before settles as it was admitted.
#[derive(Clone, Debug)]
pub(crate) struct Switch(Arc<AtomicBool>);

impl Switch {
    pub(crate) fn new(on: bool) -> Self {
        Self(Arc::new(AtomicBool::new(on)))
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }
}

impl<Req> Exempt<Req> for Switch {
    fn exempts(&self, _: &Req) -> bool {
        !self.is_on()
    }
}

/// How long a layer lets requests wait, if it does.
#[derive(Clone, Debug)]
pub(crate) struct LiveWait(Arc<AtomicU64>);

/// No wait is zero, so zero is none.
const NONE: u64 = 0;

impl LiveWait {
    pub(crate) fn new(wait: Option<Duration>) -> Self {
        let live = Self(Arc::new(AtomicU64::new(NONE)));
        live.set(wait);
        live
    }

    pub(crate) fn get(&self) -> Option<Duration> {
        let nanos = self.0.load(Ordering::Relaxed);
        (nanos != NONE).then(|| Duration::from_nanos(nanos))
    }

    pub(crate) fn set(&self, wait: Option<Duration>) {
        let nanos = wait.map_or(NONE, |wait| {
            u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)
        });
        self.0.store(nanos, Ordering::Relaxed);
    }
}
