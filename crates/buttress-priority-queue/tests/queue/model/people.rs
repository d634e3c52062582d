//! The slow model: everybody who waits is looked at, in order, whenever anything happens.

use std::collections::BTreeMap;

use buttress_core::{LimitId, Now, Policy, Reason, When};

use super::{AGEING, MAX_WAIT, Rules, TOP};
use crate::buckets::{Buckets, Cost};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Waits,
    Runs,
    Full,
    TimedOut,
    TooLate,
    Never,
    Shut,
    Over,
}

#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) own: u8,
    /// Its effective level.
    pub(super) level: u8,
    pub(super) tenant: u64,
    pub(super) cost: Cost,
    pub(super) at: u64,
    pub(super) deadline: Option<u64>,
    pub(super) fate: Fate,
}

/// The turns of a level.
#[derive(Debug, Default)]
struct Turns {
    /// The tenants with somebody whose turn is still to come.
    ring: Vec<u64>,
    accounts: BTreeMap<u64, Account>,
    /// Whose turn has come, and who are held back, by the round of the turn and its number.
    drawn: Vec<(u64, usize, usize)>,
    turns: usize,
    /// The round of the turn that was served last.
    served: u64,
}

/// The level, from the top, the round, and the number of the turn or of the arrival.
type Place = (u8, u64, usize);

/// What a tenant has saved, and where it is.
#[derive(Debug, Default)]
struct Account {
    saved: u64,
    at_turn: bool,
    round: Option<u64>,
    /// The rounds of those drawn.
    rounds: Vec<u64>,
}

impl Turns {
    fn has_drawn(&self, number: usize) -> bool {
        self.drawn.iter().any(|(.., drawn)| *drawn == number)
    }

    /// In which round a tenant's next turn is.
    fn round(&self, tenant: u64) -> u64 {
        let account = &self.accounts[&tenant];
        match account.round {
            Some(round) if account.at_turn => round,
            Some(round) => (round + 1).max(self.served),
            None => {
                let accounts = self.accounts.values();
                let firsts: Vec<_> = accounts.filter_map(|one| one.rounds.first()).collect();
                let first = firsts.iter().copied().min().copied();
                let first = first.unwrap_or(self.served);
                first + u64::from(firsts.contains(&&(first + 1)))
            }
        }
    }
}

pub(super) struct People {
    rules: Rules,
    pub(super) buckets: Buckets,
    pub(super) all: Vec<Person>,
    turns: Vec<Turns>,
}

impl People {
    pub(super) fn new(rules: Rules, buckets: Buckets) -> Self {
        Self {
            rules,
            buckets,
            all: Vec::new(),
            turns: (0..=TOP).map(|_| Turns::default()).collect(),
        }
    }

    pub(super) fn with(&self, fate: Fate) -> Vec<usize> {
        let all = 0..self.all.len();
        all.filter(|number| self.all[*number].fate == fate)
            .collect()
    }

    fn busy(&self) -> bool {
        self.with(Fate::Runs).len() >= self.rules.limit
    }

    pub(super) fn arrive(&mut self, person: Person, now: u64) {
        let number = self.all.len();
        let (level, cost) = (person.level, person.cost);
        let others = self.with(Fate::Waits);
        self.all.push(person);
        if self.all[number].deadline.is_some_and(|end| end <= now) {
            self.all[number].fate = Fate::TooLate;
            return;
        }
        let first = others.iter().all(|other| self.all[*other].level < level);
        if self.busy() && first && self.rules.is_gated() {
            let asked = self.buckets.would_admit(&cost, &Now::new());
            if let Some(fate) = asked.err().and_then(|rejection| last_word(&rejection)) {
                self.all[number].fate = fate;
                return;
            }
        }
        self.all[number].fate = Fate::Waits;
        self.enter(number);
        self.dispatch();
        if self.all[number].fate == Fate::Waits && others.len() >= self.rules.capacity {
            let others = self.with(Fate::Waits).into_iter();
            let others = others.filter(|other| *other != number);
            let victim = others.min_by_key(|other| (self.all[*other].level, usize::MAX - other));
            let victim = victim.filter(|victim| self.all[*victim].level < level);
            self.leave(victim.unwrap_or(number), Fate::Full);
            self.dispatch();
        }
    }

    /// All that the time brings about.
    pub(super) fn pass(&mut self, now: u64) {
        for number in self.with(Fate::Waits) {
            let Person { own, level, at, .. } = self.all[number];
            let steps = u8::try_from((now - at) / AGEING).unwrap_or(TOP);
            if self.rules.ageing && own.saturating_add(steps).min(TOP) > level {
                self.quit(number, false);
                self.all[number].level += 1;
                self.enter(number);
            }
        }
        for number in self.with(Fate::Waits) {
            let (patience, deadline) = self.ends(number);
            if deadline <= now {
                let fate = match patience <= deadline {
                    true => Fate::TimedOut,
                    false => Fate::TooLate,
                };
                self.leave(number, fate);
            }
        }
        self.dispatch();
        // One after the other: a place that one makes free is still for the next.
        for number in 0..self.all.len() {
            if self.all[number].fate == Fate::Waits && self.ends(number).0 == now {
                self.leave(number, Fate::TimedOut);
                self.dispatch();
            }
        }
    }

    /// When the longest wait and the use of the answer end.
    fn ends(&self, number: usize) -> (u64, u64) {
        let Person { at, deadline, .. } = self.all[number];
        let patience = match self.rules.max_wait {
            true => at + MAX_WAIT,
            false => u64::MAX,
        };
        (patience, deadline.unwrap_or(u64::MAX))
    }

    /// Nothing comes of somebody's wait.
    pub(super) fn leave(&mut self, number: usize, fate: Fate) {
        self.quit(number, false);
        self.all[number].fate = fate;
    }

    pub(super) fn dispatch(&mut self) {
        while !self.busy() && self.one_goes_or_is_refused() {}
    }

    /// Looks at those who wait, in order, until something comes of it.
    fn one_goes_or_is_refused(&mut self) -> bool {
        let mut short = Vec::new();
        for level in (0..=TOP).rev() {
            if !self.rules.fair {
                let mut waiting = self.of_level(level).into_iter();
                if waiting.any(|number| self.decide(number, &mut short)) {
                    return true;
                }
                continue;
            }
            let mut looked_at = Vec::new();
            while let Some(number) = self.next_turn(level, &looked_at) {
                if self.decide(number, &mut short) {
                    return true;
                }
                looked_at.push(number);
            }
        }
        false
    }

    /// Somebody held back who was not looked at yet, or, if its round is earlier, the next whose turn comes.
    fn next_turn(&mut self, level: u8, looked_at: &[usize]) -> Option<usize> {
        let mut drawn = self.turns[usize::from(level)].drawn.iter();
        let held = drawn.find(|(.., number)| !looked_at.contains(number));
        match held.copied() {
            Some((round, _, number)) => match round.checked_sub(1) {
                Some(before) => self.draw(level, before).or(Some(number)),
                None => Some(number),
            },
            None => self.draw(level, u64::MAX),
        }
    }

    /// Where somebody stands whose turn has come: the smaller goes first.
    fn place(&self, number: usize) -> Place {
        let level = self.all[number].level;
        let mut drawn = self.turns[usize::from(level)].drawn.iter();
        match drawn.find(|(.., other)| *other == number) {
            Some((round, turn, _)) => (TOP - level, *round, *turn),
            None => (TOP - level, 0, number),
        }
    }

    fn of_level(&self, level: u8) -> Vec<usize> {
        let mut waiting = self.with(Fate::Waits);
        waiting.retain(|number| self.all[*number].level == level);
        waiting
    }

    /// Whether somebody whose turn has come goes, or is refused. `short` is what those ahead wait for.
    fn decide(&mut self, number: usize, short: &mut Vec<(Place, LimitId)>) -> bool {
        if self.rules.is_gated() {
            let cost = self.all[number].cost;
            let mut needs = Vec::new();
            self.buckets
                .limits(&cost, &mut |said, name| needs.push((said, name)));
            let place = self.place(number);
            let held = |(ahead, limit): &(Place, LimitId)| {
                *ahead < place && needs.iter().any(|(_, name)| name == limit)
            };
            if short.iter().any(held) {
                return false;
            }
            if self.buckets.try_admit(&cost, &Now::new()).is_err() {
                let mut refusals = Vec::new();
                self.buckets
                    .refusals(&cost, &Now::new(), &mut |refusal| refusals.push(refusal));
                if let Some(fate) = refusals.iter().find_map(last_word) {
                    self.leave(number, fate);
                    return true;
                }
                let lacks = |said| refusals.iter().any(|refusal| refusal.limit() == Some(said));
                let lacked = needs.iter().filter(|(said, _)| lacks(*said));
                short.extend(lacked.map(|(_, name)| (place, *name)));
                return false;
            }
        }
        self.quit(number, true);
        self.all[number].fate = Fate::Runs;
        true
    }

    // === turns ===

    fn enter(&mut self, number: usize) {
        let Person { level, tenant, .. } = self.all[number];
        let turns = &mut self.turns[usize::from(level)];
        turns.accounts.entry(tenant).or_default();
        if !turns.ring.contains(&tenant) {
            turns.ring.push(tenant);
        }
    }

    fn quit(&mut self, number: usize, served: bool) {
        let Person { level, tenant, .. } = self.all[number];
        let to_come = self.to_come(level, tenant, number);
        let cost = self.price(number);
        let is_last = self
            .of_level(level)
            .iter()
            .all(|other| *other == number || self.all[*other].tenant != tenant);
        let turns = &mut self.turns[usize::from(level)];
        let was_drawn = turns.has_drawn(number);
        turns.drawn.retain(|(.., other)| *other != number);
        let account = turns.accounts.get_mut(&tenant).unwrap();
        if was_drawn && served {
            turns.served = turns.served.max(account.rounds.remove(0));
        }
        if was_drawn && !served {
            // The turn goes to the tenant's next.
            account.rounds.pop();
            account.saved += cost;
            if to_come.is_some() {
                account.at_turn = true;
                turns.ring.retain(|other| *other != tenant);
                turns.ring.insert(0, tenant);
            }
        }
        if to_come.is_none() {
            turns.ring.retain(|other| *other != tenant);
            if let Some(account) = turns.accounts.get_mut(&tenant) {
                account.at_turn = false;
            }
        }
        if is_last {
            turns.accounts.remove(&tenant);
        }
    }

    /// The first of a tenant whose turn is still to come, somebody apart.
    fn to_come(&self, level: u8, tenant: u64, apart: usize) -> Option<usize> {
        let turns = &self.turns[usize::from(level)];
        self.of_level(level).into_iter().find(|other| {
            self.all[*other].tenant == tenant && *other != apart && !turns.has_drawn(*other)
        })
    }

    fn price(&self, number: usize) -> u64 {
        u64::from(self.all[number].cost.units).max(1)
    }

    /// The next turn, one visit after the other, unless it is in a later round.
    fn draw(&mut self, level: u8, last_round: u64) -> Option<usize> {
        loop {
            let tenant = *self.turns[usize::from(level)].ring.first()?;
            let number = self.to_come(level, tenant, usize::MAX).unwrap();
            let price = self.price(number);
            let after = self
                .all
                .iter()
                .enumerate()
                .filter(|(other, person)| {
                    let waits = person.fate == Fate::Waits && person.level == level;
                    waits && person.tenant == tenant && *other != number
                })
                .map(|(other, _)| other)
                .find(|other| !self.turns[usize::from(level)].has_drawn(*other));
            let next = after.map(|after| self.price(after));
            let turns = &mut self.turns[usize::from(level)];
            let round = turns.round(tenant);
            if round > last_round {
                return None;
            }
            let account = turns.accounts.get_mut(&tenant).unwrap();
            if !account.at_turn {
                account.at_turn = true;
                account.round = Some(round);
                account.saved += 1;
            }
            let is_served = account.saved >= price;
            if is_served {
                account.saved -= price;
                account.rounds.push(round);
                let behind = turns.drawn.partition_point(|(other, ..)| *other <= round);
                turns.drawn.insert(behind, (round, turns.turns, number));
                turns.turns += 1;
            }
            let stays = is_served && next.is_some_and(|next| account.saved >= next);
            if !stays {
                account.at_turn = false;
                turns.ring.remove(0);
                if !is_served || next.is_some() {
                    turns.ring.push(tenant);
                }
            }
            if is_served {
                return Some(number);
            }
        }
    }
}

/// What becomes of somebody for whom waiting does not help.
fn last_word(rejection: &buttress_core::Rejection) -> Option<Fate> {
    match (rejection.reason(), rejection.when()) {
        (Reason::CircuitOpen, _) => Some(Fate::Shut),
        (_, When::Never) => Some(Fate::Never),
        _ => None,
    }
}
