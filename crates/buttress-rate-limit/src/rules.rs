//! Quotas made ready for arithmetic, and what a key has spent under one of them.
//!
//! The kinds of window meet here and nowhere else: [`Rule`] asks the algorithm that its quota needs, and a
//! further kind is one variant of [`Rule`] and of [`State`].

use std::time::Duration;

use crate::gcra::{Pace, Tat, Verdict};
use crate::quota::{Quota, Window};
use crate::window::{Log, Rolling};

/// When a refused cost can be admitted. The later one is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// After this long, and not a nanosecond sooner, if nothing else is spent.
    After(Duration),
    /// Never: the cost is above a capacity.
    Never,
}

/// How one quota of an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The index of the quota in [`Rules::quotas`].
    pub quota: usize,
    /// The most units that can be spent at one instant.
    pub capacity: u64,
    /// The whole units that can be spent now.
    pub remaining: u64,
    /// How long until `remaining` next grows if nothing is spent; `None` if it is at the capacity.
    pub until_more: Option<Duration>,
}

/// Quotas made ready for arithmetic.
#[derive(Clone, Debug)]
pub struct Rules {
    quotas: Box<[Quota]>,
    pub(crate) rules: Box<[Rule]>,
    /// The pace of the one quota, if it is one and paced: the short way through every decision.
    pub(crate) only: Option<Pace>,
}

/// One quota made ready for arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Paced(Pace),
    Rolling(Rolling),
}

/// What is spent under one quota.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Paced(Tat),
    Rolling(Log),
}

/// A look at what is spent under one quota.
#[derive(Clone, Copy)]
pub(crate) enum View<'a> {
    Nothing,
    Paced(Tat),
    Rolling(&'a Log),
}

static NOTHING_SPENT: Log = Log::new();

// === impl When ===

impl When {
    #[inline]
    pub(crate) fn of<T>(verdict: Verdict<T>) -> Result<T, Self> {
        match verdict {
            Verdict::Fits(fits) => Ok(fits),
            Verdict::After(wait) => Err(Self::After(wait)),
            Verdict::Never => Err(Self::Never),
        }
    }
}

// === impl Rules ===

impl Rules {
    /// The rules of quotas that are kept together. None at all admit everything.
    #[must_use]
    pub fn new(quotas: &[Quota]) -> Self {
        let rules: Box<[Rule]> = quotas.iter().map(Rule::new).collect();
        let only = match *rules {
            [Rule::Paced(pace)] => Some(pace),
            _ => None,
        };
        Self {
            quotas: quotas.into(),
            rules,
            only,
        }
    }

    /// The quotas in the order in which they were written.
    #[must_use]
    pub fn quotas(&self) -> &[Quota] {
        &self.quotas
    }

    /// How many quotas there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.quotas.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.quotas.is_empty()
    }

    /// For every quota of these rules the index of the one that it takes over from, out of `old`.
    ///
    /// An equal one goes first, then one of the same kind and period, then the rest in order.
    pub(crate) fn predecessors(&self, old: &Self) -> Vec<Option<usize>> {
        type Likeness = fn(&Quota, &Quota) -> bool;
        const LIKENESSES: [Likeness; 3] = [
            |new, old| {
                (new.units(), new.period(), new.window())
                    == (old.units(), old.period(), old.window())
            },
            |new, old| new.period() == old.period() && is_paced(new) == is_paced(old),
            |_, _| true,
        ];
        let mut taken = vec![false; old.len()];
        let mut predecessors = vec![None; self.len()];
        for alike in LIKENESSES {
            for (quota, predecessor) in self.quotas.iter().zip(&mut predecessors) {
                if predecessor.is_some() {
                    continue;
                }
                *predecessor =
                    (0..old.len()).find(|&index| !taken[index] && alike(quota, &old.quotas[index]));
                if let Some(index) = *predecessor {
                    taken[index] = true;
                }
            }
        }
        predecessors
    }
}

impl From<&[Quota]> for Rules {
    fn from(quotas: &[Quota]) -> Self {
        Self::new(quotas)
    }
}

fn is_paced(quota: &Quota) -> bool {
    matches!(quota.window(), Window::Paced { .. })
}

// === impl Rule ===

impl Rule {
    fn new(quota: &Quota) -> Self {
        match *quota.window() {
            Window::Paced { burst } => {
                Self::Paced(Pace::new(quota.units(), quota.period_nanos(), burst))
            }
            Window::Rolling => Self::Rolling(Rolling::new(quota.units(), quota.period_nanos())),
        }
    }

    pub(crate) fn fresh(&self) -> State {
        match self {
            Self::Paced(_) => State::Paced(Tat::FRESH),
            Self::Rolling(_) => State::Rolling(Log::new()),
        }
    }

    pub(crate) fn refusal(&self, view: View<'_>, cost: u64, now: u64) -> Option<When> {
        match self {
            Self::Paced(pace) => When::of(pace.check(view.tat(), cost, now)).err(),
            Self::Rolling(rolling) => When::of(rolling.check(view.log(), cost, now)).err(),
        }
    }

    pub(crate) fn spend(&self, state: &mut State, cost: u64, now: u64) {
        match self {
            Self::Paced(pace) => *state = State::Paced(pace.spend(state.view().tat(), cost, now)),
            Self::Rolling(rolling) => match state {
                State::Rolling(log) => rolling.spend(log, cost, now),
                State::Paced(_) => *state = State::Rolling(rolling.owing(cost, now)),
            },
        }
    }

    pub(crate) fn refund(&self, state: &mut State, cost: u64, spent_at: Option<u64>, now: u64) {
        match (self, state) {
            (Self::Paced(pace), State::Paced(tat)) => *tat = pace.refund(*tat, cost, now),
            (Self::Rolling(rolling), State::Rolling(log)) => match spent_at {
                Some(spent_at) => rolling.refund_at(log, cost, spent_at, now),
                None => rolling.refund(log, cost, now),
            },
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
        }
    }

    pub(crate) fn debt(&self, view: View<'_>, now: u64) -> u64 {
        match self {
            Self::Paced(pace) => pace.debt(view.tat(), now),
            Self::Rolling(rolling) => rolling.debt(view.log(), now),
        }
    }

    pub(crate) fn is_idle(&self, view: View<'_>, now: u64) -> bool {
        match self {
            Self::Paced(pace) => pace.is_idle(view.tat(), now),
            Self::Rolling(rolling) => rolling.is_idle(view.log(), now),
        }
    }

    /// The state under this rule of what was spent under another.
    pub(crate) fn convert(&self, old: &Self, state: State, now: u64) -> State {
        match (self, old, state) {
            (Self::Paced(new), Self::Paced(old), State::Paced(tat)) => {
                State::Paced(new.convert(old, tat, now))
            }
            (Self::Rolling(new), Self::Rolling(old), State::Rolling(mut log)) => {
                new.convert(old, &mut log, now);
                State::Rolling(log)
            }
            (_, Self::Paced(old), State::Paced(tat)) => self.owing(old.spent(tat, now), now),
            (_, Self::Rolling(old), State::Rolling(log)) => self.owing(old.spent(&log, now), now),
            // The state was of another kind than its rule, so it says nothing.
            _ => self.fresh(),
        }
    }

    fn owing(&self, units: u64, now: u64) -> State {
        match self {
            Self::Paced(pace) => State::Paced(pace.owing(units, now)),
            Self::Rolling(rolling) => State::Rolling(rolling.owing(units, now)),
        }
    }
}

// === impl State ===

impl State {
    pub(crate) fn view(&self) -> View<'_> {
        match self {
            Self::Paced(tat) => View::Paced(*tat),
            Self::Rolling(log) => View::Rolling(log),
        }
    }
}

impl<'a> View<'a> {
    fn tat(self) -> Tat {
        match self {
            Self::Paced(tat) => tat,
            _ => Tat::FRESH,
        }
    }

    fn log(self) -> &'a Log {
        match self {
            Self::Rolling(log) => log,
            _ => &NOTHING_SPENT,
        }
    }
}
