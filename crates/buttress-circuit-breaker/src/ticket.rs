//! What an admitted call holds.

use std::sync::Arc;

use buttress_core::{End, KeyHash, Now, Outcome, Ticket};

use crate::call::{Call, Kind};
use crate::cell::Cell;
use crate::word::Word;

/// An admitted call: its circuit, and the generation that it was admitted under.
///
/// Its end is recorded if it says something of the upstream. A refusal from further in, a release and a
/// caller who left say nothing, and only give a probe's place back; but a caller who left after waiting
/// longer than a slow call for the head is a failure. A slow probe is heard of when its head comes.
#[derive(Debug)]
pub struct CircuitTicket {
    // None if there was no room to watch it.
    cell: Option<Arc<Cell>>,
    /// When the call began, then how long its head took.
    time: u64,
    generation: u32,
    timing: Timing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timing {
    /// Nobody asks how long it takes.
    No,
    Running,
    /// The head has come.
    Stopped,
}

impl CircuitTicket {
    #[inline]
    pub(crate) fn new(cell: Arc<Cell>, admitted: Word, now: &Now) -> Self {
        let (time, timing) = match admitted.is_timed() {
            true => (cell.shared.nanos(now), Timing::Running),
            false => (0, Timing::No),
        };
        Self {
            cell: Some(cell),
            time,
            generation: admitted.generation(),
            timing,
        }
    }

    /// A call that nobody watches.
    pub(crate) const fn unwatched() -> Self {
        Self {
            cell: None,
            time: 0,
            generation: 0,
            timing: Timing::No,
        }
    }

    /// Whether the end of the call is recorded: not if the table of circuits is full of open ones.
    #[must_use]
    pub const fn is_watched(&self) -> bool {
        self.cell.is_some()
    }

    #[inline]
    fn waited(&self, cell: &Cell, now: &Now) -> u64 {
        match self.timing {
            Timing::No => 0,
            Timing::Running => cell.shared.nanos(now).saturating_sub(self.time),
            Timing::Stopped => self.time,
        }
    }
}

impl Ticket for CircuitTicket {
    #[inline]
    fn head(&mut self, _: Outcome, now: &Now) {
        if let (Timing::Running, Some(cell)) = (self.timing, &self.cell) {
            self.time = self.waited(cell, now);
            self.timing = Timing::Stopped;
            cell.head(self.generation, self.time, now);
        }
    }

    #[inline]
    fn end(self, end: End, now: &Now) {
        let Some(cell) = &self.cell else { return };
        let kind = match end {
            End::Settled(Outcome::Success, _) => Kind::Success,
            End::Settled(Outcome::Failure | Outcome::Overloaded | Outcome::TimedOut, _) => {
                Kind::Failure
            }
            End::Settled(Outcome::Throttled(_), _) => Kind::Throttled,
            End::Settled(Outcome::Refused, _) | End::Released => {
                return cell.give_back(self.generation);
            }
            End::Cancelled(_) => {
                // Whoever leaves during the body has had an answer.
                let left_late =
                    self.timing == Timing::Running && cell.is_slow(self.waited(cell, now));
                if !left_late {
                    return cell.give_back(self.generation);
                }
                Kind::Failure
            }
        };
        let waited = self.waited(cell, now);
        cell.record(self.generation, Call { kind, waited }, now);
    }

    fn key(&self) -> Option<KeyHash> {
        self.cell.as_ref().map(|cell| cell.key())
    }
}
