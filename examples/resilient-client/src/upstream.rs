//! An upstream that works, fails for some calls, and works again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Counts calls and says what becomes of each.
#[derive(Clone, Debug)]
pub struct Upstream {
    healthy: u32,
    failing: u32,
    calls: Arc<AtomicU32>,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Works,
    Fails,
    Hangs,
}

impl Upstream {
    /// Fails for `failing` calls after the first `healthy`.
    #[must_use]
    pub fn new(healthy: u32, failing: u32) -> Self {
        Self {
            healthy,
            failing,
            calls: Arc::default(),
        }
    }

    /// How many calls came.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn next(&self) -> Does {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        match number.checked_sub(self.healthy) {
            Some(1) if self.failing > 1 => Does::Hangs,
            Some(failure) if failure < self.failing => Does::Fails,
            _ => Does::Works,
        }
    }
}
