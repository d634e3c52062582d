//! Foreseeing when a waiter's turn comes if nobody else comes.

use std::sync::Arc;

use buttress_core::KeyHash;
use buttress_core::time::TIMER_RESOLUTION;
use buttress_quota::algorithm::Account;

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
            rules: &self.settings.of(key).keyed(key).rules,
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
        account.spend(&self.settings.of(key).keyed(key).rules, cost, at);
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
    pub(crate) fn end(&self) -> u64 {
        self.patience.min(self.deadline)
    }
}

/// When a timer ends that falls due at this instant.
pub(crate) fn timer_end(due: u64) -> u64 {
    let resolution = u64::try_from(TIMER_RESOLUTION.as_nanos()).unwrap_or(1);
    due.checked_next_multiple_of(resolution).unwrap_or(due)
}
