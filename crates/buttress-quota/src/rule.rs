//! One quota made ready for arithmetic, and what a key has spent under it.
//!
//! The kinds of window meet here, and in `kept.rs` for what outlasts a restart: [`Rule`] asks the algorithm
//! that its quota needs, and a further kind is one variant of [`Rule`] and of [`State`].

use buttress_core::wall::CivilTime;

#[cfg(feature = "calendar")]
use crate::by_calendar::ByCalendar;
#[cfg(feature = "calendar")]
use crate::calendar::Used;
use crate::gcra::{Pace, Tat};
use crate::quota::{Quota, Window};
use crate::rules::{Standing, When};
use crate::window::{Log, Rolling};

/// One quota made ready for arithmetic.
#[derive(Clone, Debug)]
pub enum Rule {
    /// A bucket.
    Paced(Pace),
    /// A log.
    Rolling(Rolling),
    /// A count per period.
    #[cfg(feature = "calendar")]
    Calendar(ByCalendar),
}

/// What is spent under one quota.
#[derive(Clone, Debug)]
pub enum State {
    /// Of a bucket.
    Paced(Tat),
    /// Of a log.
    Rolling(Log),
    /// Of a count per period.
    #[cfg(feature = "calendar")]
    Calendar(Used),
}

/// A look at what is spent under one quota.
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    /// Nothing was ever spent.
    Nothing,
    /// Of a bucket.
    Paced(Tat),
    /// Of a log.
    Rolling(&'a Log),
    /// Of a count per period.
    #[cfg(feature = "calendar")]
    Calendar(Used),
}

static NOTHING_SPENT: Log = Log::new();

// === impl Rule ===

impl Rule {
    #[cfg_attr(
        not(feature = "calendar"),
        expect(unused_variables, reason = "only calendars need civil time")
    )]
    pub(crate) fn new(quota: &Quota, civil: &CivilTime) -> Self {
        match *quota.window() {
            Window::Paced { burst } => {
                Self::Paced(Pace::new(quota.units(), quota.period_nanos(), burst))
            }
            Window::Rolling => Self::Rolling(Rolling::new(quota.units(), quota.period_nanos())),
            #[cfg(feature = "calendar")]
            Window::Calendar { unit, zone } => {
                Self::Calendar(ByCalendar::new(quota.units(), unit, zone, civil))
            }
        }
    }

    pub(crate) fn fresh(&self) -> State {
        match self {
            Self::Paced(_) => State::Paced(Tat::FRESH),
            Self::Rolling(_) => State::Rolling(Log::new()),
            #[cfg(feature = "calendar")]
            Self::Calendar(_) => State::Calendar(Used::FRESH),
        }
    }

    pub(crate) fn refusal(&self, view: View<'_>, cost: u64, now: u64) -> Option<When> {
        match self {
            Self::Paced(pace) => When::of(pace.check(view.tat(), cost, now)).err(),
            Self::Rolling(rolling) => When::of(rolling.check(view.log(), cost, now)).err(),
            #[cfg(feature = "calendar")]
            Self::Calendar(rule) => When::of(rule.check(view.used(), cost, now)).err(),
        }
    }

    pub(crate) fn spend(&self, state: &mut State, cost: u64, now: u64) {
        match self {
            Self::Paced(pace) => *state = State::Paced(pace.spend(state.view().tat(), cost, now)),
            Self::Rolling(rolling) => match state {
                State::Rolling(log) => rolling.spend(log, cost, now),
                _ => *state = State::Rolling(rolling.owing(cost, now)),
            },
            #[cfg(feature = "calendar")]
            Self::Calendar(rule) => {
                *state = State::Calendar(rule.spend(state.view().used(), cost, now));
            }
        }
    }

    pub(crate) fn refund(&self, state: &mut State, cost: u64, spent_at: Option<u64>, now: u64) {
        match (self, state) {
            (Self::Paced(pace), State::Paced(tat)) => *tat = pace.refund(*tat, cost, now),
            (Self::Rolling(rolling), State::Rolling(log)) => match spent_at {
                Some(spent_at) => rolling.refund_at(log, cost, spent_at, now),
                None => rolling.refund(log, cost, now),
            },
            #[cfg(feature = "calendar")]
            (Self::Calendar(rule), State::Calendar(used)) => {
                *used = rule.refund(*used, cost, spent_at, now);
            }
            // A state of another kind than its rule says nothing, so there is nothing to give back.
            _ => {}
        }
    }

    pub(crate) fn standing(&self, quota: usize, view: View<'_>, now: u64) -> Standing {
        let (capacity, remaining, until_more) = match self {
            Self::Paced(pace) => {
                let tat = view.tat();
                (
                    pace.capacity(),
                    pace.remaining(tat, now),
                    pace.until_more(tat, now),
                )
            }
            Self::Rolling(rolling) => {
                let log = view.log();
                (
                    rolling.capacity(),
                    rolling.remaining(log, now),
                    rolling.until_more(log, now),
                )
            }
            #[cfg(feature = "calendar")]
            Self::Calendar(rule) => {
                let used = view.used();
                (
                    rule.capacity(),
                    rule.remaining(used, now),
                    rule.until_more(used, now),
                )
            }
        };
        Standing {
            quota,
            capacity,
            remaining,
            until_more,
        }
    }

    pub(crate) fn remaining(&self, view: View<'_>, now: u64) -> u64 {
        match self {
            Self::Paced(pace) => pace.remaining(view.tat(), now),
            Self::Rolling(rolling) => rolling.remaining(view.log(), now),
            #[cfg(feature = "calendar")]
            Self::Calendar(rule) => rule.remaining(view.used(), now),
        }
    }

    /// The units below zero.
    pub(crate) fn overdrawn(&self, view: View<'_>, now: u64) -> u64 {
        match self {
            Self::Paced(pace) => pace.overdrawn(view.tat(), now),
            Self::Rolling(rolling) => rolling.overdrawn(view.log(), now),
            #[cfg(feature = "calendar")]
            Self::Calendar(rule) => rule.overdrawn(view.used(), now),
        }
    }

    /// When nothing is below zero any more; none if nothing is.
    pub(crate) fn until_repaid(&self, view: View<'_>, now: u64) -> Option<When> {
        match self {
            Self::Paced(pace) => pace.until_repaid(view.tat(), now).map(When::After),
            Self::Rolling(rolling) => rolling.until_repaid(view.log(), now).map(When::After),
            #[cfg(feature = "calendar")]
            Self::Calendar(rule) => {
                let until_more = || rule.until_more(view.used(), now);
                let below = rule.overdrawn(view.used(), now) > 0;
                // The count begins anew with the next period, if there is one.
                below.then(|| until_more().map_or(When::Never, When::After))
            }
        }
    }

    pub(crate) fn debt(&self, view: View<'_>, now: u64) -> u64 {
        match self {
            Self::Paced(pace) => pace.debt(view.tat(), now),
            Self::Rolling(rolling) => rolling.debt(view.log(), now),
            #[cfg(feature = "calendar")]
            Self::Calendar(rule) => rule.debt(view.used(), now),
        }
    }

    /// Whether nothing is spent.
    #[must_use]
    pub fn is_idle(&self, view: View<'_>, now: u64) -> bool {
        match self {
            Self::Paced(pace) => pace.is_idle(view.tat(), now),
            Self::Rolling(rolling) => rolling.is_idle(view.log(), now),
            #[cfg(feature = "calendar")]
            Self::Calendar(rule) => rule.is_idle(view.used(), now),
        }
    }

    /// Takes a state along that a clock wrote which was badly wrong.
    #[cfg_attr(
        not(feature = "calendar"),
        expect(unused_variables, reason = "only calendars go by that clock")
    )]
    pub(crate) fn by_clock(&self, state: &mut State, now: u64) {
        match (self, state) {
            #[cfg(feature = "calendar")]
            (Self::Calendar(rule), State::Calendar(used)) => *used = rule.by_clock(*used, now),
            _ => {}
        }
    }

    /// The state under this rule of what was spent under another.
    #[must_use]
    pub fn convert(&self, old: &Self, state: State, now: u64) -> State {
        match (self, old, state) {
            (Self::Paced(new), Self::Paced(old), State::Paced(tat)) => {
                State::Paced(new.convert(old, tat, now))
            }
            (Self::Rolling(new), Self::Rolling(old), State::Rolling(mut log)) => {
                new.convert(old, &mut log, now);
                State::Rolling(log)
            }
            #[cfg(feature = "calendar")]
            (Self::Calendar(new), Self::Calendar(old), State::Calendar(used)) => {
                State::Calendar(new.convert(old, used, now))
            }
            (_, Self::Paced(old), State::Paced(tat)) => self.owing(old.spent(tat, now), now),
            (_, Self::Rolling(old), State::Rolling(log)) => self.owing(old.spent(&log, now), now),
            #[cfg(feature = "calendar")]
            (_, Self::Calendar(old), State::Calendar(used)) => {
                self.owing(old.spent(used, now), now)
            }
            // The state was of another kind than its rule, so it says nothing.
            _ => self.fresh(),
        }
    }

    fn owing(&self, units: u64, now: u64) -> State {
        match self {
            Self::Paced(pace) => State::Paced(pace.owing(units, now)),
            Self::Rolling(rolling) => State::Rolling(rolling.owing(units, now)),
            #[cfg(feature = "calendar")]
            Self::Calendar(rule) => State::Calendar(rule.owing(units, now)),
        }
    }
}

// === impl State ===

impl State {
    /// A look at it.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        match self {
            Self::Paced(tat) => View::Paced(*tat),
            Self::Rolling(log) => View::Rolling(log),
            #[cfg(feature = "calendar")]
            Self::Calendar(used) => View::Calendar(*used),
        }
    }
}

impl<'a> View<'a> {
    pub(crate) fn tat(self) -> Tat {
        match self {
            Self::Paced(tat) => tat,
            _ => Tat::FRESH,
        }
    }

    pub(crate) fn log(self) -> &'a Log {
        match self {
            Self::Rolling(log) => log,
            _ => &NOTHING_SPENT,
        }
    }

    #[cfg(feature = "calendar")]
    pub(crate) fn used(self) -> Used {
        match self {
            Self::Calendar(used) => used,
            _ => Used::FRESH,
        }
    }
}
