//! The waiting room: who waits for a limit, in which order they go, and when.
//!
//! A pure state machine. Requests wait in lines, one per key; where a limit is kept for all keys together,
//! those who wait for it go in order of arrival. A grant spends at once, in the room's order, whoever
//! happens to look first; so a waiter that nobody polls keeps nobody from going, and it gives its grant
//! back when it is dropped.
//!
//! Each waiter has a timer for the instant at which its turn was foreseen. Whoever is found to be next is
//! woken if its turn comes earlier than that, so that a turn is not slept through when somebody ahead has
//! left or units have come back.

mod both;

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Duration;

use buttress_core::{KeyHash, KeyMap, Reason, When};

use crate::decision::Refused;
use crate::forecast::{Waiting, timer_end};
use crate::ledger::{Ledger, Scope, line_of};
use crate::line::{Line, ONE_LINE};
use crate::outlook::Outlook;
use crate::waiter::{Arrival, BEHIND_OTHERS, Blocked, Turn, Waiter};

/// How many can wait at a limiter; one more is refused as if it would wait too long.
pub(crate) const MAX_WAITERS: usize = 1 << 20;

#[derive(Debug, Default)]
pub(crate) struct Room {
    /// By order of arrival.
    waiters: BTreeMap<u64, Waiter>,
    lines: KeyMap<Line>,
    /// How it all comes out, where limits are kept both per key and for all keys together.
    outlook: Outlook,
    next: u64,
    wakers: Vec<Waker>,
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
    pub(crate) fn arrive(&mut self, ledger: &impl Ledger, arrival: Arrival, now: u64) -> Turn {
        let scope = ledger.scope();
        let ticket = self.enter(scope, arrival, now);
        let blocked = self.dispatch(ledger, arrival.key, Some(ticket), now);
        if let Some(turn) = self.settled(ticket) {
            return turn;
        }
        let blocked = blocked.unwrap_or(BEHIND);
        let due = self.foresee(ledger, arrival.waiting(), now);
        if let Some((reason, when)) = self.refuses(arrival, due, now) {
            self.withdraw(scope, ticket);
            let refused = self.name(ledger, arrival, blocked, now);
            return Turn::Refused(reason, Refused { when, ..refused });
        }
        let start = timer_end(due.unwrap_or(now));
        if let Some(waiter) = self.waiters.get_mut(&ticket) {
            waiter.foreseen = start;
        }
        match self.lines.get_mut(&line_of(scope, arrival.key)) {
            Some(_) if scope == Scope::Both => self.outlook.planned(arrival.waiting(), start),
            Some(line) => line.planned(arrival.waiting(), start),
            None => {}
        }
        self.look_again(ticket, blocked, now)
    }

    /// Whether a newcomer would be granted at once. It does not stay.
    pub(crate) fn would_admit(
        &mut self,
        ledger: &impl Ledger,
        arrival: Arrival,
        now: u64,
    ) -> Result<(), Refused> {
        let blocked = self.dispatch(ledger, arrival.key, None, now);
        let scope = ledger.scope();
        let ticket = self.enter(scope, arrival, now);
        let due = self.foresee(ledger, arrival.waiting(), now);
        self.withdraw(scope, ticket);
        let when = match due {
            Some(due) if due == now => return Ok(()),
            Some(due) => When::After(Duration::from_nanos(due - now)),
            None => When::Never,
        };
        let refused = self.name(ledger, arrival, blocked.unwrap_or(BEHIND), now);
        Err(Refused { when, ..refused })
    }

    /// Looks whether it is one's turn.
    pub(crate) fn poll(
        &mut self,
        ledger: &impl Ledger,
        ticket: u64,
        waker: &Waker,
        now: u64,
    ) -> Turn {
        let Some(waiter) = self.waiters.get(&ticket) else {
            return Turn::Refused(Reason::RateLimit, BEHIND_OTHERS);
        };
        let key = waiter.arrival.key;
        let blocked = self.dispatch(ledger, key, Some(ticket), now);
        let expired = self.waiters.get_mut(&ticket).is_some_and(|w| w.expire(now));
        if expired {
            self.outlook.forget();
            self.leave_line(line_of(ledger.scope(), key), ticket);
        }
        if let Some(turn) = self.settled(ticket) {
            return turn;
        }
        if let Some(waiter) = self.waiters.get_mut(&ticket) {
            waiter.set_waker(waker);
        }
        self.look_again(ticket, blocked.unwrap_or(BEHIND), now)
    }

    /// Goes away, and those behind move up. A grant that was not taken is given back; true if so.
    pub(crate) fn leave(&mut self, ledger: &impl Ledger, ticket: u64, now: u64) -> bool {
        let Some(waiter) = self.waiters.remove(&ticket) else {
            return false;
        };
        let Arrival { key, cost, .. } = waiter.arrival;
        let granted = waiter.granted_at();
        if let Some(at) = granted {
            ledger.give_back(key, cost, at, now);
        }
        self.leave_line(line_of(ledger.scope(), key), ticket);
        self.outlook.forget();
        self.dispatch(ledger, key, None, now);
        granted.is_some()
    }

    /// Accounts have changed for another reason than time: a key's, or with none everybody's.
    pub(crate) fn accounts_changed(
        &mut self,
        ledger: &impl Ledger,
        key: Option<KeyHash>,
        now: u64,
    ) {
        self.outlook.forget();
        let keys = match (ledger.scope(), key) {
            (Scope::Keyed, Some(key)) => vec![key],
            (Scope::Keyed, None) => self.lines.keys().copied().collect(),
            (Scope::Global | Scope::Both, _) => vec![ONE_LINE],
        };
        for key in keys {
            if let Some(line) = self.lines.get_mut(&line_of(ledger.scope(), key)) {
                line.forget_plan();
            }
            self.dispatch(ledger, key, None, now);
        }
    }

    /// Everybody looks again.
    pub(crate) fn wake_all(&mut self) {
        let wakers = self.waiters.values().filter_map(Waiter::waker);
        self.wakers.extend(wakers.cloned());
    }

    /// Other limits are in force, so that others may wait behind whom.
    pub(crate) fn limits_changed(&mut self, ledger: &impl Ledger, now: u64) {
        self.lines.clear();
        let scope = ledger.scope();
        for (ticket, waiter) in &self.waiters {
            if waiter.is_waiting() {
                let line = line_of(scope, waiter.arrival.key);
                self.lines
                    .entry(line)
                    .or_default()
                    .waiting
                    .push_back(*ticket);
            }
        }
        self.accounts_changed(ledger, None, now);
    }

    fn enter(&mut self, scope: Scope, arrival: Arrival, now: u64) -> u64 {
        let ticket = self.next;
        self.next += 1;
        let line = self.lines.entry(line_of(scope, arrival.key)).or_default();
        line.waiting.push_back(ticket);
        self.waiters.insert(ticket, Waiter::new(arrival, now));
        ticket
    }

    /// Takes a newcomer out again for whom nothing was planned.
    fn withdraw(&mut self, scope: Scope, ticket: u64) {
        if let Some(waiter) = self.waiters.remove(&ticket) {
            let key = line_of(scope, waiter.arrival.key);
            if let Some(line) = self.lines.get_mut(&key) {
                line.waiting.pop_back();
            }
            self.close_if_empty(key);
        }
    }

    /// Whether somebody who would be granted at `due` is refused at once.
    fn refuses(&self, arrival: Arrival, due: Option<u64>, now: u64) -> Option<(Reason, When)> {
        let Some(due) = due else {
            return Some((Reason::RateLimit, When::Never));
        };
        let wait = due - now;
        if wait > arrival.wait || self.len() > MAX_WAITERS {
            let when = When::After(Duration::from_nanos(wait));
            return Some((Reason::RateLimit, when));
        }
        let too_late = arrival
            .deadline
            .is_some_and(|deadline| timer_end(due) >= deadline);
        too_late.then_some((Reason::Deadline, When::Unknown))
    }

    /// Which quotas refuse a newcomer: its own, or, if it would fit but for those ahead, theirs.
    fn name(&self, ledger: &impl Ledger, arrival: Arrival, blocked: Blocked, now: u64) -> Refused {
        let own = ledger.check(arrival.key, arrival.cost, now);
        own.err().unwrap_or(blocked.refused)
    }

    /// Takes a waiter out whose turn has come or will not come.
    fn settled(&mut self, ticket: u64) -> Option<Turn> {
        let turn = self.waiters.get(&ticket)?.turn()?;
        self.waiters.remove(&ticket);
        Some(turn)
    }

    fn leave_line(&mut self, key: KeyHash, ticket: u64) {
        if let Some(line) = self.lines.get_mut(&key) {
            line.waiting.retain(|waiting| *waiting != ticket);
            line.forget_plan();
        }
        self.close_if_empty(key);
    }

    fn close_if_empty(&mut self, key: KeyHash) {
        if self.lines.get(&key).is_some_and(|l| l.waiting.is_empty()) {
            self.lines.remove(&key);
        }
    }

    /// Grants whatever can be granted now, in order, and tells what holds back the one who asks.
    fn dispatch(
        &mut self,
        ledger: &impl Ledger,
        key: KeyHash,
        asks: Option<u64>,
        now: u64,
    ) -> Option<Blocked> {
        match ledger.scope() {
            Scope::Both => self.dispatch_all(ledger, asks, now),
            scope => self.dispatch_line(ledger, line_of(scope, key), asks, now),
        }
    }

    /// Whoever asks is the last to be served: those behind look for themselves, so that what is left just
    /// after an admission can be seen by whoever was admitted.
    fn dispatch_line(
        &mut self,
        ledger: &impl Ledger,
        key: KeyHash,
        asks: Option<u64>,
        now: u64,
    ) -> Option<Blocked> {
        let mut served = false;
        let mut blocked = None;
        while let Some(line) = self.lines.get_mut(&key)
            && let Some(head) = line.head()
            && let Some(waiter) = self.waiters.get_mut(&head)
        {
            let itself = asks == Some(head);
            if served && waiter.would_be_granted(ledger, now).is_ok() {
                self.wakers.extend(waiter.is_due(now));
                break;
            }
            if let Err(refused) = waiter.try_grant(ledger, now) {
                self.wakers.extend(waiter.is_next(&refused, now));
                blocked = Some(Blocked { refused, itself });
                break;
            }
            line.gone(waiter.went_as_foreseen());
            if waiter.granted_at().is_none() {
                line.forget_plan();
            }
            self.wakers.extend(waiter.take_waker().filter(|_| !itself));
            served = itself;
        }
        self.close_if_empty(key);
        blocked
    }

    fn look_again(&mut self, ticket: u64, blocked: Blocked, now: u64) -> Turn {
        match self.waiters.get_mut(&ticket) {
            Some(waiter) => Turn::At {
                ticket,
                instant: waiter.look_again(blocked, now),
            },
            None => Turn::Refused(Reason::RateLimit, blocked.refused),
        }
    }

    /// When the turn of the last in line comes if nobody else comes; none if never.
    fn foresee(&mut self, ledger: &impl Ledger, newcomer: Waiting, now: u64) -> Option<u64> {
        let Waiting { key, cost, .. } = newcomer;
        let scope = ledger.scope();
        if scope == Scope::Both {
            if let Some(due) = self.outlook.due(ledger, newcomer, now) {
                return due;
            }
            let waiting = self.waiters.values().filter(|w| w.is_waiting());
            let waiting: Vec<_> = waiting.map(Waiter::waiting).collect();
            return self.outlook.simulate(ledger, &waiting, now);
        }
        let line = self.lines.get_mut(&line_of(scope, key))?;
        if line.waiting.len() == 1 {
            let account = ledger.account(key, now);
            return ledger.forecast().earliest(key, &account, cost, now);
        }
        let waiters = &self.waiters;
        let mut tickets: Vec<_> = match line.has_plan() {
            true => Vec::new(),
            false => line.waiting.iter().copied().collect(),
        };
        tickets.pop();
        let ahead = tickets.iter().filter_map(|ticket| waiters.get(ticket));
        line.foresee(
            newcomer,
            ahead.map(Waiter::waiting),
            || (ledger.forecast(), ledger.account(key, now)),
            now,
        )
    }
}

/// Behind somebody, with nothing more to be said.
const BEHIND: Blocked = Blocked {
    refused: BEHIND_OTHERS,
    itself: false,
};
