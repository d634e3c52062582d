//! What is going to happen, in the order of the format.

use std::collections::BTreeSet;

use crate::trace::Milliseconds;

/// An event of the trace: not of the layers, whose timers are tokio's.
///
/// At one instant they are taken in the order of the variants, then in the order of the trace. What falls due
/// in the layers comes after the upstream's events and before the callers'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// The upstream's `attempt`-th answer to a request has come: its head, or an error.
    Head { attempt: usize },
    /// The body of the upstream's `attempt`-th answer ends.
    BodyEnd { attempt: usize },
    /// The caller goes away.
    Leave,
    /// The request arrives.
    Arrive,
}

impl What {
    const fn class(self) -> u8 {
        match self {
            Self::Head { .. } | Self::BodyEnd { .. } => 1,
            Self::Leave => 3,
            Self::Arrive => 4,
        }
    }

    /// Whether it comes before what falls due in the layers at the same instant.
    pub(super) const fn precedes_layers(self) -> bool {
        self.class() == 1
    }
}

/// An event with its place in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event {
    /// Virtual time since the first line's `at`.
    pub(super) at: Milliseconds,
    /// The line of the trace, from 0.
    pub(super) request: usize,
    pub(super) what: What,
}

impl Event {
    const fn rank(&self) -> (Milliseconds, u8, usize, What) {
        (self.at, self.what.class(), self.request, self.what)
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// All events to come.
#[derive(Debug, Default)]
pub(super) struct Timeline(BTreeSet<Event>);

impl Timeline {
    pub(super) fn add(&mut self, event: Event) {
        self.0.insert(event);
    }

    pub(super) fn next(&self) -> Option<Event> {
        self.0.first().copied()
    }

    /// Takes the next of the upstream's events for one request, if it is due at `now`.
    pub(super) fn take_upstreams(&mut self, request: usize, now: Milliseconds) -> Option<Event> {
        let at = self.next()?.at;
        let event = |what| Event { at, request, what };
        let first = event(What::Head { attempt: 0 });
        let last = event(What::BodyEnd {
            attempt: usize::MAX,
        });
        let found = self.0.range(first..=last).next().copied();
        found.filter(|found| at <= now && self.0.remove(found))
    }

    /// Takes the next event if it is due at `now` and `wanted`.
    pub(super) fn take(
        &mut self,
        now: Milliseconds,
        wanted: impl Fn(What) -> bool,
    ) -> Option<Event> {
        let next = self.next()?;
        (next.at <= now && wanted(next.what)).then(|| {
            self.0.remove(&next);
            next
        })
    }
}
