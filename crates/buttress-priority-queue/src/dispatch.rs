//! Handing out places, and all that falls due.

use buttress_core::{Permit, Policy, Reason, Rejection, When};

use crate::gates::Gates;
use crate::queue::{Key, Stand};
use crate::state::{Name, State, Step, Turn, is_final};

impl<G: Policy> State<G> {
    /// Does all that can be done now. A wait whose time is up ends only when its timer has: a place that
    /// becomes free at the same instant is still its own.
    pub(crate) fn advance(&mut self, gates: &Gates<G>, step: &Step<'_>, timer_ended: bool) {
        self.catch_up(gates, step);
        self.dispatch(gates, step);
        // What one who leaves held back may go before the next one's time is up.
        while timer_ended && self.expire_next(step, true) {
            self.dispatch(gates, step);
        }
        self.appoint(gates);
    }

    /// What the time, and the gates, have brought about.
    pub(crate) fn catch_up(&mut self, gates: &Gates<G>, step: &Step<'_>) {
        if gates.notifier.take_changed() {
            self.lines.all_may_be_free();
        }
        if self.lines.next_retry().is_some() {
            self.lines.ripen(step.nanos());
        }
        if !self.queue.is_timed() {
            return;
        }
        let now = step.nanos();
        while let Some(id) = self.queue.next_to_rise(now) {
            if let Some(Stand::Held(key, line)) = self.queue.get(id).map(|entry| entry.stand) {
                self.lines.leave(line, key, id);
            }
            self.queue.rise(id);
        }
        self.expire(step);
    }

    /// Ends the waits that have become too long or too late.
    fn expire(&mut self, step: &Step<'_>) {
        while self.expire_next(step, false) {}
    }

    /// Ends the first wait that has become too long or too late, if there is one.
    fn expire_next(&mut self, step: &Step<'_>, also_now: bool) -> bool {
        if self.queue.next_expiry().is_none() {
            return false;
        }
        let now = step.nanos();
        let is_over = |id: &u32| {
            self.queue.get(*id).is_some_and(|entry| {
                let (patience, deadline) = (entry.arrival.patience, entry.arrival.deadline);
                deadline <= now || patience < now || also_now && patience == now
            })
        };
        let Some(id) = self.queue.expired(now).find(is_over) else {
            return false;
        };
        let rejection = match self.queue.get(id) {
            Some(entry) if entry.arrival.patience <= entry.arrival.deadline => {
                let ahead = self.queue.ahead_of(entry.level).max(1);
                self.rejection(Reason::QueueTimeout, ahead, step)
            }
            _ => Rejection::new(Reason::Deadline, When::Unknown),
        };
        self.refuse(id, rejection);
        true
    }

    /// Hands out what is free, the first in order first.
    pub(crate) fn dispatch(&mut self, gates: &Gates<G>, step: &Step<'_>) {
        while self.may_grant() {
            let due = self.lines.first_due();
            let ready = self.queue.peek();
            let next = match (due, ready) {
                (Some((key, id, line)), ready) if ready.is_none_or(|ready| key < ready) => {
                    self.lines.leave(line, key, id);
                    self.stand(id, Stand::Drawn(key));
                    Some((key, id))
                }
                (_, Some(_)) => {
                    let now = match self.queue.is_timed() {
                        true => step.nanos(),
                        false => 0,
                    };
                    self.queue.draw(now)
                }
                _ => None,
            };
            let Some((key, id)) = next else { return };
            self.decide(gates, key, id, step);
        }
    }

    /// Decides about the one whose turn it is.
    fn decide(&mut self, gates: &Gates<G>, key: Key, id: u32, step: &Step<'_>) {
        let Some(entry) = self.queue.get(id) else {
            return;
        };
        let partition = entry.value.partition;
        if let Some(name) = self.lacks_place(entry.arrival.level, partition) {
            let line = self.lines.block(name, key, id, None);
            return self.stand(id, Stand::Held(key, line));
        }
        let Some(demand) = &entry.value.demand else {
            return self.grant(id, Permit::exempt(), partition, step);
        };
        if let Some(name) = gates.held_by(demand, key, &self.lines, &self.asked) {
            let line = self.lines.join(name, key, id);
            return self.stand(id, Stand::Held(key, line));
        }
        match gates.ask(Some(demand), step.now) {
            Ok(permit) => self.grant(id, permit, partition, step),
            Err(rejection) if is_final(&rejection) => self.refuse(id, rejection),
            Err(rejection) => {
                let name = gates.name_of(demand, &rejection);
                let retry = rejection.retry_after();
                let retry =
                    retry.map(|wait| step.at(buttress_core::time::later(step.now.get(), wait)));
                if let Name::Asked(limit) = name
                    && !self.asked.contains(&limit)
                {
                    let lines = &self.lines;
                    self.asked.retain(|old| lines.contains(Name::Asked(*old)));
                    self.asked.push(limit);
                }
                let line = self.lines.block(name, key, id, retry);
                self.stand(id, Stand::Held(key, line));
            }
        }
    }

    fn stand(&mut self, id: u32, stand: Stand) {
        if let Some(entry) = self.queue.get_mut(id) {
            entry.stand = stand;
        }
    }

    fn grant(&mut self, id: u32, permit: Permit<G::Ticket>, partition: usize, step: &Step<'_>) {
        let place = self.take_place(partition, step);
        self.queue.remove(id, true);
        self.after_leaving(id);
        if self.drain_rate.departed() {
            match self.queue.is_empty() {
                true => self.drain_rate.idle(),
                false => self.drain_rate.measure(step.nanos()),
            }
        }
        self.settle(id, Turn::Granted(permit, place));
    }

    /// When something falls due that nobody else brings about: the end of a wait, or, while a place is free,
    /// the time of somebody who is held back.
    pub(crate) fn next_due(&self) -> u64 {
        let expiry = self.queue.next_expiry().unwrap_or(u64::MAX);
        if !self.may_grant() || self.lines.is_empty() {
            return expiry;
        }
        let retry = self.lines.next_retry().unwrap_or(u64::MAX);
        let rise = self.queue.next_rise().unwrap_or(u64::MAX);
        expiry.min(retry).min(rise)
    }

    /// Whether one of those who wait must attend to the queue.
    pub(crate) fn needs_attendant(&self) -> bool {
        !self.lines.is_empty() || self.queue.next_expiry().is_some()
    }

    /// Sees to it that somebody attends: the one who waits longest, as far as that can be known. It sets its
    /// timer when it is polled.
    pub(crate) fn appoint(&mut self, gates: &Gates<G>) {
        if !self.needs_attendant() {
            self.attendant = None;
            if self.is_heard {
                self.hear(gates, None);
            }
            return;
        }
        let due = self.next_due();
        if self.attendant.is_some() && due >= self.armed {
            return;
        }
        let chosen = self
            .attendant
            .or_else(|| self.queue.last().map(|(_, id)| id));
        let waker = chosen.and_then(|id| self.queue.get(id)?.value.waker.clone());
        if let (Some(id), Some(waker)) = (chosen, waker) {
            self.attendant = Some(id);
            self.armed = due;
            self.hear(gates, Some(waker.clone()));
            self.wakers.push(waker);
        }
    }
}
