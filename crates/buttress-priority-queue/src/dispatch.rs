//! Handing out places, and all that falls due.

use buttress_core::{Permit, Policy, Reason, Rejection, When};

use crate::gates::{Gates, Lack};
use crate::queue::{Key, Stand};
use crate::state::{Name, State, Step, Turn};

impl<G: Policy> State<G> {
    /// Does all that can be done now. A wait whose time is up ends only when its timer has: a place that
    /// becomes free at the same instant is still its own.
    pub(crate) fn advance(&mut self, gates: &Gates<G>, step: &Step<'_>, timer_ended: bool) {
        self.catch_up(gates, step);
        self.dispatch(gates, step);
        if timer_ended {
            // Whoever is held back by one whose time is up is asked before its own time is.
            while self.expire_next(step) {
                self.dispatch(gates, step);
            }
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
            self.leave_lines(id);
            self.queue.rise(id);
        }
        self.expire(step);
    }

    /// Ends the waits that have become too long or too late. One whose longest time ends now can still be
    /// granted a place.
    fn expire(&mut self, step: &Step<'_>) {
        if self.queue.next_expiry().is_none() {
            return;
        }
        let now = step.nanos();
        for id in self.queue.expired(now) {
            let Some(entry) = self.queue.get(id) else {
                continue;
            };
            if entry.arrival.deadline <= now || entry.arrival.patience < now {
                self.end_wait(id, step);
            }
        }
    }

    /// Ends one of the waits whose longest time ends now.
    fn expire_next(&mut self, step: &Step<'_>) -> bool {
        let now = step.nanos();
        let next = self.queue.next_to_expire(now);
        if let Some(id) = next {
            self.end_wait(id, step);
        }
        next.is_some()
    }

    fn end_wait(&mut self, id: u32, step: &Step<'_>) {
        let Some(entry) = self.queue.get(id) else {
            return;
        };
        let rejection = match entry.arrival.patience <= entry.arrival.deadline {
            true => {
                let ahead = self.queue.ahead_of(entry.level).max(1);
                self.rejection(Reason::QueueTimeout, ahead, step)
            }
            false => Rejection::new(Reason::Deadline, When::Unknown),
        };
        self.refuse(id, rejection);
    }

    /// Hands out what is free, the first in order first.
    pub(crate) fn dispatch(&mut self, gates: &Gates<G>, step: &Step<'_>) {
        while self.may_grant() {
            let due = self.lines.first_due();
            let ready = self.queue.peek();
            let next = match (due, ready) {
                (Some((key, id)), ready) if ready.is_none_or(|ready| key < ready) => {
                    self.leave_lines(id);
                    self.stand(id, Stand::Drawn(key));
                    Some((key, id))
                }
                (_, Some(_)) => {
                    let now = match self.queue.is_timed() {
                        true => step.nanos(),
                        false => 0,
                    };
                    let drawn = self.queue.draw(now, due.map(|(key, _)| key));
                    if drawn.is_none() && due.is_some() {
                        // Those who could not afford theirs were passed, and now it is somebody else's turn.
                        continue;
                    }
                    drawn
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
        let lacking = match gates.ask(Some(demand), step.now) {
            Ok(permit) => return self.grant(id, permit, partition, step),
            Err(refused) => gates.lacks(demand, refused, step.now, &mut self.lacks),
        };
        match lacking {
            Ok(()) => self.hold_back(key, id, step),
            Err(last_word) => self.refuse(id, last_word),
        }
    }

    /// Whoever was refused heads the lines of all that it lacks.
    fn hold_back(&mut self, key: Key, id: u32, step: &Step<'_>) {
        let mut first = None;
        for Lack { name, wait } in self.lacks.drain(..) {
            let retry = wait.map(|wait| step.at(buttress_core::time::later(step.now.get(), wait)));
            if let Name::Asked(limit) = name
                && !self.asked.contains(&limit)
            {
                let lines = &self.lines;
                self.asked.retain(|old| lines.contains(Name::Asked(*old)));
                self.asked.push(limit);
            }
            match first {
                None => first = Some(self.lines.block(name, key, id, retry)),
                Some(_) => self.lines.block_too(name, key, id, retry),
            }
        }
        if let Some(line) = first {
            self.stand(id, Stand::Held(key, line));
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
