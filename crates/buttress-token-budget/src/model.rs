//! What the models of threads need of the waiting room, without a timer and without a runtime.

use std::task::Waker;

use buttress_core::{Now, Rejection};

use crate::budget::TokenBudget;
use crate::demand::BudgetDemand;
use crate::place::{Entered, Place};
use crate::ticket::Reserved;

/// A place among those who wait.
#[derive(Debug)]
pub struct Waiter(Place);

/// Reserves at once, or waits for however long it takes.
///
/// # Errors
///
/// The place among those who wait.
pub fn enter(
    budget: &TokenBudget,
    demand: BudgetDemand,
    now: &Now,
) -> Result<Result<Reserved, Rejection>, Waiter> {
    match Place::enter(budget, demand, u64::MAX, now) {
        Entered::Decided(answer) => Ok(answer),
        Entered::Waits(place, _) => Err(Waiter(place)),
    }
}

impl Waiter {
    /// The answer, or none yet; then the waker is woken.
    pub fn look(&mut self, waker: &Waker, now: &Now) -> Option<Result<Reserved, Rejection>> {
        self.0.look(waker, now).ok()
    }
}
