//! The waiting room: who waits for a budget, in which order they go, and when.
//!
//! A pure state machine. A waiter whom its quotas refuse holds back those behind it that need the same quota, and
//! those with its own key, and nobody else ([`Lines`]): so a large request is not starved by small ones, and a
//! key that is used up keeps no other from going. A grant spends at once, whoever happens to look first; a
//! waiter that nobody polls keeps nobody from going, and gives its grant back when it is dropped.

use std::collections::HashMap;
use std::task::Waker;
use std::time::Duration;

use buttress_core::{KeyHash, Reason, When};

use crate::demand::BudgetDemand;
use crate::forecast::{Forecast, timer_end};
use crate::lines::{Gone, Lines, Member, Reserve};
use crate::step::Refused;

/// How many can wait at a budget by default; one more is refused as if it would wait too long.
pub const DEFAULT_WAITERS: usize = 65_536;

/// What the room asks of the real balances.
pub(crate) trait Ledger: Reserve {
    /// Takes back what was reserved at `at` and never used.
    fn give_back(&self, demand: &BudgetDemand, at: u64, now: u64);

    /// The balances as they are, to try out what follows.
    fn forecast(&self, now: u64) -> Forecast<'_>;

    /// Whether requests have one key only, so that those with another are none of their business.
    fn has_one_scope(&self) -> bool;
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
    lines: Lines,
    waiters: HashMap<u64, Waiter>,
    next: u64,
    wakers: Vec<Waker>,
    closed: bool,
}

#[derive(Debug)]
struct Waiter {
    demand: BudgetDemand,
    /// When its wait ends in any case.
    end: u64,
    /// When its turn comes, as was foreseen last.
    foreseen: u64,
    gone: Option<Gone>,
    waker: Option<Waker>,
}

/// What somebody is refused with who is held back by those ahead.
const BEHIND_OTHERS: Refused = Refused {
    when: When::Unknown,
    quota: 0,
    violated: 0,
    scope: 0,
};

/// The answer of a budget that was closed.
const CLOSED: Turn = Turn::Refused(
    Reason::Overloaded,
    Refused {
        when: When::Never,
        ..BEHIND_OTHERS
    },
);

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
        ledger: &mut impl Ledger,
        arrival: Arrival,
        most: usize,
        now: u64,
    ) -> Turn {
        if self.closed {
            return CLOSED;
        }
        let ticket = self.next;
        self.next += 1;
        let member = Member {
            demand: arrival.demand,
            arrived: now,
            patience: now.saturating_add(arrival.wait),
            deadline: arrival.deadline,
        };
        let waiter = Waiter {
            demand: arrival.demand,
            end: member.end(),
            foreseen: now,
            gone: None,
            waker: None,
        };
        self.lines.join(ticket, member);
        self.waiters.insert(ticket, waiter);
        let blocked = self.dispatch(ledger, Some(ticket), now);
        if let Some(turn) = self.settled(ledger, ticket, now) {
            return turn;
        }
        let due = self.foresee(ledger, ticket, &arrival.demand, now);
        if let Some((reason, when)) = self.refuses(arrival, due, most, now) {
            self.lines.leave(ticket);
            self.waiters.remove(&ticket);
            let refused = blocked.unwrap_or(BEHIND_OTHERS);
            return Turn::Refused(reason, Refused { when, ..refused });
        }
        self.look_again(ticket, due.unwrap_or(now), now)
    }

    /// Whether a newcomer would be granted at once.
    pub(crate) fn would_admit(
        &mut self,
        ledger: &mut impl Ledger,
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
        ledger: &mut impl Ledger,
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
        let (demand, foreseen) = (waiter.demand, waiter.foreseen);
        let due = match foreseen > now {
            true => foreseen,
            false => self
                .foresee(ledger, ticket, &demand, now)
                .unwrap_or(u64::MAX),
        };
        self.look_again(ticket, due, now)
    }

    /// Goes away, and those behind move up. A grant that was not taken is given back.
    pub(crate) fn leave(&mut self, ledger: &mut impl Ledger, ticket: u64, now: u64) {
        let Some(waiter) = self.waiters.remove(&ticket) else {
            return;
        };
        let key = waiter.demand.keys[0];
        if let Some(Gone::Granted { at }) = waiter.gone {
            ledger.give_back(&waiter.demand, at, now);
        }
        self.lines.leave(ticket);
        self.changed(ledger, Some(key), now);
    }

    /// The balances of a first key and its further ones have changed for another reason than time; or, with
    /// none, those of all.
    pub(crate) fn changed(&mut self, ledger: &mut impl Ledger, key: Option<KeyHash>, now: u64) {
        self.lines.changed(key);
        self.dispatch(ledger, None, now);
    }

    /// Everybody looks again.
    pub(crate) fn wake_all(&mut self) {
        let waiters = self.waiters.values_mut();
        self.wakers
            .extend(waiters.filter_map(|waiter| waiter.waker.take()));
    }

    /// Everybody is refused, and whoever still comes.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        for (ticket, waiter) in &mut self.waiters {
            if waiter.gone.is_none() {
                waiter.gone = Some(Gone::Closed);
                self.lines.leave(*ticket);
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
    fn settled(&mut self, ledger: &mut impl Ledger, ticket: u64, now: u64) -> Option<Turn> {
        let waiter = self.waiters.get(&ticket)?;
        let demand = waiter.demand;
        let turn = match waiter.gone? {
            Gone::Granted { at } => Turn::Granted { at },
            Gone::Refused(refused) => Turn::Refused(Reason::TokenBudget, refused),
            Gone::Closed => CLOSED,
            Gone::TooLate => Turn::Refused(Reason::Deadline, BEHIND_OTHERS),
            Gone::Expired => {
                let due = self.foresee(ledger, u64::MAX, &demand, now);
                let when = due.map_or(When::Never, |due| {
                    When::After(Duration::from_nanos(due.saturating_sub(now)))
                });
                let refused = Refused {
                    when,
                    ..BEHIND_OTHERS
                };
                Turn::Refused(Reason::TokenBudget, refused)
            }
        };
        self.waiters.remove(&ticket);
        Some(turn)
    }

    /// Grants whatever can be granted now, in order, and tells what holds back the one who asks.
    fn dispatch(
        &mut self,
        ledger: &mut impl Ledger,
        asks: Option<u64>,
        now: u64,
    ) -> Option<Refused> {
        let mut own = None;
        let (waiters, wakers) = (&mut self.waiters, &mut self.wakers);
        self.lines.advance(ledger, now, |ticket, answer| {
            let Some(waiter) = waiters.get_mut(&ticket) else {
                return;
            };
            let itself = asks == Some(ticket);
            let sooner = match answer {
                Ok(gone) => {
                    waiter.gone = Some(gone);
                    true
                }
                Err(refused) => {
                    own = own.or(itself.then_some(refused));
                    let due = now.saturating_add(refused.wait().unwrap_or(u64::MAX));
                    // It is next, and earlier than its timer.
                    let sooner = due < waiter.foreseen;
                    waiter.foreseen = waiter.foreseen.min(due);
                    sooner
                }
            };
            if sooner && !itself {
                wakers.extend(waiter.waker.take());
            }
        });
        own
    }

    fn look_again(&mut self, ticket: u64, due: u64, now: u64) -> Turn {
        let Some(waiter) = self.waiters.get_mut(&ticket) else {
            return Turn::Refused(Reason::TokenBudget, BEHIND_OTHERS);
        };
        // Those ahead may leave, and then it goes as soon as its own key has room.
        let due = self
            .lines
            .sleeps_until(ticket)
            .map_or(due, |own| own.min(due));
        waiter.foreseen = due;
        let instant = due.min(waiter.end).max(now.saturating_add(1));
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
        let key = ledger.has_one_scope().then_some(demand.keys[0]);
        let ahead = self.lines.ahead(ticket, key);
        ledger.forecast(now).due(ahead, demand, now)
    }
}
