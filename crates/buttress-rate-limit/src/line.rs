//! One line of the waiting room, and its plan.

use std::collections::VecDeque;

use buttress_core::KeyHash;
use buttress_quota::algorithm::Account;

use crate::forecast::{Forecast, Waiting, timer_end};

/// Those who wait for the same limits, by their tickets, in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) waiting: VecDeque<u64>,
    plan: Option<Plan>,
}

/// The accounts of a line once everybody in it was granted, so that a newcomer's turn is foreseen without
/// going through all those ahead.
#[derive(Debug)]
struct Plan {
    forecast: Forecast,
    account: Account,
    last: u64,
    /// How many were granted at another time than was foreseen. In virtual time nobody is; on a real clock
    /// nearly everybody is, by a little.
    late: usize,
}

impl Line {
    /// Whoever is first.
    pub(crate) fn head(&self) -> Option<u64> {
        self.waiting.front().copied()
    }

    /// Whether newcomers can be foreseen without those ahead.
    pub(crate) fn has_plan(&self) -> bool {
        self.plan.is_some()
    }

    /// Somebody ahead has left, or an account has changed: the plan no longer holds.
    pub(crate) fn forget_plan(&mut self) {
        self.plan = None;
    }

    /// The head is gone: it was granted at the instant that was foreseen, or not.
    pub(crate) fn gone(&mut self, as_foreseen: bool) {
        self.waiting.pop_front();
        if let Some(plan) = &mut self.plan {
            plan.late += usize::from(!as_foreseen);
            // Each rebuilding costs as many steps as the line is long, and is paid by as many grants.
            if plan.late > self.waiting.len() {
                self.plan = None;
            }
        }
    }

    /// When a newcomer behind all of `ahead` is granted, to the nanosecond; none if never.
    ///
    /// `accounts` gives the line's accounts as they are; it is called only if there is no plan yet.
    pub(crate) fn foresee(
        &mut self,
        newcomer: Waiting,
        ahead: impl Iterator<Item = Waiting>,
        accounts: impl FnOnce() -> (Forecast, Account),
        now: u64,
    ) -> Option<u64> {
        let plan = self.plan.get_or_insert_with(|| {
            let (forecast, account) = accounts();
            let mut plan = Plan {
                forecast,
                account,
                last: now,
                late: 0,
            };
            for waiting in ahead {
                if let Some(due) = plan.due(waiting, now) {
                    plan.add(waiting, timer_end(due));
                }
            }
            plan
        });
        plan.due(newcomer, now)
    }

    /// A newcomer stays, and was foreseen to be granted at `start`.
    pub(crate) fn planned(&mut self, newcomer: Waiting, start: u64) {
        if let Some(plan) = &mut self.plan {
            plan.add(newcomer, start);
        }
    }
}

impl Plan {
    fn due(&self, waiting: Waiting, now: u64) -> Option<u64> {
        let Waiting { key, cost, .. } = waiting;
        let at = self.last.max(now);
        self.forecast.earliest(key, &self.account, cost, at)
    }

    fn add(&mut self, waiting: Waiting, start: u64) {
        let Waiting { key, cost, .. } = waiting;
        self.forecast.spend(key, &mut self.account, cost, start);
        self.last = start;
    }
}

/// The line in which a key waits.
pub(crate) const ONE_LINE: KeyHash = KeyHash::EVERYONE;
