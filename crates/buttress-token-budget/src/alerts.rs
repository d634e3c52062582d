//! Telling, once per window, that a budget is nearly used up, or used up.

use std::fmt;
use std::sync::Arc;

use buttress_core::{Event, KeyHash, Observe};
use buttress_quota::Window;
use buttress_quota::algorithm::Standing;

use crate::balance::Balance;
use crate::limits::{MAX_LIMITS, ScopeRules};

/// How many thresholds there can be.
pub const MAX_THRESHOLDS: usize = 4;

/// Who is told at which thresholds.
#[derive(Clone)]
pub(crate) struct Alerts {
    /// In percent of a quota, each from 1.
    pub(crate) thresholds: Box<[u8]>,
    pub(crate) observer: Arc<dyn Observe + Send + Sync>,
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerts")
            .field("thresholds", &self.thresholds)
            .finish_non_exhaustive()
    }
}

/// What is to be told, found under locks and told outside them.
#[derive(Debug, Default)]
pub(crate) struct Crossed {
    found: [Option<(KeyHash, u8, u8)>; MAX_LIMITS],
    len: usize,
}

impl Crossed {
    pub(crate) fn look(
        &mut self,
        balance: &mut Balance,
        rules: &ScopeRules,
        thresholds: &[u8],
        (key, offset): (KeyHash, usize),
        now: u64,
    ) {
        let wanted = rules.limits.len() * thresholds.len();
        if balance.quiet.len() != wanted {
            balance.quiet = vec![0; wanted].into();
        }
        let Balance { accounts, quiet } = balance;
        for (account, part) in accounts.iter().zip(&rules.by_dimension) {
            let below = account.overdrawn(&part.rules, now);
            for (standing, below) in account.standings(&part.rules, now).zip(below) {
                let number = part.first + standing.quota;
                let marks = &mut quiet[number * thresholds.len()..][..thresholds.len()];
                let until = now.saturating_add(window(&rules.limits[number].quota, &standing));
                if let Some(percent) = highest(thresholds, marks, &standing, below, now, until) {
                    let quota = u8::try_from(offset + number).unwrap_or(u8::MAX);
                    self.push(key, quota, percent);
                }
            }
        }
    }

    fn push(&mut self, key: KeyHash, quota: u8, percent: u8) {
        if let Some(slot) = self.found.get_mut(self.len) {
            *slot = Some((key, quota, percent));
            self.len += 1;
        }
    }

    /// Tells; to be called outside every lock.
    pub(crate) fn tell(&self, alerts: &Alerts, policy: buttress_core::PolicyId) {
        for &(key, quota, percent) in self.found[..self.len].iter().flatten() {
            let limit = buttress_core::LimitId { policy, key, quota };
            alerts.observer.event(Event::Threshold { limit, percent });
        }
    }
}

/// The highest threshold that is newly reached. All that are reached stay quiet until the window is over.
fn highest(
    thresholds: &[u8],
    marks: &mut [u64],
    standing: &Standing,
    below: u64,
    now: u64,
    until: u64,
) -> Option<u8> {
    let spent = u128::from(standing.capacity - standing.remaining.min(standing.capacity));
    let spent = (spent + u128::from(below)) * 100;
    let mut highest = None;
    for (&percent, mark) in thresholds.iter().zip(marks) {
        let reached = spent >= u128::from(percent) * u128::from(standing.capacity);
        if reached && *mark <= now {
            *mark = until;
            highest = highest.max(Some(percent));
        }
    }
    highest
}

/// How long a window of this quota lasts from now.
fn window(quota: &buttress_quota::Quota, standing: &Standing) -> u64 {
    let length = match quota.window() {
        Window::Paced { .. } | Window::Rolling => quota.period(),
        // Calendars begin anew with the next period.
        _ => standing.until_more.unwrap_or(quota.period()),
    };
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}
