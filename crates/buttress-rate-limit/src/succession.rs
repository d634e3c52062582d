//! Which quota takes over what was spent of which, when others are put in force.

use crate::quota::{Quota, Window};
use crate::rules::Rules;

/// Whether a quota may take over from another.
pub(crate) type Likeness = fn(&Quota, &Quota) -> bool;

/// Whether they are the same but for their names.
pub(crate) fn is_equal(new: &Quota, old: &Quota) -> bool {
    (new.units(), new.period(), new.window()) == (old.units(), old.period(), old.window())
}

fn is_alike(new: &Window, old: &Window) -> bool {
    std::mem::discriminant(new) == std::mem::discriminant(old)
}

impl Rules {
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
    pub(crate) fn takes_over(&self, old: &Self, likenesses: &[Likeness]) -> Vec<Option<usize>> {
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
