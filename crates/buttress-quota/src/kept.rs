//! What is kept of one quota's state over a restart.
//!
//! Instants mean nothing to another process, so what is kept is relative to the instant at which it was
//! taken: how far a paced quota has to go until it is full, how long ago a log's entries were spent. A
//! calendar's count is kept with the period that it belongs to.

#[cfg(feature = "calendar")]
use crate::calendar::Used;
use crate::rule::{Rule, State, View};
use crate::window::{Log, Rolling};

/// What is spent under one quota, at the instant at which it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing is spent.
    Nothing,
    /// How far it is until the bucket is full, as its [`Pace`](crate::gcra::Pace) counts.
    Paced {
        /// In the parts of a nanosecond that the pace counts in.
        ahead: u128,
    },
    /// What is spent, entry by entry.
    Rolling(KeptLog),
    /// What is spent in a period of the calendar.
    Calendar {
        /// The first second of the period, in Unix seconds.
        period_start: i64,
        /// The units spent in it.
        units: u64,
    },
}

/// The live entries of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptLog {
    /// How many nanoseconds ago, and how many units; the oldest first.
    pub entries: Vec<(i64, u64)>,
    /// How many nanoseconds ago the youngest group began.
    pub youngest_since: Option<i64>,
}

impl Rule {
    /// What is kept of a state.
    #[must_use]
    pub fn keep(&self, view: View<'_>, now: u64) -> Kept {
        if self.is_idle(view, now) {
            return Kept::Nothing;
        }
        match self {
            Self::Paced(pace) => Kept::Paced {
                ahead: pace.ahead(view.tat(), now),
            },
            Self::Rolling(rolling) => Kept::Rolling(KeptLog::of(rolling, view.log(), now)),
            #[cfg(feature = "calendar")]
            Self::Calendar(_) => {
                let Used {
                    period_start,
                    units,
                } = view.used();
                Kept::Calendar {
                    period_start,
                    units,
                }
            }
        }
    }

    /// The state of what was kept under this rule, so many nanoseconds after it was taken.
    #[must_use]
    pub fn restore(&self, kept: &Kept, elapsed: u64, now: u64) -> State {
        match (self, kept) {
            (Self::Paced(pace), Kept::Paced { ahead }) => {
                State::Paced(pace.restored(*ahead, elapsed, now))
            }
            (Self::Rolling(rolling), Kept::Rolling(log)) => {
                State::Rolling(log.restored(rolling, elapsed, now))
            }
            #[cfg(feature = "calendar")]
            (
                Self::Calendar(rule),
                &Kept::Calendar {
                    period_start,
                    units,
                },
            ) => {
                let used = Used {
                    period_start,
                    units,
                };
                State::Calendar(rule.by_clock(used, now))
            }
            // What is of another kind than its rule says nothing.
            _ => self.fresh(),
        }
    }

    /// The one of two states under which more is spent.
    #[must_use]
    pub fn more_spent(&self, one: State, other: State, now: u64) -> State {
        let owes = |state: &State| (self.spent(state, now), self.debt(state.view(), now));
        match owes(&one) >= owes(&other) {
            true => one,
            false => other,
        }
    }

    fn spent(&self, state: &State, now: u64) -> u64 {
        let view = state.view();
        match self {
            Self::Paced(pace) => pace.spent(view.tat(), now),
            Self::Rolling(rolling) => rolling.spent(view.log(), now),
            #[cfg(feature = "calendar")]
            Self::Calendar(rule) => rule.spent(view.used(), now),
        }
    }
}

impl View<'_> {
    /// The state that is looked at; a fresh one of the rule if there is none.
    #[must_use]
    pub fn to_state(self, rule: &Rule) -> State {
        match self {
            Self::Nothing => rule.fresh(),
            Self::Paced(tat) => State::Paced(tat),
            Self::Rolling(log) => State::Rolling(log.clone()),
            #[cfg(feature = "calendar")]
            Self::Calendar(used) => State::Calendar(used),
        }
    }
}

impl KeptLog {
    fn of(rolling: &Rolling, log: &Log, now: u64) -> Self {
        let live = rolling.first_live(log, now);
        let mut before = log.total_before(live);
        let entries = log.entries.range(live..).map(|entry| {
            let units = entry.total.wrapping_sub(before);
            before = entry.total;
            (age(entry.time, now), units)
        });
        Self {
            entries: entries.collect(),
            youngest_since: log.youngest_since.map(|since| age(since, now)),
        }
    }

    /// Entries that would have been spent before the epoch count as spent at it: back late, not early.
    fn restored(&self, rolling: &Rolling, elapsed: u64, now: u64) -> Log {
        let time = |age: i64| {
            let ago = i128::from(age) + i128::from(elapsed);
            let time = (i128::from(now) - ago).clamp(0, i128::from(u64::MAX));
            u64::try_from(time).unwrap_or_default()
        };
        let mut log = Log::new();
        let mut total = 0_u64;
        for &(age, units) in &self.entries {
            total = total.saturating_add(units);
            let time = time(age);
            match log.entries.back_mut() {
                Some(last) if time <= last.time => last.total = total,
                _ => log.push(time, total),
            }
        }
        log.youngest_since = self.youngest_since.map(time);
        rolling.expire(&mut log, now);
        log
    }
}

/// How many nanoseconds ago an instant was; less than 0 if it is still to come.
fn age(time: u64, now: u64) -> i64 {
    let age = i128::from(now) - i128::from(time);
    i64::try_from(age).unwrap_or(if age < 0 { i64::MIN } else { i64::MAX })
}
