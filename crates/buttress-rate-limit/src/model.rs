//! What the models of threads need of the waiting room, without a timer and without a runtime.

use std::task::Waker;

use buttress_core::{Now, Rejection};

use crate::ask::RateDemand;
use crate::limiter::RateLimiter;
use crate::place::{Entered, Place};
use crate::ticket::Spent;

pub use crate::spin_lock::{SpinGuard, SpinLock};

/// A place among those who wait.
#[derive(Debug)]
pub struct Waiter(Place);

/// Spends at once, or waits for however long it takes.
///
/// # Errors
///
/// The place among those who wait.
pub fn enter(
    limiter: &RateLimiter,
    demand: RateDemand,
    now: &Now,
) -> Result<Result<Spent, Rejection>, Waiter> {
    match Place::enter(limiter, demand, u64::MAX, now) {
        Entered::Decided(answer) => Ok(answer),
        Entered::Waits(place, _) => Err(Waiter(place)),
    }
}

impl Waiter {
    /// The answer, or none yet; then the waker is woken.
    pub fn look(&mut self, waker: &Waker, now: &Now) -> Option<Result<Spent, Rejection>> {
        self.0.look(waker, now).ok()
    }
}
