//! How a wait comes out if nobody else comes and nothing that runs settles before.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use buttress_core::KeyHash;
use buttress_core::time::TIMER_RESOLUTION;

use crate::balance::Balance;
use crate::demand::{BudgetDemand, Keys};
use crate::limits::ScopeRules;

/// Somebody who waits, as a forecast sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead {
    pub(crate) demand: BudgetDemand,
    /// When it leaves in any case.
    pub(crate) last: u64,
}

/// Who is held back: the keys of waiters ahead whose quotas refuse.
#[derive(Debug, Default)]
pub(crate) struct Lines(HashSet<(usize, KeyHash)>);

impl Lines {
    /// Whether somebody with these keys is behind another.
    pub(crate) fn hold(&self, keys: &Keys) -> bool {
        !self.0.is_empty()
            && keys
                .iter()
                .enumerate()
                .any(|(scope, key)| self.0.contains(&(scope, *key)))
    }

    /// Those behind with one of these keys have to wait: the first, and those of the scopes whose quotas
    /// refuse.
    pub(crate) fn block(&mut self, keys: &Keys, scopes: u8) {
        for (scope, key) in keys.iter().enumerate() {
            if scope == 0 || scopes & (1 << scope) != 0 {
                self.0.insert((scope, *key));
            }
        }
    }
}

/// Reads a balance as it is: its scope and its key.
type Read<'a> = Box<dyn Fn(usize, KeyHash) -> (Arc<ScopeRules>, Balance) + 'a>;

/// Balances to try out what follows.
pub(crate) struct Forecast<'a> {
    read: Read<'a>,
    scopes: usize,
    balances: HashMap<(usize, KeyHash), (Arc<ScopeRules>, Balance)>,
}

impl<'a> Forecast<'a> {
    pub(crate) fn new(
        scopes: usize,
        read: impl Fn(usize, KeyHash) -> (Arc<ScopeRules>, Balance) + 'a,
    ) -> Self {
        Self {
            read: Box::new(read),
            scopes,
            balances: HashMap::new(),
        }
    }

    /// When a newcomer behind all of `ahead` is granted, to the nanosecond; none if never.
    pub(crate) fn due(mut self, ahead: &[Ahead], newcomer: &BudgetDemand, now: u64) -> Option<u64> {
        let mut waiting = ahead.to_vec();
        let mut now = now;
        loop {
            let mut lines = Lines::default();
            let mut next = u64::MAX;
            waiting.retain(|one| {
                let keys = &one.demand.keys;
                let held = lines.hold(keys);
                let due = match held {
                    true => None,
                    false => match self.earliest(&one.demand, now) {
                        Ok(due) => Some(due),
                        Err(()) => return false,
                    },
                };
                if due == Some(now) {
                    self.spend(&one.demand, now);
                    return false;
                }
                if now >= one.last {
                    return false;
                }
                let scopes = if held {
                    0
                } else {
                    self.refusing(&one.demand, now)
                };
                lines.block(keys, scopes);
                next = next.min(one.last).min(due.map_or(u64::MAX, timer_end));
                true
            });
            if !lines.hold(&newcomer.keys) {
                let due = self.earliest(newcomer, now).ok()?;
                if due == now {
                    return Some(now);
                }
                next = next.min(due);
            } else {
                // Whoever can never be admitted need not wait for its turn to learn it.
                self.earliest(newcomer, now).ok()?;
            }
            if next <= now {
                return Some(now);
            }
            now = next;
        }
    }

    /// When a demand fits in all scopes if nothing else is spent; an error if never.
    fn earliest(&mut self, demand: &BudgetDemand, now: u64) -> Result<u64, ()> {
        let mut due = now;
        for scope in 0..self.scopes {
            let (rules, balance) = self.balance(scope, demand.keys[scope]);
            let at = balance.earliest(rules, &demand.amounts, now);
            due = due.max(at.ok_or(())?);
        }
        Ok(due)
    }

    /// The scopes that refuse a demand now, a bit each.
    fn refusing(&mut self, demand: &BudgetDemand, now: u64) -> u8 {
        let mut scopes = 0;
        for scope in 0..self.scopes {
            let (rules, balance) = self.balance(scope, demand.keys[scope]);
            let refuses = balance.check(rules, &demand.amounts, now).is_err();
            scopes |= u8::from(refuses) << scope;
        }
        scopes
    }

    fn spend(&mut self, demand: &BudgetDemand, now: u64) {
        for scope in 0..self.scopes {
            let (rules, balance) = self.balance(scope, demand.keys[scope]);
            balance.spend(rules, &demand.amounts, now);
        }
    }

    fn balance(&mut self, scope: usize, key: KeyHash) -> (&ScopeRules, &mut Balance) {
        let read = &self.read;
        let (rules, balance) = self
            .balances
            .entry((scope, key))
            .or_insert_with(|| read(scope, key));
        (rules, balance)
    }
}

/// When the timer for an instant ends.
pub(crate) fn timer_end(due: u64) -> u64 {
    let resolution = u64::try_from(TIMER_RESOLUTION.as_nanos()).unwrap_or(1);
    due.checked_next_multiple_of(resolution).unwrap_or(due)
}
