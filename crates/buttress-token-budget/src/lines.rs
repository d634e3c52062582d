//! Who waits behind whom, and who goes next.
//!
//! Pure: neither lock nor clock. Those with the same first key stand in one line, in order of arrival, and only
//! the first of a line is asked. One that its own key refuses sleeps until that key has room, and holds back its
//! line and nobody else. One that a further key refuses, or the limits of all, holds back all who came later and
//! have that key. What is asked of how many therefore does not depend on how many wait.
//!
//! The waiting room runs this on the real balances, and a forecast on copies of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use buttress_core::{KeyHash, When};

use crate::demand::BudgetDemand;
use crate::dimension::Amounts;
use crate::step::Refused;

/// Where what is asked for is reserved.
pub(crate) trait Reserve {
    /// Reserves and tells at which instant, or says why not.
    fn reserve(&mut self, demand: &BudgetDemand, now: u64) -> Result<u64, Refused>;

    /// Whether all requests have the same key in a scope.
    fn is_global(&self, scope: usize) -> bool;

    /// When the limits of all requests together have room for so much; now if there are none.
    fn room_for_all(&mut self, amounts: &Amounts, now: u64) -> u64;
}

/// Somebody who waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) demand: BudgetDemand,
    pub(crate) arrived: u64,
    /// The last instant for which it came.
    pub(crate) patience: u64,
    /// The instant from which on it is too late to start.
    pub(crate) deadline: u64,
}

impl Member {
    /// When its wait ends in any case.
    pub(crate) fn end(&self) -> u64 {
        self.patience.min(self.deadline)
    }

    /// A newcomer that need not wait is served even if it comes at its deadline.
    fn is_too_late(&self, now: u64) -> bool {
        now >= self.deadline && now > self.arrived
    }

    /// A turn that comes at the last instant still counts; then it leaves.
    fn is_out_of_patience(&self, now: u64) -> bool {
        now >= self.patience && now > self.arrived
    }
}

/// How a wait came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// What was asked for is reserved, at this instant.
    Granted { at: u64 },
    /// It never fits, or has waited for as long as it would.
    Refused(Refused),
    /// It has waited for as long as it would, behind others.
    Expired,
    /// Its deadline has come.
    TooLate,
    /// The budget was closed.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Lines {
    /// By order of arrival.
    members: BTreeMap<u64, Place>,
    /// By the first key.
    lines: HashMap<KeyHash, BTreeSet<u64>>,
    /// The first of their lines that are to be asked.
    asked: BTreeSet<u64>,
    /// The first of their lines that wait for their own key, by when it has room.
    asleep: BTreeSet<(u64, u64)>,
    /// By when their wait ends in any case.
    ends: BTreeSet<(u64, u64)>,
    /// When those fit that were asked last and hold others back.
    holding: Vec<(u64, u64)>,
    /// At least as much as anybody wants who is asleep.
    largest: Amounts,
}

#[derive(Debug)]
struct Place {
    member: Member,
    asleep: Option<u64>,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            members: BTreeMap::new(),
            lines: HashMap::new(),
            asked: BTreeSet::new(),
            asleep: BTreeSet::new(),
            ends: BTreeSet::new(),
            holding: Vec::new(),
            largest: Amounts::NOTHING,
        }
    }
}

impl Lines {
    /// Stands behind all who are there; tickets grow.
    pub(crate) fn join(&mut self, ticket: u64, member: Member) {
        let line = self.lines.entry(member.demand.keys[0]).or_default();
        line.insert(ticket);
        if line.first() == Some(&ticket) {
            self.asked.insert(ticket);
        }
        self.ends.insert((member.end(), ticket));
        let asleep = None;
        self.members.insert(ticket, Place { member, asleep });
    }

    /// Goes away, whatever for. Whoever is behind in the line is to be asked.
    pub(crate) fn leave(&mut self, ticket: u64) {
        let Some(Place { member, asleep }) = self.members.remove(&ticket) else {
            return;
        };
        self.ends.remove(&(member.end(), ticket));
        self.asked.remove(&ticket);
        if let Some(until) = asleep {
            self.asleep.remove(&(until, ticket));
        }
        let key = member.demand.keys[0];
        let Some(line) = self.lines.get_mut(&key) else {
            return;
        };
        let was_first = line.first() == Some(&ticket);
        line.remove(&ticket);
        match line.first() {
            Some(next) if was_first => {
                self.asked.insert(*next);
            }
            Some(_) => {}
            None => {
                self.lines.remove(&key);
            }
        }
    }

    /// Those who came before `ticket`: all of them, or those with this first key.
    pub(crate) fn ahead(
        &self,
        ticket: u64,
        key: Option<KeyHash>,
    ) -> impl Iterator<Item = (u64, Member)> + '_ {
        let all = key.is_none().then(|| self.members.range(..ticket));
        let all = all.into_iter().flatten();
        let line = key.and_then(|key| self.lines.get(&key));
        let line = line.into_iter().flat_map(move |line| line.range(..ticket));
        let known = line.filter_map(|ticket| self.members.get_key_value(ticket));
        all.chain(known)
            .map(|(ticket, place)| (*ticket, place.member))
    }

    /// The balances of a key have changed for another reason than time; or, with none, of all.
    pub(crate) fn changed(&mut self, key: Option<KeyHash>) {
        let woken: Vec<_> = match key {
            Some(key) => {
                let line = self.lines.get(&key);
                line.and_then(BTreeSet::first)
                    .copied()
                    .into_iter()
                    .collect()
            }
            None => self.asleep.iter().map(|(_, ticket)| *ticket).collect(),
        };
        woken.into_iter().for_each(|ticket| self.ask(ticket));
    }

    fn ask(&mut self, ticket: u64) {
        if let Some(place) = self.members.get_mut(&ticket)
            && let Some(until) = place.asleep.take()
        {
            self.asleep.remove(&(until, ticket));
            self.asked.insert(ticket);
        }
    }

    /// Lets those go who can, in order of arrival, and those who must. Tells who is gone, and who was asked and
    /// why it stays.
    pub(crate) fn advance(
        &mut self,
        ledger: &mut impl Reserve,
        now: u64,
        mut tell: impl FnMut(u64, Result<Gone, Refused>),
    ) {
        self.wake(now.saturating_add(1));
        self.wake_for_all(ledger, now);
        // Whoever leaves makes way for those behind before anybody later goes.
        let ended: Vec<_> = self.over(now);
        ended.iter().for_each(|(ticket, _)| self.ask(*ticket));
        loop {
            self.ask_all(ledger, now, &mut tell);
            let over = self.over(now);
            if over.is_empty() {
                break;
            }
            for (ticket, gone) in over {
                self.leave(ticket);
                tell(ticket, Ok(gone));
            }
        }
    }

    /// Asks those whose own key has room before this instant; true if there are any.
    fn wake(&mut self, before: u64) -> bool {
        let mut woken = false;
        while let Some(&(until, ticket)) = self.asleep.first()
            && until < before
        {
            self.ask(ticket);
            woken = true;
        }
        woken
    }

    /// What is spent of the limits of all can make somebody who waits for its own key wait for those instead, and
    /// hold back all who came later. It is asked anew.
    fn wake_for_all(&mut self, ledger: &mut impl Reserve, now: u64) -> bool {
        if self.asleep.is_empty() {
            self.largest = Amounts::NOTHING;
            return false;
        }
        let all_have_room = ledger.room_for_all(&self.largest, now);
        self.wake(all_have_room)
    }

    fn ask_all(
        &mut self,
        ledger: &mut impl Reserve,
        now: u64,
        tell: &mut impl FnMut(u64, Result<Gone, Refused>),
    ) {
        self.holding.clear();
        let mut blocked: Vec<(usize, KeyHash)> = Vec::new();
        let mut next = self.asked.first().copied();
        while let Some(ticket) = next {
            let Some(Place { member, .. }) = self.members.get(&ticket) else {
                break;
            };
            let member = *member;
            let keys = &member.demand.keys;
            let is_held = blocked.iter().any(|(scope, key)| keys[*scope] == *key);
            let answer = if member.is_too_late(now) {
                Some(Ok(Gone::TooLate))
            } else if is_held {
                None
            } else {
                Some(look(&member, ledger, now))
            };
            match answer {
                Some(Ok(_)) => self.leave(ticket),
                Some(Err(refused)) => {
                    let due = now.saturating_add(refused.wait().unwrap_or(u64::MAX));
                    if refused.scope == 0 {
                        self.sleep(ticket, due);
                    } else {
                        self.holding.push((due, ticket));
                        blocked.push((refused.scope, keys[refused.scope]));
                    }
                }
                None => {}
            }
            if let Some(answer) = answer {
                tell(ticket, answer);
            }
            if blocked
                .last()
                .is_some_and(|(scope, _)| ledger.is_global(*scope))
            {
                break;
            }
            let granted = matches!(answer, Some(Ok(Gone::Granted { .. })));
            if granted && self.wake_for_all(ledger, now) {
                self.holding.clear();
                blocked.clear();
                next = self.asked.first().copied();
            } else {
                next = self.asked.range(ticket + 1..).next().copied();
            }
        }
    }

    fn sleep(&mut self, ticket: u64, until: u64) {
        if let Some(place) = self.members.get_mut(&ticket) {
            place.asleep = Some(until);
            self.largest = self.largest.at_least(&place.member.demand.amounts);
            self.asked.remove(&ticket);
            self.asleep.insert((until, ticket));
        }
    }

    /// When a waiter's own key has room, if that is what it waits for.
    pub(crate) fn sleeps_until(&self, ticket: u64) -> Option<u64> {
        self.members.get(&ticket)?.asleep
    }

    /// Those whose wait is over and who were not asked, or not in time.
    fn over(&self, now: u64) -> Vec<(u64, Gone)> {
        let ended = self.ends.range(..=(now, u64::MAX));
        let gone = ended.filter_map(|(_, ticket)| {
            let member = &self.members.get(ticket)?.member;
            match member {
                _ if member.is_too_late(now) => Some((*ticket, Gone::TooLate)),
                _ if member.is_out_of_patience(now) => Some((*ticket, Gone::Expired)),
                _ => None,
            }
        });
        gone.collect()
    }

    /// When something can change for anybody but `except`, if nothing but time goes on.
    pub(crate) fn next_event(&self, except: u64) -> Option<u64> {
        let others = |(_, ticket): &&(u64, u64)| *ticket != except;
        let sleeper = self.asleep.iter().find(others);
        let holding = self.holding.iter().filter(others).min();
        let end = self.ends.iter().find(others);
        let events = [sleeper, holding, end].into_iter().flatten();
        events.map(|(at, _)| *at).min()
    }
}

/// Asks for one who is next.
fn look(member: &Member, ledger: &mut impl Reserve, now: u64) -> Result<Gone, Refused> {
    match ledger.reserve(&member.demand, now) {
        Ok(at) => Ok(Gone::Granted { at }),
        Err(refused) if refused.when == When::Never || member.is_out_of_patience(now) => {
            Ok(Gone::Refused(refused))
        }
        Err(refused) => Err(refused),
    }
}
