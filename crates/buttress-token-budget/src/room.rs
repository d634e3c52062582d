//! The waiting room: who waits for a budget, in which order they go, and when.
//!
//! A pure state machine. All wait in order of arrival. A waiter whom its quotas refuse holds back those behind
//! it that need the same quota, and those with its own key, and nobody else: so a large request is not starved
//! by small ones, and a key that is used up keeps no other from going. A grant spends at once, whoever happens
//! to look first; a waiter that nobody polls keeps nobody from going, and gives its grant back when it is
//! dropped.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Duration;

use buttress_core::{Reason, When};

use crate::demand::BudgetDemand;
use crate::forecast::{Ahead, Forecast, Lines, timer_end};
use crate::step::Refused;

/// How many can wait at a budget by default; one more is refused as if it would wait too long.
pub const DEFAULT_WAITERS: usize = 1_024;

/// What the room asks of the real balances.
pub(crate) trait Ledger {
    /// Reserves and tells at which instant, or says why not.
    fn reserve(&self, demand: &BudgetDemand, now: u64) -> Result<u64, Refused>;

    /// Takes back what was reserved at `at` and never used.
    fn give_back(&self, demand: &BudgetDemand, at: u64, now: u64);

    /// The balances as they are, to try out what follows.
    fn forecast(&self, now: u64) -> Forecast<'_>;
}

/// Somebody who asks for a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) demand: BudgetDemand,
    /// How long it would wait, in nanoseconds.
    pub(crate) wait: u64,
    /// The instant from which on it is too late to start.
    pub(crate) deadline: u64,
}

/// How an arrival, or a look at one's turn, came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// What was asked for is reserved, at this instant.
    Granted { at: u64 },
    /// It will not be.
    Refused(Reason, Refused),
    /// Not yet: look again at this instant, or when woken.
    At { ticket: u64, instant: u64 },
}

#[derive(Debug, Default)]
pub(crate) struct Room {
    /// By order of arrival.
    waiters: BTreeMap<u64, Waiter>,
    next: u64,
    wakers: Vec<Waker>,
}

#[derive(Debug)]
struct Waiter {
    arrival: Arrival,
    arrived: u64,
    /// The last instant for which it came.
    patience: u64,
    /// When its turn comes, as was foreseen last.
    foreseen: u64,
    state: State,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Waiting,
    Granted {
        at: u64,
    },
    Refused(Reason, Refused),
    /// It has waited for as long as it would.
    Expired,
}

/// What somebody is refused with who is held back by those ahead.
const BEHIND_OTHERS: Refused = Refused {
    when: When::Unknown,
    quota: 0,
    violated: 0,
    scopes: 0,
};

impl Waiter {
    fn ahead(&self) -> Ahead {
        Ahead {
            demand: self.arrival.demand,
            last: self.last_instant(),
        }
    }

    /// When its wait ends in any case.
    fn last_instant(&self) -> u64 {
        self.patience.min(self.arrival.deadline)
    }

    /// A newcomer that need not wait is served even if it comes at its deadline.
    fn is_too_late(&self, now: u64) -> bool {
        now >= self.arrival.deadline && now > self.arrived
    }

    /// Reserves for it, or ends its wait; or says what holds it back.
    fn try_grant(&mut self, ledger: &impl Ledger, now: u64) -> Result<(), Refused> {
        if self.is_too_late(now) {
            self.state = State::Refused(Reason::Deadline, BEHIND_OTHERS);
            return Ok(());
        }
        match ledger.reserve(&self.arrival.demand, now) {
            Ok(at) => self.state = State::Granted { at },
            Err(refused) if refused.when == When::Never => {
                self.state = State::Refused(Reason::TokenBudget, refused);
            }
            Err(refused) if self.is_out_of_patience(now) => {
                self.state = State::Refused(Reason::TokenBudget, refused);
            }
            Err(refused) => return Err(refused),
        }
        Ok(())
    }

    /// A turn that comes at the last instant still counts; then it leaves.
    fn is_out_of_patience(&self, now: u64) -> bool {
        now >= self.patience && now > self.arrived
    }
}

impl Room {
    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Those to wake once the room's lock is dropped.
    pub(crate) fn take_wakers(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers)
    }

    /// Asks for a place.
    pub(crate) fn arrive(
        &mut self,
        ledger: &impl Ledger,
        arrival: Arrival,
        most: usize,
        now: u64,
    ) -> Turn {
        let ticket = self.next;
        self.next += 1;
        let waiter = Waiter {
            arrival,
            arrived: now,
            patience: now.saturating_add(arrival.wait),
            foreseen: now,
            state: State::Waiting,
            waker: None,
        };
        self.waiters.insert(ticket, waiter);
        let blocked = self.dispatch(ledger, Some(ticket), now);
        if let Some(turn) = self.settled(ledger, ticket, now) {
            return turn;
        }
        let due = self.foresee(ledger, ticket, &arrival.demand, now);
        if let Some((reason, when)) = self.refuses(arrival, due, most, now) {
            self.waiters.remove(&ticket);
            let refused = blocked.unwrap_or(BEHIND_OTHERS);
            return Turn::Refused(reason, Refused { when, ..refused });
        }
        self.look_again(ticket, due.unwrap_or(now), now)
    }

    /// Whether a newcomer would be granted at once.
    pub(crate) fn would_admit(
        &mut self,
        ledger: &impl Ledger,
        arrival: Arrival,
        now: u64,
    ) -> Result<(), Refused> {
        self.dispatch(ledger, None, now);
        let due = self.foresee(ledger, u64::MAX, &arrival.demand, now);
        let when = match due {
            Some(due) if due <= now => return Ok(()),
            Some(due) => When::After(Duration::from_nanos(due - now)),
            None => When::Never,
        };
        Err(Refused {
            when,
            ..BEHIND_OTHERS
        })
    }

    /// Looks whether it is one's turn.
    pub(crate) fn poll(
        &mut self,
        ledger: &impl Ledger,
        ticket: u64,
        waker: &Waker,
        now: u64,
    ) -> Turn {
        self.dispatch(ledger, Some(ticket), now);
        if let Some(turn) = self.settled(ledger, ticket, now) {
            return turn;
        }
        let Some(waiter) = self.waiters.get_mut(&ticket) else {
            return Turn::Refused(Reason::TokenBudget, BEHIND_OTHERS);
        };
        match &mut waiter.waker {
            Some(held) => held.clone_from(waker),
            held => *held = Some(waker.clone()),
        }
        let (demand, foreseen) = (waiter.arrival.demand, waiter.foreseen);
        let due = match foreseen > now {
            true => foreseen,
            false => self
                .foresee(ledger, ticket, &demand, now)
                .unwrap_or(u64::MAX),
        };
        self.look_again(ticket, due, now)
    }

    /// Goes away, and those behind move up. A grant that was not taken is given back.
    pub(crate) fn leave(&mut self, ledger: &impl Ledger, ticket: u64, now: u64) {
        let Some(waiter) = self.waiters.remove(&ticket) else {
            return;
        };
        if let State::Granted { at } = waiter.state {
            ledger.give_back(&waiter.arrival.demand, at, now);
        }
        self.changed(ledger, now);
    }

    /// Balances have changed for another reason than time, or who waits has.
    pub(crate) fn changed(&mut self, ledger: &impl Ledger, now: u64) {
        self.dispatch(ledger, None, now);
    }

    /// Everybody looks again.
    pub(crate) fn wake_all(&mut self) {
        let waiters = self.waiters.values_mut();
        self.wakers
            .extend(waiters.filter_map(|waiter| waiter.waker.take()));
    }

    /// Everybody is refused.
    pub(crate) fn close(&mut self) {
        for waiter in self.waiters.values_mut() {
            if matches!(waiter.state, State::Waiting) {
                waiter.state = State::Refused(Reason::TokenBudget, BEHIND_OTHERS);
                self.wakers.extend(waiter.waker.take());
            }
        }
    }

    fn refuses(
        &self,
        arrival: Arrival,
        due: Option<u64>,
        most: usize,
        now: u64,
    ) -> Option<(Reason, When)> {
        let Some(due) = due else {
            return Some((Reason::TokenBudget, When::Never));
        };
        let wait = due.saturating_sub(now);
        if wait > arrival.wait || self.len() > most {
            let when = When::After(Duration::from_nanos(wait));
            return Some((Reason::TokenBudget, when));
        }
        let too_late = timer_end(due) >= arrival.deadline;
        too_late.then_some((Reason::Deadline, When::Unknown))
    }

    /// Takes a waiter out whose turn has come or will not come.
    fn settled(&mut self, ledger: &impl Ledger, ticket: u64, now: u64) -> Option<Turn> {
        let waiter = self.waiters.get(&ticket)?;
        let demand = waiter.arrival.demand;
        let turn = match waiter.state {
            State::Waiting => return None,
            State::Granted { at } => Turn::Granted { at },
            State::Refused(reason, refused) => Turn::Refused(reason, refused),
            State::Expired => {
                let due = self.foresee(ledger, u64::MAX, &demand, now);
                let when = due.map_or(When::Never, |due| {
                    When::After(Duration::from_nanos(due.saturating_sub(now)))
                });
                Turn::Refused(
                    Reason::TokenBudget,
                    Refused {
                        when,
                        ..BEHIND_OTHERS
                    },
                )
            }
        };
        self.waiters.remove(&ticket);
        Some(turn)
    }

    /// Grants whatever can be granted now, in order, and tells what holds back the one who asks.
    fn dispatch(&mut self, ledger: &impl Ledger, asks: Option<u64>, now: u64) -> Option<Refused> {
        let mut lines = Lines::default();
        let mut own = None;
        for (&ticket, waiter) in &mut self.waiters {
            if !matches!(waiter.state, State::Waiting) {
                continue;
            }
            let keys = &waiter.arrival.demand.keys;
            if lines.hold(keys) {
                if waiter.is_too_late(now) {
                    waiter.state = State::Refused(Reason::Deadline, BEHIND_OTHERS);
                } else if waiter.is_out_of_patience(now) {
                    waiter.state = State::Expired;
                } else {
                    lines.block(keys, 0);
                    continue;
                }
            } else if let Err(refused) = waiter.try_grant(ledger, now) {
                lines.block(&waiter.arrival.demand.keys, refused.scopes);
                let due = now.saturating_add(refused.wait().unwrap_or(u64::MAX));
                if asks == Some(ticket) {
                    own = Some(refused);
                } else if due < waiter.foreseen {
                    // It is next, and earlier than its timer.
                    self.wakers.extend(waiter.waker.take());
                }
                waiter.foreseen = waiter.foreseen.min(due);
                continue;
            }
            if asks != Some(ticket) {
                self.wakers.extend(waiter.waker.take());
            }
        }
        own
    }

    fn look_again(&mut self, ticket: u64, due: u64, now: u64) -> Turn {
        let Some(waiter) = self.waiters.get_mut(&ticket) else {
            return Turn::Refused(Reason::TokenBudget, BEHIND_OTHERS);
        };
        waiter.foreseen = due;
        let instant = due.min(waiter.last_instant()).max(now.saturating_add(1));
        Turn::At { ticket, instant }
    }

    /// When a demand's turn comes behind all that came before `ticket`, if nobody else comes; none if never.
    fn foresee(
        &self,
        ledger: &impl Ledger,
        ticket: u64,
        demand: &BudgetDemand,
        now: u64,
    ) -> Option<u64> {
        let ahead = self.waiters.range(..ticket).map(|(_, waiter)| waiter);
        let waiting = ahead.filter(|waiter| matches!(waiter.state, State::Waiting));
        let ahead: Vec<_> = waiting.map(Waiter::ahead).collect();
        ledger.forecast(now).due(&ahead, demand, now)
    }
}
