//! Entering a level, and leaving it.

use std::collections::VecDeque;

use super::{Arrival, Queue, Stand};
use crate::fair::Item;

impl<T> Queue<T> {
    pub(super) fn takes_turns(&self) -> bool {
        self.rules.fair || self.rules.newest_first_after.is_some()
    }

    pub(super) fn is_newest_first(&self, now: u64) -> bool {
        match (self.rules.newest_first_after, self.backed_up_since) {
            (Some(after), Some(since)) => now.saturating_sub(since) >= after,
            _ => false,
        }
    }

    pub(super) fn enter(&mut self, id: u32) {
        let rules = self.rules;
        let Some(entry) = self.get_mut(id) else {
            return;
        };
        let (seq, level, arrival) = (entry.seq, entry.level, entry.arrival);
        entry.rises_at = match rules.ageing {
            Some(ageing) if level < rules.top => {
                let steps = u64::from(level - arrival.level.min(rules.top)) + 1;
                arrival.at.saturating_add(ageing.saturating_mul(steps))
            }
            _ => u64::MAX,
        };
        let rises_at = entry.rises_at;
        if rises_at != u64::MAX {
            self.rises.insert((rises_at, seq, id));
        }
        let line = &mut self.levels[usize::from(level)];
        insert(&mut line.all, seq, id);
        match rules.fair {
            true => line.ring.push(
                arrival.tenant,
                Item {
                    seq,
                    id,
                    cost: arrival.cost.max(1),
                },
            ),
            false => insert(&mut line.ready, seq, id),
        }
        self.occupied |= 1 << level;
        self.ready |= 1 << level;
    }

    pub(super) fn leave_level(&mut self, id: u32, served: bool) {
        let Some(entry) = self.get(id) else { return };
        let (seq, level, stand, rises_at) = (entry.seq, entry.level, entry.stand, entry.rises_at);
        let Arrival { tenant, cost, .. } = entry.arrival;
        if rises_at != u64::MAX {
            self.rises.remove(&(rises_at, seq, id));
        }
        let line = &mut self.levels[usize::from(level)];
        remove(&mut line.all, seq);
        match (self.rules.fair, stand) {
            (_, Stand::Gone) => {}
            (true, Stand::Ready) => line.ring.remove(tenant, seq),
            (true, _) => line.ring.settle(tenant, (!served).then_some(cost.max(1))),
            (false, Stand::Ready) => remove(&mut line.ready, seq),
            (false, _) => {}
        }
        if line.all.is_empty() {
            self.occupied &= !(1 << level);
        }
        self.note_ready(level);
    }

    pub(super) fn note_ready(&mut self, level: u8) {
        let line = &self.levels[usize::from(level)];
        let empty = match self.rules.fair {
            true => line.ring.is_empty(),
            false => line.ready.is_empty(),
        };
        match empty {
            true => self.ready &= !(1 << level),
            false => self.ready |= 1 << level,
        }
    }
}

pub(super) fn highest(levels: u64) -> Option<u8> {
    let level = u64::BITS.checked_sub(levels.leading_zeros() + 1)?;
    u8::try_from(level).ok()
}

pub(super) fn lowest(levels: u64) -> Option<u8> {
    match levels {
        0 => None,
        levels => u8::try_from(levels.trailing_zeros()).ok(),
    }
}

/// In order of arrival, which for newcomers is at the end.
fn insert(line: &mut VecDeque<(u64, u32)>, seq: u64, id: u32) {
    match line.back() {
        Some((last, _)) if *last > seq => {
            let behind = line.partition_point(|(other, _)| *other < seq);
            line.insert(behind, (seq, id));
        }
        _ => line.push_back((seq, id)),
    }
}

fn remove(line: &mut VecDeque<(u64, u32)>, seq: u64) {
    if line.front().is_some_and(|(first, _)| *first == seq) {
        line.pop_front();
    } else if let Ok(place) = line.binary_search_by_key(&seq, |(other, _)| *other) {
        line.remove(place);
    }
}
