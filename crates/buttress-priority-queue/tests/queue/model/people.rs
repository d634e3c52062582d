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
    /// What tenants have saved, and whether they are at a turn.
    accounts: BTreeMap<u64, (u64, bool)>,
    /// Whose turn has come, and who are held back.
    drawn: Vec<usize>,
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
            let at_turn = match self.rules.fair {
                true => self.turns[usize::from(level)].drawn.clone(),
                false => self.of_level(level),
            };
            if at_turn
                .into_iter()
                .any(|number| self.decide(number, &mut short))
            {
                return true;
            }
            while self.rules.fair
                && let Some(number) = self.draw(level)
            {
                if self.decide(number, &mut short) {
                    return true;
                }
            }
        }
        false
    }

    fn of_level(&self, level: u8) -> Vec<usize> {
        let mut waiting = self.with(Fate::Waits);
        waiting.retain(|number| self.all[*number].level == level);
        waiting
    }

    /// Whether somebody whose turn has come goes, or is refused. `short` is what those ahead wait for.
    fn decide(&mut self, number: usize, short: &mut Vec<LimitId>) -> bool {
        if self.rules.is_gated() {
            let cost = self.all[number].cost;
            let mut needs = Vec::new();
            self.buckets
                .limits(&cost, &mut |said, name| needs.push((said, name)));
            if needs.iter().any(|(_, name)| short.contains(name)) {
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
                short.extend(
                    needs
                        .iter()
                        .filter(|(said, _)| lacks(*said))
                        .map(|need| need.1),
                );
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
        let was_drawn = turns.drawn.contains(&number);
        turns.drawn.retain(|other| *other != number);
        if was_drawn && !served {
            // The turn goes to the tenant's next.
            let account = turns.accounts.get_mut(&tenant).unwrap();
            account.0 += cost;
            if to_come.is_some() {
                account.1 = true;
                turns.ring.retain(|other| *other != tenant);
                turns.ring.insert(0, tenant);
            }
        }
        if to_come.is_none() {
            turns.ring.retain(|other| *other != tenant);
            if let Some(account) = turns.accounts.get_mut(&tenant) {
                account.1 = false;
            }
        }
        if is_last {
            turns.accounts.remove(&tenant);
        }
    }

    /// The first of a tenant whose turn is still to come, somebody apart.
    fn to_come(&self, level: u8, tenant: u64, apart: usize) -> Option<usize> {
        let drawn = &self.turns[usize::from(level)].drawn;
        self.of_level(level).into_iter().find(|other| {
            self.all[*other].tenant == tenant && *other != apart && !drawn.contains(other)
        })
    }

    fn price(&self, number: usize) -> u64 {
        u64::from(self.all[number].cost.units).max(1)
    }

    /// The next turn, one visit after the other.
    fn draw(&mut self, level: u8) -> Option<usize> {
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
                .find(|other| !self.turns[usize::from(level)].drawn.contains(other));
            let next = after.map(|after| self.price(after));
            let turns = &mut self.turns[usize::from(level)];
            let (saved, at_turn) = turns.accounts.get_mut(&tenant).unwrap();
            if !*at_turn {
                *at_turn = true;
                *saved += 1;
            }
            let is_served = *saved >= price;
            if is_served {
                *saved -= price;
                turns.drawn.push(number);
            }
            let stays = is_served && next.is_some_and(|next| *saved >= next);
            if !stays {
                *at_turn = false;
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
