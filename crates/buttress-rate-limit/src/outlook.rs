//! How it all comes out where limits are kept both per key and for all keys together.
//!
//! The same passes in order of arrival that the room makes are made ahead of time, at all the instants at
//! which somebody's timer ends.

use std::collections::HashSet;

use buttress_core::{KeyHash, KeyMap};
use buttress_quota::algorithm::Account;

use crate::decision::Refused;
use crate::forecast::{Forecast, Waiting, timer_end};
use crate::ledger::Ledger;

/// What was foreseen for those who wait, kept for the next newcomer.
#[derive(Debug, Default)]
pub(crate) struct Outlook(Option<Foreseen>);

/// The accounts once everybody was granted.
///
/// It is kept only if those who wait go in one row: if up to the last of them somebody always waits for
/// the limit of all keys together, a newcomer cannot go before, and comes after them all.
#[derive(Debug)]
struct Foreseen {
    forecast: Forecast,
    accounts: KeyMap<Account>,
    last: u64,
    late: usize,
}

impl Outlook {
    /// Those who wait, or the accounts, have changed in another way than was foreseen.
    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }

    /// Somebody was granted at the instant that was foreseen, or not, and `waiting` are left.
    pub(crate) fn gone(&mut self, as_foreseen: bool, waiting: usize) {
        if let Some(foreseen) = &mut self.0 {
            foreseen.late += usize::from(!as_foreseen);
            if foreseen.late > waiting {
                self.0 = None;
            }
        }
    }

    /// When a newcomer is granted, if that is known without going through all those ahead.
    pub(crate) fn due(
        &mut self,
        ledger: &impl Ledger,
        newcomer: Waiting,
        now: u64,
    ) -> Option<Option<u64>> {
        let foreseen = self.0.as_mut().filter(|foreseen| foreseen.last > now)?;
        let account = foreseen
            .accounts
            .entry(newcomer.key)
            .or_insert_with(|| ledger.account(newcomer.key, now));
        let Waiting { key, cost, .. } = newcomer;
        Some(
            foreseen
                .forecast
                .earliest(key, account, cost, foreseen.last),
        )
    }

    /// A newcomer stays, and was foreseen to be granted at `start`.
    pub(crate) fn planned(&mut self, newcomer: Waiting, start: u64) {
        let Some(foreseen) = &mut self.0 else {
            return;
        };
        let account = foreseen.accounts.entry(newcomer.key).or_default();
        let Waiting { key, cost, .. } = newcomer;
        let held_by_all = foreseen.last < start
            && matches!(
                foreseen.forecast.check(key, account, cost, foreseen.last),
                Err(Refused { global: true, .. })
            );
        foreseen.forecast.spend(key, account, cost, start);
        foreseen.last = start;
        if !held_by_all {
            self.0 = None;
        }
    }

    /// When the last of `waiting` is granted; none if never.
    pub(crate) fn simulate(
        &mut self,
        ledger: &impl Ledger,
        waiting: &[Waiting],
        now: u64,
    ) -> Option<u64> {
        let accounts = waiting.iter().map(|w| (w.key, ledger.account(w.key, now)));
        let mut run = Run {
            forecast: ledger.forecast(),
            accounts: accounts.collect(),
            in_a_row: true,
            last: now,
            looks: MAX_LOOKS,
        };
        let due = run.all(waiting, now);
        self.0 = run.in_a_row.then_some(Foreseen {
            forecast: run.forecast,
            accounts: run.accounts,
            last: run.last,
            late: 0,
        });
        due
    }
}

struct Run {
    forecast: Forecast,
    accounts: KeyMap<Account>,
    /// Whether up to now somebody always waited for the limit of all keys together.
    in_a_row: bool,
    /// When somebody was last granted.
    last: u64,
    /// How often may still be looked at somebody.
    looks: usize,
}

/// How often an outlook looks at those who wait. Exactness for hundreds of them needs less; thousands that
/// wait for both kinds of limit would take every newcomer milliseconds under a lock.
const MAX_LOOKS: usize = 1 << 16;

impl Run {
    fn all(&mut self, waiting: &[Waiting], now: u64) -> Option<u64> {
        let (last, ahead) = waiting.split_last()?;
        let mut ahead = ahead.to_vec();
        let mut at = now;
        loop {
            let between_timers = at != now && timer_end(at) != at;
            let mut pass = loop {
                match self.looks.checked_sub(ahead.len()) {
                    Some(looks) => self.looks = looks,
                    None => return self.one_by_one(&ahead, last, at),
                }
                let mut pass = Pass::default();
                let goes = |w: &Waiting| !self.stays(w, &mut pass, at, between_timers);
                match ahead.iter().position(goes) {
                    Some(index) => drop(ahead.remove(index)),
                    None => break pass,
                }
            };
            self.in_a_row &= pass.everyone || ahead.is_empty();
            if !pass.is_held_back(last.key) {
                let account = self.accounts.entry(last.key).or_default();
                match self.forecast.check(last.key, account, last.cost, at) {
                    Ok(()) => return Some(at),
                    Err(refused) => {
                        self.in_a_row &= refused.global || ahead.is_empty();
                        pass.next = pass.next.min(at.saturating_add(refused.wait()?));
                    }
                }
            }
            if pass.next == u64::MAX {
                return None;
            }
            at = pass.next;
        }
    }

    /// As if everybody waited for everybody ahead: what is assumed where a whole outlook would take too
    /// long. It may promise a later turn than comes.
    fn one_by_one(&mut self, ahead: &[Waiting], newcomer: &Waiting, now: u64) -> Option<u64> {
        self.in_a_row = true;
        self.last = self.last.max(now);
        for waiter in ahead {
            let account = self.accounts.entry(waiter.key).or_default();
            let due = (self.forecast).earliest(waiter.key, account, waiter.cost, self.last);
            if let Some(due) = due {
                self.last = timer_end(due);
                self.forecast
                    .spend(waiter.key, account, waiter.cost, self.last);
            }
        }
        let account = self.accounts.entry(newcomer.key).or_default();
        self.forecast
            .earliest(newcomer.key, account, newcomer.cost, self.last)
    }

    /// Those ahead can be delayed by others than were there when they came, and so may be gone before their
    /// turn.
    fn stays(&mut self, waiter: &Waiting, pass: &mut Pass, at: u64, between_timers: bool) -> bool {
        if !between_timers && at >= waiter.deadline {
            return false;
        }
        let gone = !between_timers && at >= waiter.patience;
        if pass.is_held_back(waiter.key) {
            if !gone {
                pass.until(waiter.end());
            }
            return !gone;
        }
        let account = self.accounts.entry(waiter.key).or_default();
        match self.forecast.check(waiter.key, account, waiter.cost, at) {
            // Its timer has not ended yet, so it goes a little later, and before the last.
            Ok(()) if between_timers => pass.hold_back_everyone(at),
            Ok(()) => {
                self.forecast.spend(waiter.key, account, waiter.cost, at);
                self.last = at;
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
