//! What an admitted request holds.

use std::{fmt, mem};

use buttress_core::{End, Now, Outcome, Permit, Policy, Ticket, Usage};

use crate::handle::PriorityQueue;
use crate::limit::Sample;
use crate::state::Place;

/// A place, and what the gates gave with it. The gates hear what it hears; the place is free when it ends.
pub struct QueueTicket<G: Policy> {
    queue: PriorityQueue<G>,
    demand: Option<G::Demand>,
    gates: Permit<G::Ticket>,
    place: Place,
}

impl<G: Policy> QueueTicket<G> {
    pub(crate) const fn new(
        queue: PriorityQueue<G>,
        demand: Option<G::Demand>,
        gates: Permit<G::Ticket>,
        place: Place,
    ) -> Self {
        Self {
            queue,
            demand,
            gates,
            place,
        }
    }

    /// What the gates gave.
    #[must_use]
    pub const fn gates(&self) -> Option<&G::Ticket> {
        self.gates.ticket()
    }

    pub(crate) fn release(self, now: &Now) {
        self.end(End::Released, now);
    }

    /// An adaptive limit hears of a call once: when the head comes, or when it ends without one.
    fn sample(&mut self, outcome: Outcome, now: &Now) {
        let Some(since) = self.place.since.take() else {
            return;
        };
        let Some(dropped) = Sample::dropped(outcome) else {
            return;
        };
        let sample = Sample {
            took: now.get().saturating_duration_since(since),
            in_flight: self.place.in_flight,
            dropped,
        };
        self.queue.sample(&sample, now);
    }
}

impl<G: Policy> Ticket for QueueTicket<G> {
    /// A head that is no success is final for the gates; the place is held on.
    fn head(&mut self, outcome: Outcome, now: &Now) {
        self.gates.head(outcome, now);
        if outcome != Outcome::Success {
            let gates = mem::replace(&mut self.gates, Permit::exempt());
            gates.end(End::Settled(outcome, None), now);
        }
        self.sample(outcome, now);
    }

    fn used(&mut self, usage: Usage, now: &Now) {
        self.gates.used(usage, now);
    }

    #[inline]
    fn end(mut self, end: End, now: &Now) {
        if let End::Settled(outcome, _) = end {
            self.sample(outcome, now);
        }
        let Self {
            queue,
            demand,
            gates,
            place,
        } = self;
        let _busy = gates.ticket().and_then(|_| queue.busy());
        match (end, demand) {
            (End::Released, Some(demand)) => queue.gates().release(&demand, gates, now),
            _ => gates.end(end, now),
        }
        queue.give_back(place, now);
    }

    fn shadowed(&self) -> bool {
        self.gates().is_some_and(Ticket::shadowed)
    }

    fn key(&self) -> Option<buttress_core::KeyHash> {
        self.gates().and_then(Ticket::key)
    }
}

impl<G: Policy> fmt::Debug for QueueTicket<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueTicket")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
