//! Quotas made ready for arithmetic, together.

use std::time::Duration;

use buttress_core::wall::CivilTime;

use crate::gcra::{Pace, Verdict};
use crate::quota::{Quota, Window};
use crate::rule::Rule;

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
    /// What the quotas are a share of, by which they are known again after a change.
    whole: Box<[Quota]>,
    pub(crate) rules: Box<[Rule]>,
    /// The pace of the one quota, if it is one and paced: the short way through every decision.
    pub(crate) only: Option<Pace>,
}

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
    ///
    /// Instants are nanoseconds since an epoch of the caller's; for calendars that is the Unix epoch. With
    /// another one use [`with_civil_time`](Rules::with_civil_time).
    #[must_use]
    pub fn new(quotas: &[Quota]) -> Self {
        Self::with_civil_time(quotas, &CivilTime::UNIX)
    }

    /// As [`new`](Rules::new), with what civil time it is at an instant.
    #[must_use]
    pub fn with_civil_time(quotas: &[Quota], civil: &CivilTime) -> Self {
        Self::of_share(quotas, 1, civil)
    }

    /// The rules of one of so many instances.
    #[doc(hidden)]
    #[must_use]
    pub fn of_share(whole: &[Quota], instances: u32, civil: &CivilTime) -> Self {
        let quotas: Box<[Quota]> = whole.iter().map(|quota| quota.share(instances)).collect();
        let rules: Box<[Rule]> = quotas.iter().map(|quota| Rule::new(quota, civil)).collect();
        let only = match *rules {
            [Rule::Paced(pace)] => Some(pace),
            _ => None,
        };
        Self {
            quotas,
            whole: whole.into(),
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

    /// Every quota made ready, in order.
    #[doc(hidden)]
    #[must_use]
    pub fn parts(&self) -> &[Rule] {
        &self.rules
    }

    /// The pace of the one quota, if it is one and paced.
    #[doc(hidden)]
    #[inline]
    #[must_use]
    pub fn only(&self) -> Option<Pace> {
        self.only
    }

    /// For every quota of these rules the index of the one that it takes over from, out of `old`.
    ///
    /// An equal one goes first, then one of the same kind and period, then the rest in order.
    pub(crate) fn predecessors(&self, old: &Self) -> Vec<Option<usize>> {
        self.takes_over(
            old,
            &[
                is_equal,
                |new, old| new.period() == old.period() && is_alike(new.window(), old.window()),
                |_, _| true,
            ],
        )
    }

    /// For every quota of these rules the index of the one that it takes over from, out of `old`: the first
    /// that is left by the first likeness, then by the next.
    #[doc(hidden)]
    #[must_use]
    pub fn takes_over(&self, old: &Self, likenesses: &[Likeness]) -> Vec<Option<usize>> {
        let mut taken = vec![false; old.len()];
        let mut predecessors = vec![None; self.len()];
        let alike_at = |alike: Likeness, new: usize, before: usize| {
            // What was kept as a text is known by its share alone.
            alike(&self.whole[new], &old.whole[before])
                || alike(&self.quotas[new], &old.quotas[before])
        };
        for &alike in likenesses {
            for (new, predecessor) in predecessors.iter_mut().enumerate() {
                if predecessor.is_some() {
                    continue;
                }
                *predecessor =
                    (0..old.len()).find(|&before| !taken[before] && alike_at(alike, new, before));
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

/// Whether a quota may take over from another.
pub type Likeness = fn(&Quota, &Quota) -> bool;

/// Whether they are the same but for their names.
#[must_use]
pub fn is_equal(new: &Quota, old: &Quota) -> bool {
    (new.units(), new.period(), new.window()) == (old.units(), old.period(), old.window())
}

fn is_alike(new: &Window, old: &Window) -> bool {
    std::mem::discriminant(new) == std::mem::discriminant(old)
}
