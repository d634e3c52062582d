//! Somebody who waits: what for, for how long, and how it came out.

use std::task::Waker;

use buttress_core::{KeyHash, Reason, When};

use crate::ask::RateDemand;
use crate::decision::Refused;
use crate::forecast::Waiting;
use crate::ledger::Ledger;

/// Somebody who asks for a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) key: KeyHash,
    pub(crate) cost: u64,
    /// How long it would wait, in nanoseconds.
    pub(crate) wait: u64,
    /// The instant from which on it is too late to start.
    pub(crate) deadline: Option<u64>,
}

/// How an arrival, or a look at one's turn, came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// What was asked for is spent, at this instant.
    Granted {
        at: u64,
    },
    Refused(Reason, Refused),
    /// Not yet: look again at this instant, or when woken.
    At {
        ticket: u64,
        instant: u64,
    },
}

#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) arrival: Arrival,
    arrived: u64,
    /// The last instant for which it came.
    patience: u64,
    /// When its turn comes, as was foreseen when it came.
    pub(crate) foreseen: u64,
    /// The instant of its timer, or an earlier one for which it was woken to set it.
    armed: u64,
    state: State,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Waiting,
    Granted { at: u64 },
    Refused(Reason, Refused),
}

/// What somebody is refused with who is held back by those ahead.
pub(crate) const BEHIND_OTHERS: Refused = Refused {
    when: When::Unknown,
    quota: 0,
    violated: 0,
    global: false,
};

/// What holds a waiter back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocked {
    pub(crate) refused: Refused,
    /// It was the waiter itself that was refused, and not somebody ahead of it.
    pub(crate) itself: bool,
}

impl Arrival {
    /// Somebody who takes what is free, with those who wait ahead.
    pub(crate) fn without_waiting(demand: &RateDemand) -> Self {
        Self {
            key: demand.key,
            cost: demand.cost,
            wait: 0,
            deadline: None,
        }
    }

    /// A newcomer, as a forecast sees it: one that stays for however long it takes.
    pub(crate) fn waiting(&self) -> Waiting {
        Waiting {
            key: self.key,
            cost: self.cost,
            patience: u64::MAX,
            deadline: u64::MAX,
        }
    }
}

impl Waiter {
    pub(crate) fn new(arrival: Arrival, now: u64) -> Self {
        Self {
            arrival,
            arrived: now,
            patience: now.saturating_add(arrival.wait),
            foreseen: now,
            armed: now,
            state: State::Waiting,
            waker: None,
        }
    }

    pub(crate) fn waiting(&self) -> Waiting {
        Waiting {
            patience: self.patience,
            deadline: self.arrival.deadline.unwrap_or(u64::MAX),
            ..self.arrival.waiting()
        }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting)
    }

    /// When it was granted, if it was.
    pub(crate) fn granted_at(&self) -> Option<u64> {
        match self.state {
            State::Granted { at } => Some(at),
            State::Waiting | State::Refused(..) => None,
        }
    }

    /// Whether it was granted at the very instant that was foreseen.
    pub(crate) fn went_as_foreseen(&self) -> bool {
        self.granted_at() == Some(self.foreseen)
    }

    /// How its wait came out, if it has.
    pub(crate) fn turn(&self) -> Option<Turn> {
        match self.state {
            State::Waiting => None,
            State::Granted { at } => Some(Turn::Granted { at }),
            State::Refused(reason, refused) => Some(Turn::Refused(reason, refused)),
        }
    }

    /// Grants it, or refuses it if its turn will not come any more; or says what holds it back.
    pub(crate) fn try_grant(&mut self, ledger: &impl Ledger, now: u64) -> Result<(), Refused> {
        if self.is_too_late(now) {
            self.state = State::Refused(Reason::Deadline, BEHIND_OTHERS);
            return Ok(());
        }
        let Arrival { key, cost, .. } = self.arrival;
        match ledger.spend(key, cost, now) {
            Ok(at) => self.state = State::Granted { at },
            Err(refused) if refused.when == When::Never || self.is_out_of_patience(now) => {
                self.state = State::Refused(Reason::RateLimit, refused);
            }
            Err(refused) => return Err(refused),
        }
        Ok(())
    }

    /// Refuses it if it has waited for too long behind others.
    pub(crate) fn expire(&mut self, now: u64) -> bool {
        if !self.is_waiting() {
            return false;
        }
        let reason = match self.is_too_late(now) {
            true => Reason::Deadline,
            false if self.is_out_of_patience(now) => Reason::RateLimit,
            false => return false,
        };
        self.state = State::Refused(reason, BEHIND_OTHERS);
        true
    }

    /// When to look again.
    pub(crate) fn look_again(&mut self, blocked: Blocked, now: u64) -> u64 {
        self.armed = match blocked.itself || self.foreseen <= now {
            true => self.due(&blocked.refused, now),
            false => self.last_instant(now).min(self.foreseen),
        };
        self.armed
    }

    /// It was refused, and so is next; the waker if that is earlier than its timer.
    pub(crate) fn is_next(&mut self, refused: &Refused, now: u64) -> Option<Waker> {
        let due = self.due(refused, now);
        if due >= self.armed {
            return None;
        }
        self.armed = due;
        self.waker.clone()
    }

    pub(crate) fn set_waker(&mut self, waker: &Waker) {
        match &mut self.waker {
            Some(held) => held.clone_from(waker),
            held => *held = Some(waker.clone()),
        }
    }

    pub(crate) fn waker(&self) -> Option<&Waker> {
        self.waker.as_ref()
    }

    pub(crate) fn take_waker(&mut self) -> Option<Waker> {
        self.waker.take()
    }

    fn due(&self, refused: &Refused, now: u64) -> u64 {
        let due = now.saturating_add(refused.wait().unwrap_or(u64::MAX));
        self.last_instant(now).min(due)
    }

    /// When its wait ends in any case.
    fn last_instant(&self, now: u64) -> u64 {
        let patience = self.patience.max(now.saturating_add(1));
        self.arrival.deadline.unwrap_or(u64::MAX).min(patience)
    }

    /// A turn that comes at the last instant still counts; then it leaves.
    fn is_out_of_patience(&self, now: u64) -> bool {
        now >= self.patience && now > self.arrived
    }

    /// Whether it could be granted now; nothing is spent.
    pub(crate) fn would_be_granted(&self, ledger: &impl Ledger, now: u64) -> Result<(), Refused> {
        ledger.check(self.arrival.key, self.arrival.cost, now)
    }

    /// It is its turn; the waker if its timer does not end now.
    pub(crate) fn is_due(&mut self, now: u64) -> Option<Waker> {
        if self.armed <= now {
            return None;
        }
        self.armed = now;
        self.waker.clone()
    }

    /// A newcomer that need not wait is served even if it comes at its deadline.
    fn is_too_late(&self, now: u64) -> bool {
        let deadline = self.arrival.deadline.unwrap_or(u64::MAX);
        now >= deadline && now > self.arrived
    }
}
