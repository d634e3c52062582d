//! Reading from a response what was really used.

use buttress_core::{ByResult, Classify, End, Now, Outcome, Permit, Settle, Ticket, Usage};

/// Settles at the head with what `read` finds in the response. A response without a usage leaves the estimate
/// as it is.
#[derive(Clone, Copy, Debug)]
pub struct Measured<F, C = ByResult> {
    pub(crate) read: F,
    pub(crate) classify: C,
}

impl<F> Measured<F> {
    /// Reads the usage of a response of any type.
    pub const fn new(read: F) -> Self {
        Self {
            read,
            classify: ByResult,
        }
    }
}

impl<Res, E, T, F, U, C> Settle<Res, E, T> for Measured<F, C>
where
    T: Ticket,
    F: Fn(&Res) -> Option<U>,
    U: Into<Usage>,
    C: Classify<Res, E>,
{
    type Response = Res;

    fn settle(&self, result: Result<Res, E>, permit: Permit<T>, now: &Now) -> Result<Res, E> {
        let outcome = self.classify.classify(result.as_ref());
        let response = result.as_ref().ok().filter(|_| outcome == Outcome::Success);
        let usage = response.and_then(&self.read).map(Into::into);
        permit.end(End::Settled(outcome, usage), now);
        result
    }
}
