//! The waiting room: who waits for a limit, in which order they go, and when.
//!
//! A pure state machine. Requests wait in lines, one per key; where a limit is kept for all keys together,
//! those who wait for it go in order of arrival. A grant spends at once, in the room's order, whoever
//! happens to look first; so a waiter that nobody polls delays nobody else, and it gives its grant back
//! when it is dropped.
//!
//! Each waiter has a timer for the instant at which its turn was foreseen. Whoever comes to the head of a
//! line is woken, so that a turn that comes earlier (somebody left) is not slept through.

use std::collections::{BTreeMap, HashMap};
use std::task::Waker;
use std::time::Duration;

use buttress_core::{KeyHash, Reason, When};

use crate::account::Account;
use crate::decision::Refused;
use crate::forecast::{Forecast, Waiting, simulate, timer_end};
use crate::line::{Line, ONE_LINE};

/// How many can wait at a limiter; one more is refused as if it would wait too long.
pub(crate) const MAX_WAITERS: usize = 1 << 20;

/// The real accounts.
pub(crate) trait Ledger {
    /// Spends `cost`, or says why not.
    fn spend(&self, key: KeyHash, cost: u64, now: u64) -> Result<(), Refused>;

    /// Takes back what was spent at `spent_at` and never used.
    fn give_back(&self, key: KeyHash, cost: u64, spent_at: u64, now: u64);

    /// The settings, and a copy of the account of all keys together.
    fn forecast(&self) -> Forecast;

    /// A copy of a key's account.
    fn account(&self, key: KeyHash) -> Account;

    /// Who waits behind whom.
    fn scope(&self) -> Scope;
}

/// What limits are kept by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Per key: every key has a line of its own.
    Keyed,
    /// For all keys together: there is one line.
    Global,
    /// Both.
    Both,
}

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

#[derive(Debug, Default)]
pub(crate) struct Room {
    /// By order of arrival.
    waiters: BTreeMap<u64, Waiter>,
    lines: HashMap<KeyHash, Line>,
    next: u64,
    wakers: Vec<Waker>,
}

#[derive(Debug)]
struct Waiter {
    arrival: Arrival,
    arrived: u64,
    /// The last instant for which it came.
    patience: u64,
    foreseen: u64,
    /// It was told that it is next, and no longer relies on what was foreseen.
    at_head: bool,
    state: State,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Waiting,
    Granted { at: u64 },
    Refused(Reason, Refused),
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
        let ticket = self.enter(ledger, arrival, now);
        let blocked = self.dispatch(ledger, ticket, now);
        if let Some(turn) = self.settled(ticket) {
            return turn;
        }
        // Somebody who is held back without an own refusal waits behind others.
        let blocked = blocked.unwrap_or(BEHIND_OTHERS);
        let due = self.foresee(ledger, ticket, now);
        if let Some((reason, when)) = self.refuses(arrival, due, now) {
            self.remove(ledger, ticket);
            return Turn::Refused(reason, Refused { when, ..blocked });
        }
        let start = timer_end(due.unwrap_or(now));
        if let Some(waiter) = self.waiters.get_mut(&ticket) {
            waiter.foreseen = start;
        }
        let line = line_of(ledger.scope(), arrival.key);
        if let Some(line) = self.lines.get_mut(&line) {
            line.planned(arrival.waiting(), start);
        }
        self.look_again(ticket, &blocked, now)
    }

    /// Looks whether it is one's turn.
    pub(crate) fn poll(
        &mut self,
        ledger: &impl Ledger,
        ticket: u64,
        waker: &Waker,
        now: u64,
    ) -> Turn {
        let blocked = self.dispatch(ledger, ticket, now);
        let expired = self
            .waiters
            .get_mut(&ticket)
            .is_some_and(|waiter| waiter.expire(now));
        if expired {
            self.leave_line(
                line_of(ledger.scope(), self.waiters[&ticket].arrival.key),
                ticket,
            );
        }
        if let Some(turn) = self.settled(ticket) {
            return turn;
        }
        if let Some(waiter) = self.waiters.get_mut(&ticket) {
            match &mut waiter.waker {
                Some(held) => held.clone_from(waker),
                held => *held = Some(waker.clone()),
            }
        }
        self.look_again(ticket, &blocked.unwrap_or(BEHIND_OTHERS), now)
    }

    /// Goes away. A grant that was not taken is given back.
    pub(crate) fn leave(&mut self, ledger: &impl Ledger, ticket: u64, now: u64) {
        let Some(waiter) = self.remove(ledger, ticket) else {
            return;
        };
        let Arrival { key, cost, .. } = waiter.arrival;
        let line = line_of(ledger.scope(), key);
        if let State::Granted { at } = waiter.state {
            ledger.give_back(key, cost, at, now);
        }
        if let Some(line) = self.lines.get_mut(&line) {
            line.forget_plan();
        }
        self.wake_heads(ledger.scope(), line, None);
    }

    /// The accounts or the limits have changed for another reason than time: everybody looks again.
    pub(crate) fn accounts_changed(&mut self, ledger: &impl Ledger) {
        self.lines.clear();
        let scope = ledger.scope();
        for (ticket, waiter) in &mut self.waiters {
            if let State::Waiting = waiter.state {
                let line = line_of(scope, waiter.arrival.key);
                self.lines
                    .entry(line)
                    .or_default()
                    .waiting
                    .push_back(*ticket);
                waiter.at_head = true;
                self.wakers.extend(waiter.waker.clone());
            }
        }
    }

    fn enter(&mut self, ledger: &impl Ledger, arrival: Arrival, now: u64) -> u64 {
        let ticket = self.next;
        self.next += 1;
        let line = line_of(ledger.scope(), arrival.key);
        self.lines
            .entry(line)
            .or_default()
            .waiting
            .push_back(ticket);
        let waiter = Waiter {
            arrival,
            arrived: now,
            patience: now.saturating_add(arrival.wait),
            foreseen: now,
            at_head: false,
            state: State::Waiting,
            waker: None,
        };
        self.waiters.insert(ticket, waiter);
        ticket
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

    /// Takes a waiter out whose turn has come or will not come.
    fn settled(&mut self, ticket: u64) -> Option<Turn> {
        let turn = match self.waiters.get(&ticket)?.state {
            State::Waiting => return None,
            State::Granted { at } => Turn::Granted { at },
            State::Refused(reason, refused) => Turn::Refused(reason, refused),
        };
        self.waiters.remove(&ticket);
        Some(turn)
    }

    fn remove(&mut self, ledger: &impl Ledger, ticket: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&ticket)?;
        if let State::Waiting = waiter.state {
            self.leave_line(line_of(ledger.scope(), waiter.arrival.key), ticket);
        }
        Some(waiter)
    }

    fn leave_line(&mut self, line: KeyHash, ticket: u64) {
        if let Some(line) = self.lines.get_mut(&line) {
            line.waiting.retain(|waiting| *waiting != ticket);
        }
        self.close_if_empty(line);
    }

    fn close_if_empty(&mut self, line: KeyHash) {
        if self
            .lines
            .get(&line)
            .is_some_and(|line| line.waiting.is_empty())
        {
            self.lines.remove(&line);
        }
    }

    /// Grants whatever can be granted now, in order, and tells what holds back the one who asks.
    fn dispatch(&mut self, ledger: &impl Ledger, asks: u64, now: u64) -> Option<Refused> {
        let key = self.waiters.get(&asks)?.arrival.key;
        match ledger.scope() {
            Scope::Both => self.dispatch_all(ledger, asks, key, now),
            scope => self.dispatch_line(ledger, line_of(scope, key), asks, now),
        }
    }

    fn dispatch_line(
        &mut self,
        ledger: &impl Ledger,
        line: KeyHash,
        asks: u64,
        now: u64,
    ) -> Option<Refused> {
        let mut blocked = None;
        while let Some(head) = self.lines.get(&line).and_then(Line::head) {
            blocked = self.waiters.get_mut(&head).and_then(|waiter| {
                let blocked = waiter.try_grant(ledger, now).err();
                if blocked.is_none() {
                    self.wakers.extend(waiter.waker.take());
                }
                blocked
            });
            if blocked.is_some() {
                break;
            }
            let as_foreseen = self.waiters.get(&head).is_some_and(|w| w.foreseen == now);
            if let Some(line) = self.lines.get_mut(&line) {
                line.granted(as_foreseen);
            }
        }
        self.close_if_empty(line);
        self.wake_heads(ledger.scope(), line, Some(asks));
        blocked
    }

    /// Those who wait for their own key's limit hold back only those behind them with the same key;
    /// whoever waits for the limit of all keys together holds back everyone behind.
    fn dispatch_all(
        &mut self,
        ledger: &impl Ledger,
        asks: u64,
        key: KeyHash,
        now: u64,
    ) -> Option<Refused> {
        let mut held_back: HashMap<KeyHash, Refused> = HashMap::new();
        let mut everyone = None;
        let mut done = Vec::new();
        for (&ticket, waiter) in &mut self.waiters {
            let key = waiter.arrival.key;
            if !matches!(waiter.state, State::Waiting) || held_back.contains_key(&key) {
                continue;
            }
            match waiter.try_grant(ledger, now) {
                Ok(()) => {
                    self.wakers.extend(waiter.waker.take());
                    done.push((ticket, key));
                }
                Err(refused) if refused.global => {
                    everyone = Some((ticket, refused));
                    break;
                }
                Err(refused) => {
                    held_back.insert(key, refused);
                }
            }
        }
        for (ticket, line) in done {
            self.leave_line(line, ticket);
            self.wake_heads(Scope::Both, line, Some(asks));
        }
        self.wake_head(everyone.map(|(ticket, _)| ticket), Some(asks));
        let by_key = held_back.get(&key).copied();
        by_key.or(everyone.map(|(_, refused)| refused))
    }

    /// Wakes whoever has newly come to the head of the line, and, where lines wait for each other, whoever
    /// has newly become the first of all.
    fn wake_heads(&mut self, scope: Scope, line: KeyHash, except: Option<u64>) {
        let head = self.lines.get(&line).and_then(Line::head);
        self.wake_head(head, except);
        if scope == Scope::Both {
            let first = self.lines.values().filter_map(Line::head).min();
            self.wake_head(first, except);
        }
    }

    fn wake_head(&mut self, head: Option<u64>, except: Option<u64>) {
        let Some(waiter) = head.and_then(|head| self.waiters.get_mut(&head)) else {
            return;
        };
        if !std::mem::replace(&mut waiter.at_head, true) && head != except {
            self.wakers.extend(waiter.waker.clone());
        }
    }

    fn look_again(&self, ticket: u64, blocked: &Refused, now: u64) -> Turn {
        let Some(waiter) = self.waiters.get(&ticket) else {
            return Turn::Refused(Reason::RateLimit, *blocked);
        };
        let due = now.saturating_add(blocked.wait().unwrap_or(u64::MAX));
        let instant = match waiter.at_head || waiter.foreseen <= now {
            true => due,
            false => waiter.foreseen,
        };
        // One nanosecond, because a turn that comes at the last instant still counts.
        let patience = waiter.patience.saturating_add(1).max(now.saturating_add(1));
        let deadline = waiter.arrival.deadline.unwrap_or(u64::MAX);
        Turn::At {
            ticket,
            instant: instant.min(deadline).min(patience),
        }
    }

    /// When a waiter's turn comes if nobody else comes; none if never.
    fn foresee(&mut self, ledger: &impl Ledger, ticket: u64, now: u64) -> Option<u64> {
        let newcomer = self.waiters.get(&ticket)?.arrival.waiting();
        let Waiting { key, cost } = newcomer;
        let scope = ledger.scope();
        if scope == Scope::Both {
            let waiting = self
                .waiters
                .values()
                .filter(|w| matches!(w.state, State::Waiting));
            let waiting: Vec<_> = waiting.map(|waiter| waiter.arrival.waiting()).collect();
            let accounts = waiting.iter().map(|w| (w.key, ledger.account(w.key)));
            return simulate(ledger.forecast(), accounts.collect(), &waiting, now);
        }
        let line = self.lines.get_mut(&line_of(scope, key))?;
        if line.waiting.len() == 1 {
            return ledger
                .forecast()
                .earliest(key, &ledger.account(key), cost, now);
        }
        let waiters = &self.waiters;
        let tickets: Vec<_> = match line.has_plan() {
            true => Vec::new(),
            false => line
                .waiting
                .iter()
                .copied()
                .filter(|&t| t != ticket)
                .collect(),
        };
        let ahead = tickets.iter().filter_map(|ticket| waiters.get(ticket));
        line.foresee(
            newcomer,
            ahead.map(|waiter| waiter.arrival.waiting()),
            || (ledger.forecast(), ledger.account(key)),
            now,
        )
    }
}

impl Waiter {
    /// Grants it, or refuses it if its turn will not come any more; or says what holds it back.
    fn try_grant(&mut self, ledger: &impl Ledger, now: u64) -> Result<(), Refused> {
        if self.is_too_late(now) {
            self.state = State::Refused(Reason::Deadline, BEHIND_OTHERS);
            return Ok(());
        }
        let Arrival { key, cost, .. } = self.arrival;
        match ledger.spend(key, cost, now) {
            Ok(()) => self.state = State::Granted { at: now },
            Err(refused) if refused.when == When::Never || now > self.patience => {
                self.state = State::Refused(Reason::RateLimit, refused);
            }
            Err(refused) => return Err(refused),
        }
        Ok(())
    }

    /// Refuses it if it has waited for too long behind others.
    fn expire(&mut self, now: u64) -> bool {
        if !matches!(self.state, State::Waiting) {
            return false;
        }
        let reason = match self.is_too_late(now) {
            true => Reason::Deadline,
            false if now > self.patience => Reason::RateLimit,
            false => return false,
        };
        self.state = State::Refused(reason, BEHIND_OTHERS);
        true
    }

    /// A newcomer that need not wait is served even if it comes at its deadline.
    fn is_too_late(&self, now: u64) -> bool {
        let deadline = self.arrival.deadline.unwrap_or(u64::MAX);
        now >= deadline && now > self.arrived
    }
}

impl Arrival {
    fn waiting(&self) -> Waiting {
        Waiting {
            key: self.key,
            cost: self.cost,
        }
    }
}

/// What somebody is refused with who is held back by those ahead.
const BEHIND_OTHERS: Refused = Refused {
    when: When::Unknown,
    quota: 0,
    violated: 0,
    global: false,
};

fn line_of(scope: Scope, key: KeyHash) -> KeyHash {
    match scope {
        Scope::Global => ONE_LINE,
        Scope::Keyed | Scope::Both => key,
    }
}
