//! How a call of the trace is attempted again.

use std::time::Duration;

use buttress_core::time::{Instant, later};
use buttress_retry::{Attempt, Methods, Repeats, Replay, Template};

use super::upstream::Call;

/// Copies calls, if their method allows it; and tells those further in the deadline.
#[derive(Clone)]
pub(super) struct Repeat {
    pub(super) methods: Methods,
    /// The deadline of `[retry]`, which counts from the arrival.
    pub(super) deadline: Option<Duration>,
}

/// What is kept of a call.
pub(super) struct Kept {
    call: Call,
    repeats: Repeats,
}

impl Replay<Call> for Repeat {
    type Request = Call;
    type Template = Kept;

    fn deadline(&self, call: &Call) -> Option<Instant> {
        let own = self.deadline.map(|deadline| later(call.arrived, deadline));
        own.into_iter().chain(call.deadline).min()
    }

    fn prepare(&self, mut call: Call, first: Attempt) -> (Call, Option<Kept>) {
        call.deadline = first.deadline;
        let repeats = match self.methods.allow(&call.method) {
            true => Repeats::Freely,
            // Any call can be sent again that has not arrived.
            false => Repeats::IfUnsent,
        };
        let kept = (!first.is_last()).then(|| Kept {
            call: call.clone(),
            repeats,
        });
        (call, kept)
    }
}

impl Template for Kept {
    type Request = Call;

    fn repeats(&self) -> Repeats {
        self.repeats
    }

    fn next(&mut self, _: Attempt) -> Option<Call> {
        Some(self.call.clone())
    }
}
