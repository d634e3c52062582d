//! Which attempt of a call this is.

use buttress_core::Outcome;
use buttress_core::time::Instant;

/// Which attempt of a call this is, and why there is one: for those further in. Over HTTP it is an
/// extension of every request that can be sent again.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Attempt {
    /// Its number, counted from 1.
    pub number: u32,
    /// How many there can be, this one included.
    pub attempts: u32,
    /// How the one before it ended; nothing for the first.
    pub cause: Option<Outcome>,
    /// When the call is cut off, whichever attempt it has come to.
    pub deadline: Option<Instant>,
}

impl Attempt {
    pub(crate) const fn first(attempts: u32, deadline: Option<Instant>) -> Self {
        Self {
            number: 1,
            attempts,
            cause: None,
            deadline,
        }
    }

    pub(crate) const fn next(self, cause: Outcome) -> Self {
        Self {
            number: self.number.saturating_add(1),
            cause: Some(cause),
            ..self
        }
    }

    /// Whether no other can follow, so that nothing needs to be kept for it.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        self.number >= self.attempts
    }
}
