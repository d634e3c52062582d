//! How a wait comes out if nobody else comes and nothing that runs settles before.

use std::collections::HashMap;
use std::sync::Arc;

use buttress_core::KeyHash;
use buttress_core::time::TIMER_RESOLUTION;

use crate::balance::Balance;
use crate::demand::BudgetDemand;
use crate::dimension::Amounts;
use crate::limits::{MAX_SCOPES, ScopeRules};
use crate::lines::{Gone, Lines, Member, Reserve};
use crate::step::{Refused, worse};

/// The newcomer's ticket in a forecast: behind everybody.
const NEWCOMER: u64 = u64::MAX - 1;

/// Reads a balance as it is: its scope and its key.
type Read<'a> = Box<dyn Fn(usize, KeyHash) -> (Arc<ScopeRules>, Balance) + 'a>;

/// Balances to try out what follows.
pub(crate) struct Forecast<'a> {
    read: Read<'a>,
    /// For every scope whether all requests have the same key there.
    global: Vec<bool>,
    balances: HashMap<(usize, KeyHash), (Arc<ScopeRules>, Balance)>,
}

impl<'a> Forecast<'a> {
    pub(crate) fn new(
        global: Vec<bool>,
        read: impl Fn(usize, KeyHash) -> (Arc<ScopeRules>, Balance) + 'a,
    ) -> Self {
        Self {
            read: Box::new(read),
            global,
            balances: HashMap::new(),
        }
    }

    /// When a newcomer behind all of `ahead` is granted, to the nanosecond; none if never.
    pub(crate) fn due(
        mut self,
        ahead: impl Iterator<Item = (u64, Member)>,
        newcomer: &BudgetDemand,
        now: u64,
    ) -> Option<u64> {
        // Whoever can never be admitted need not wait for its turn to learn it.
        if let Err(refused) = self.check(newcomer, now) {
            refused.wait()?;
        }
        let mut lines = Lines::default();
        ahead.for_each(|(ticket, member)| lines.join(ticket, member));
        let newcomer = Member {
            demand: *newcomer,
            arrived: now,
            patience: u64::MAX,
            deadline: u64::MAX,
        };
        lines.join(NEWCOMER, newcomer);
        let mut now = now;
        loop {
            let mut own = None;
            lines.advance(&mut self, now, |ticket, answer| {
                if ticket == NEWCOMER {
                    own = Some(answer);
                }
            });
            let due = match own {
                Some(Ok(Gone::Granted { at })) => return Some(at),
                Some(Ok(_)) => return None,
                Some(Err(refused)) => Some(now.saturating_add(refused.wait()?)),
                None => lines.sleeps_until(NEWCOMER),
            };
            // Those ahead look when their timers end.
            let next = lines.next_event(NEWCOMER).map_or(u64::MAX, timer_end);
            match due {
                Some(due) if due < next => return Some(due),
                _ if next == u64::MAX => return None,
                _ => now = next.max(now.saturating_add(1)),
            }
        }
    }

    fn check(&mut self, demand: &BudgetDemand, now: u64) -> Result<(), Refused> {
        let mut decisive = None;
        for scope in 0..self.global.len() {
            let (rules, balance) = self.balance(scope, demand.keys[scope]);
            if let Err(refused) = balance.check(rules, &demand.amounts, now) {
                decisive = Some(worse(decisive, refused, scope, 0));
            }
        }
        decisive.map_or(Ok(()), Err)
    }

    fn balance(&mut self, scope: usize, key: KeyHash) -> (&ScopeRules, &mut Balance) {
        let read = &self.read;
        let (rules, balance) = self
            .balances
            .entry((scope, key))
            .or_insert_with(|| read(scope, key));
        (rules.of(key), balance)
    }
}

impl Reserve for Forecast<'_> {
    fn reserve(&mut self, demand: &BudgetDemand, now: u64) -> Result<u64, Refused> {
        self.check(demand, now)?;
        for scope in 0..self.global.len().min(MAX_SCOPES) {
            let (rules, balance) = self.balance(scope, demand.keys[scope]);
            balance.spend(rules, &demand.amounts, now);
        }
        Ok(now)
    }

    fn is_global(&self, scope: usize) -> bool {
        self.global.get(scope).is_some_and(|global| *global)
    }

    fn room_for_all(&mut self, amounts: &Amounts, now: u64) -> u64 {
        // The scope of all is the last.
        let last = self.global.len().saturating_sub(1);
        if !self.is_global(last) {
            return now;
        }
        let (rules, balance) = self.balance(last, KeyHash::EVERYONE);
        balance.earliest(rules, amounts, now)
    }
}

/// When the timer for an instant ends.
pub(crate) fn timer_end(due: u64) -> u64 {
    let resolution = u64::try_from(TIMER_RESOLUTION.as_nanos()).unwrap_or(1);
    due.checked_next_multiple_of(resolution).unwrap_or(due)
}
