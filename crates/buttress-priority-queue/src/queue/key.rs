//! Where somebody stands.

use crate::priority::MAX_LEVELS;

/// A place in the order: the smaller goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// How far below the highest level there can be.
    rank: u8,
    /// The round of the turn, where tenants take turns.
    round: u64,
    /// The number of the arrival, or of the turn where turns are taken.
    order: u64,
}

impl Key {
    /// A place in the order of a level.
    #[must_use]
    pub fn new(level: u8, order: u64) -> Self {
        Self {
            rank: MAX_LEVELS.saturating_sub(level),
            round: 0,
            order,
        }
    }

    pub(super) const fn in_round(self, round: u64) -> Self {
        Self { round, ..self }
    }

    /// Its round, if it is of that level.
    pub(super) fn round_of(self, level: u8) -> Option<u64> {
        (self.rank == Self::new(level, 0).rank).then_some(self.round)
    }
}
