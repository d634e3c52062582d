//! Foreseeing when a waiter's turn comes if nobody else comes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use buttress_core::KeyHash;
use buttress_core::time::TIMER_RESOLUTION;

use crate::account::Account;
use crate::decision::{Refused, Side, check};
use crate::limits::Settings;

/// What would come of the accounts if time went on and nothing else came.
#[derive(Debug)]
pub(crate) struct Forecast {
    settings: Arc<Settings>,
    global: Option<Account>,
}

impl Forecast {
    pub(crate) fn new(settings: Arc<Settings>, global: Option<Account>) -> Self {
        Self { settings, global }
    }

    pub(crate) fn check(
        &self,
        key: KeyHash,
        account: &Account,
        cost: u64,
        at: u64,
    ) -> Result<(), Refused> {
        let keyed = Side {
            rules: &self.settings.keyed(key).rules,
            account,
        };
        let global = self.global.as_ref().map(|account| Side {
            rules: &self.settings.global.rules,
            account,
        });
        check(keyed, global, cost, at)
    }

    /// The first instant from `at` on at which the cost fits; none if it never does.
    pub(crate) fn earliest(
        &self,
        key: KeyHash,
        account: &Account,
        cost: u64,
        at: u64,
    ) -> Option<u64> {
        match self.check(key, account, cost, at) {
            Ok(()) => Some(at),
            Err(refused) => Some(at.saturating_add(refused.wait()?)),
        }
    }

    pub(crate) fn spend(&mut self, key: KeyHash, account: &mut Account, cost: u64, at: u64) {
        account.spend(&self.settings.keyed(key).rules, cost, at);
        if let Some(global) = &mut self.global {
            global.spend(&self.settings.global.rules, cost, at);
        }
    }
}

/// Somebody who waits, as a forecast sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) key: KeyHash,
    pub(crate) cost: u64,
    /// The last instant for which it came.
    pub(crate) patience: u64,
    /// The instant from which on it is too late to start.
    pub(crate) deadline: u64,
}

impl Waiting {
    /// The instant at which it is gone in any case.
    fn end(&self) -> u64 {
        self.patience.saturating_add(1).min(self.deadline)
    }
}

/// When the last of `waiting` is granted, where lines of several keys also wait for the limit of all keys
/// together: the same passes in order of arrival that the room makes, at all the instants at which
/// somebody's timer ends. Those ahead can be delayed by others than were there when they came, and so may
/// be gone before their turn.
pub(crate) fn simulate(
    mut forecast: Forecast,
    mut accounts: HashMap<KeyHash, Account>,
    waiting: &[Waiting],
    now: u64,
) -> Option<u64> {
    let (last, ahead) = waiting.split_last()?;
    let mut ahead = ahead.to_vec();
    let mut at = now;
    loop {
        let between_timers = at != now && timer_end(at) != at;
        let mut pass = Pass::default();
        ahead.retain(|waiter| {
            if !between_timers && at >= waiter.deadline {
                return false;
            }
            let gone = !between_timers && at > waiter.patience;
            if pass.is_held_back(waiter.key) {
                if !gone {
                    pass.until(waiter.end());
                }
                return !gone;
            }
            let account = accounts.entry(waiter.key).or_default();
            match forecast.check(waiter.key, account, waiter.cost, at) {
                // Its timer has not ended yet, so it goes a little later, and before the last.
                Ok(()) if between_timers => pass.hold_back_everyone(at),
                Ok(()) => {
                    forecast.spend(waiter.key, account, waiter.cost, at);
                    return false;
                }
                Err(refused) => match refused.wait() {
                    Some(wait) if !gone => {
                        let due = at.saturating_add(wait);
                        pass.hold_back(waiter.key, &refused, due.min(waiter.end()));
                    }
                    _ => return false,
                },
            }
            true
        });
        if !pass.is_held_back(last.key) {
            let account = accounts.entry(last.key).or_default();
            match forecast.check(last.key, account, last.cost, at) {
                Ok(()) => return Some(at),
                Err(refused) => pass.next = pass.next.min(at.saturating_add(refused.wait()?)),
            }
        }
        if pass.next == u64::MAX {
            return None;
        }
        at = pass.next;
    }
}

/// Who is held back at one instant.
struct Pass {
    keys: HashSet<KeyHash>,
    everyone: bool,
    /// The next instant at which something can change.
    next: u64,
}

impl Default for Pass {
    fn default() -> Self {
        Self {
            keys: HashSet::new(),
            everyone: false,
            next: u64::MAX,
        }
    }
}

impl Pass {
    fn is_held_back(&self, key: KeyHash) -> bool {
        self.everyone || self.keys.contains(&key)
    }

    fn hold_back(&mut self, key: KeyHash, refused: &Refused, until: u64) {
        self.until(until);
        if refused.global {
            self.everyone = true;
        } else {
            self.keys.insert(key);
        }
    }

    fn hold_back_everyone(&mut self, until: u64) {
        self.until(until);
        self.everyone = true;
    }

    /// Somebody has a timer for this instant.
    fn until(&mut self, instant: u64) {
        self.next = self.next.min(timer_end(instant));
    }
}

/// When a timer ends that falls due at this instant.
pub(crate) fn timer_end(due: u64) -> u64 {
    let resolution = u64::try_from(TIMER_RESOLUTION.as_nanos()).unwrap_or(1);
    due.checked_next_multiple_of(resolution).unwrap_or(due)
}
