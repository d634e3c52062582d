//! The one place where buttress reads the clock.
//!
//! Intervals are tokio's clock, so that `tokio::time::pause` drives every layer.

use std::cell::Cell;
use std::time::Duration;

pub use tokio::time::Instant;

/// How fine tokio's timers are: a wait ends at the first whole millisecond at or after its end.
pub const TIMER_RESOLUTION: Duration = Duration::from_millis(1);

/// Longer waits than this are not told apart: tokio's own bound for a timer that never fires.
const FAR_FUTURE: Duration = Duration::from_secs(86_400 * 365 * 30);

/// Reads the clock.
///
/// Everything else in buttress takes its time from a [`Now`] that is passed along.
#[must_use]
pub fn now() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place where the clock is read"
    )]
    Instant::now()
}

/// `instant + duration`, or an instant about thirty years ahead if that cannot be represented.
#[must_use]
pub fn later(instant: Instant, duration: Duration) -> Instant {
    instant
        .checked_add(duration)
        .unwrap_or_else(|| instant + FAR_FUTURE)
}

/// The time of one step of a request: read from the clock when it is first asked for, then kept.
///
/// A clock read costs about as much as a whole rate limit decision, so a step reads it at most once,
/// and a policy that needs no time never does.
#[derive(Debug, Default)]
pub struct Now(Cell<Option<Instant>>);

impl Now {
    /// A time that has not been read yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Cell::new(None))
    }

    /// A time that is already known.
    #[must_use]
    pub const fn at(instant: Instant) -> Self {
        Self(Cell::new(Some(instant)))
    }

    /// The time of this step, if anybody has asked for it; [`maybe_at`](Self::maybe_at) takes it up again.
    #[must_use]
    pub fn known(&self) -> Option<Instant> {
        self.0.get()
    }

    /// A time that may be known.
    #[must_use]
    pub const fn maybe_at(instant: Option<Instant>) -> Self {
        Self(Cell::new(instant))
    }

    /// The time of this step.
    #[inline]
    pub fn get(&self) -> Instant {
        match self.0.get() {
            Some(instant) => instant,
            None => {
                let instant = now();
                self.0.set(Some(instant));
                instant
            }
        }
    }
}
