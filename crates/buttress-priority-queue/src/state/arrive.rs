//! Somebody comes: it goes at once, waits, or is refused.

use std::time::Duration;

use buttress_core::{Policy, Reason, Rejection, When};

use super::{Arrived, Door, State, Step, Turn, Waiter, is_final};
use crate::demand::QueueDemand;
use crate::gates::Gates;
use crate::queue::Arrival;
use crate::settings::{Settings, nanos};

impl<G: Policy> State<G> {
    /// Somebody asks for a place.
    #[inline]
    pub(crate) fn arrive(
        &mut self,
        gates: &Gates<G>,
        demand: QueueDemand<G::Demand>,
        step: &Step<'_>,
    ) -> Arrived<G> {
        if self.door != Door::Open {
            return Arrived::Refused(Rejection::new(Reason::Overloaded, When::Unknown));
        }
        if demand
            .deadline
            .is_some_and(|deadline| deadline <= step.now.get())
        {
            return Arrived::Refused(Rejection::new(Reason::Deadline, When::Unknown));
        }
        if self.queue.is_empty()
            && self.may_grant()
            && self.lacks_place(demand.level, demand.partition).is_none()
        {
            match gates.ask(demand.gates.as_ref(), step.now) {
                Ok(permit) => {
                    let place = self.take_place(demand.partition, step);
                    return Arrived::Granted(permit, place, demand.gates);
                }
                Err(rejection) if is_final(&rejection) => return Arrived::Refused(rejection),
                Err(_) => {}
            }
        }
        self.arrive_behind(gates, demand, step)
    }

    fn arrive_behind(
        &mut self,
        gates: &Gates<G>,
        demand: QueueDemand<G::Demand>,
        step: &Step<'_>,
    ) -> Arrived<G> {
        self.catch_up(gates, step);
        let level = demand.level.min(self.settings.levels - 1);
        let may_go = self.may_grant();
        if !may_go {
            let first = self.queue.ahead_of(level) == 0;
            if let (true, Some(asked)) = (first, &demand.gates)
                && let Some(rejection) = gates.last_word(asked, step.now)
            {
                return Arrived::Refused(rejection);
            }
            if !self.has_room(level, 0, step) {
                return Arrived::Refused(self.full(level, step));
            }
        }
        let id = self.enter(demand, level, step);
        if may_go {
            self.dispatch(gates, step);
            if let Some(arrived) = self.settled(id) {
                self.appoint(gates);
                return arrived;
            }
            let (before, has_room) = (self.queue.len(), self.has_room(level, 1, step));
            if !has_room {
                self.withdraw(id);
                self.queue.forget(id);
            }
            if self.queue.len() < before {
                // Whom the one that has gone held back is asked.
                self.dispatch(gates, step);
            }
            if !has_room {
                self.appoint(gates);
                return Arrived::Refused(self.full(level, step));
            }
            if let Some(arrived) = self.settled(id) {
                self.appoint(gates);
                return arrived;
            }
        }
        self.appoint(gates);
        Arrived::Waits(id)
    }

    fn enter(&mut self, demand: QueueDemand<G::Demand>, level: u8, step: &Step<'_>) -> u32 {
        let Settings {
            max_wait,
            ageing,
            newest_first_after,
            ..
        } = &self.settings;
        let is_timed = max_wait.is_some() || ageing.is_some() || newest_first_after.is_some();
        let at = match is_timed {
            true => step.nanos(),
            false => 0,
        };
        let patience = max_wait.map_or(u64::MAX, |wait| at.saturating_add(nanos(wait)));
        let arrival = Arrival {
            level,
            tenant: demand.tenant,
            cost: demand.cost,
            at,
            patience,
            deadline: demand
                .deadline
                .map_or(u64::MAX, |deadline| step.at(deadline)),
        };
        let waiter = Waiter {
            demand: demand.gates,
            partition: demand.partition,
            waker: None,
            turn: Turn::Waiting,
        };
        self.queue.push(arrival, waiter)
    }

    /// Whether somebody of this level may wait, who may stand in the queue already and then counts as one.
    fn has_room(&mut self, level: u8, itself: usize, step: &Step<'_>) -> bool {
        if self.queue.came_with(level) - itself >= self.settings.most_of(level) {
            return false;
        }
        self.queue.len() - itself < self.settings.capacity || self.push_out(level, step)
    }

    /// Makes room for somebody of this level: the latest arrival of the lowest level goes, if that is lower.
    fn push_out(&mut self, level: u8, step: &Step<'_>) -> bool {
        match self.queue.last() {
            Some((lowest, victim)) if lowest < level => {
                let rejection = self.full(lowest, step);
                self.refuse(victim, rejection);
                true
            }
            _ => false,
        }
    }

    /// What somebody of this level is told for whom there is no room: until those ahead have gone.
    pub(crate) fn full(&self, level: u8, step: &Step<'_>) -> Rejection {
        let ahead = self.queue.ahead_of(level).max(1);
        self.rejection(Reason::QueueFull, ahead, step)
    }

    pub(crate) fn rejection(&self, reason: Reason, ahead: usize, step: &Step<'_>) -> Rejection {
        let wait = self.drain_rate.time_for(ahead, step.nanos());
        let when = wait.map_or(When::Unknown, |wait| {
            When::After(Duration::from_nanos(wait))
        });
        Rejection::new(reason, when)
    }
}
