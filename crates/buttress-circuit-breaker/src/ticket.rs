//! What an admitted call holds.

use std::sync::Arc;

use buttress_core::{End, KeyHash, Now, Outcome, Ticket};

use crate::call::{Call, Kind};
use crate::cell::Cell;
use crate::word::{Mode, Word};

/// An admitted call: its circuit, and the generation that it was admitted under.
///
/// Its end is recorded if it says something of the upstream. A refusal from further in, a release and a
/// caller who left say nothing, and only give a probe's place back; but a caller who left after waiting
/// longer than a slow call for the head is a failure. A slow probe is heard of when its head comes.
#[derive(Debug)]
pub struct CircuitTicket {
    cell: Arc<Cell>,
    stamp: Stamp,
}

/// When a call was admitted: two words, so that it travels in registers, and is not written in small pieces
/// and read in large ones, for which a processor has to wait.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    /// When the call began, then how long its head took.
    time: u64,
    /// The generation above, how the time is taken below, and whether it is a probe between them.
    word: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timing {
    /// Nobody asks how long it takes.
    No,
    Running,
    /// The head has come.
    Stopped,
}

/// The bit of a stamp's word that tells a probe: a call that was let through although not all are.
const PROBE: u64 = 1 << 2;

impl CircuitTicket {
    #[inline]
    pub(crate) fn new(cell: Arc<Cell>, admitted: Word, now: &Now) -> Self {
        let (time, timing) = match admitted.is_timed() {
            true => (cell.shared.nanos(now), Timing::Running),
            false => (0, Timing::No),
        };
        let mut stamp = Stamp::new(admitted.generation(), time, timing);
        if admitted.mode() == Mode::Guarded {
            stamp.word |= PROBE;
        }
        Self { cell, stamp }
    }
}

impl Stamp {
    #[inline]
    const fn new(generation: u32, time: u64, timing: Timing) -> Self {
        let word = (generation as u64) << 32 | timing as u64;
        Self { time, word }
    }

    #[inline]
    const fn generation(self) -> u32 {
        (self.word >> 32) as u32
    }

    #[inline]
    const fn timing(self) -> Timing {
        match self.word & 0b11 {
            0 => Timing::No,
            1 => Timing::Running,
            _ => Timing::Stopped,
        }
    }

    #[inline]
    fn waited(self, cell: &Cell, now: &Now) -> u64 {
        match self.timing() {
            Timing::No => 0,
            Timing::Running => cell.shared.nanos(now).saturating_sub(self.time),
            Timing::Stopped => self.time,
        }
    }

    #[inline]
    fn settle(self, cell: &Cell, kind: Kind, now: &Now) {
        // Most calls are good ones, and most of those change nothing.
        if kind == Kind::Success && cell.is_without_failures() {
            return;
        }
        self.record(cell, kind, now);
    }

    // Out of line, so that the way of most calls is short enough to be taken in.
    #[inline(never)]
    fn record(self, cell: &Cell, kind: Kind, now: &Now) {
        let waited = self.waited(cell, now);
        cell.record(self.generation(), Call { kind, waited }, now);
    }

    /// Somebody left, and whoever leaves during the body has had an answer.
    #[cold]
    fn leave(self, cell: &Cell, now: &Now) {
        if self.timing() == Timing::Running && cell.is_slow(self.waited(cell, now)) {
            self.record(cell, Kind::Failure, now);
        } else {
            cell.give_back(self.generation());
        }
    }
}

impl Ticket for CircuitTicket {
    #[inline]
    fn head(&mut self, outcome: Outcome, now: &Now) {
        if self.stamp.timing() == Timing::Running {
            let generation = self.stamp.generation();
            let waited = self.stamp.waited(&self.cell, now);
            let probe = self.stamp.word & PROBE;
            self.stamp = Stamp::new(generation, waited, Timing::Stopped);
            self.stamp.word |= probe;
            // How long it took to be refused further in tells nothing of the upstream.
            if outcome != Outcome::Refused {
                self.cell.head(generation, waited, now);
            }
        }
    }

    #[inline]
    fn end(self, end: End, now: &Now) {
        // Taken apart, so that the parts can stay in registers.
        let Self { cell, stamp } = self;
        match end {
            End::Settled(Outcome::Success, _) => stamp.settle(&cell, Kind::Success, now),
            End::Settled(Outcome::Failure | Outcome::Overloaded | Outcome::TimedOut, _) => {
                stamp.settle(&cell, Kind::Failure, now);
            }
            End::Settled(Outcome::Throttled(_), _) => stamp.settle(&cell, Kind::Throttled, now),
            End::Settled(Outcome::Refused, _) | End::Released => cell.give_back(stamp.generation()),
            End::Cancelled(_) => stamp.leave(&cell, now),
        }
    }

    fn key(&self) -> Option<KeyHash> {
        Some(self.cell.key())
    }

    fn is_probe(&self) -> bool {
        self.stamp.word & PROBE != 0
    }
}
