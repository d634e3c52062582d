//! In which order those who wait go.
//!
//! Pure: neither lock nor clock; `now` is in nanoseconds of the caller's. Effective priority first, which is
//! one's own and one more per full ageing waited; then the tenant's turn, if turns are taken; then arrival, or,
//! while the queue has been backed up for long and that was asked for, the latest arrival.

mod key;
mod standing;

use std::collections::{BTreeSet, VecDeque};

use buttress_core::KeyHash;

use crate::fair::Ring;
pub use key::Key;
use standing::{highest, lowest};

/// The rules of an order.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The highest level.
    pub top: u8,
    /// After how many nanoseconds one rises a level.
    pub ageing: Option<u64>,
    /// Whether tenants take turns.
    pub fair: bool,
    /// After how many nanoseconds of never being empty the latest goes first.
    pub newest_first_after: Option<u64>,
}

/// Somebody who comes to wait.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Its own level.
    pub level: u8,
    /// Whose it is.
    pub tenant: KeyHash,
    /// What its turn costs; 0 is 1.
    pub cost: u64,
    /// When it came.
    pub at: u64,
    /// How long it waits at most: until then, inclusive.
    pub patience: u64,
    /// From when on nothing of it is started.
    pub deadline: u64,
}

impl Arrival {
    fn end(&self) -> u64 {
        self.deadline.min(self.patience)
    }
}

/// Where somebody who waits stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Its turn is still to come.
    Ready,
    /// Its turn has come, and is being decided on.
    Drawn(Key),
    /// Its turn has come, and something holds it back: the number of its line.
    Held(Key, u32),
    /// It waits no more.
    Gone,
}

/// One who waits, and what the caller keeps of it.
#[derive(Debug)]
pub struct Entry<T> {
    /// What it came with.
    pub arrival: Arrival,
    /// Its effective level.
    pub level: u8,
    /// Where it stands.
    pub stand: Stand,
    /// The caller's.
    pub value: T,
    seq: u64,
    rises_at: u64,
}

#[derive(Debug, Default)]
struct Level {
    /// All of the level, in order of arrival.
    all: VecDeque<(u64, u32)>,
    /// Those whose turn is still to come, where no turns are taken.
    ready: VecDeque<(u64, u32)>,
    /// The same, where they are.
    ring: Ring,
}

/// Those who wait, in order.
#[derive(Debug)]
pub struct Queue<T> {
    rules: Rules,
    entries: Vec<Option<Entry<T>>>,
    free: Vec<u32>,
    levels: Vec<Level>,
    /// Which levels have somebody whose turn is still to come, and which have anybody.
    ready: u64,
    occupied: u64,
    waiting: usize,
    /// How many came with a level.
    came_with: Vec<usize>,
    next_seq: u64,
    next_turn: u64,
    /// Who rises, when, and of those who rise together in order of arrival.
    rises: BTreeSet<(u64, u64, u32)>,
    /// Whose wait ends, when, and of those that end together in order of arrival.
    expires: BTreeSet<(u64, u64, u32)>,
    backed_up_since: Option<u64>,
}

impl<T> Queue<T> {
    /// Nobody waits.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            entries: Vec::new(),
            free: Vec::new(),
            levels: (0..=rules.top).map(|_| Level::default()).collect(),
            ready: 0,
            occupied: 0,
            waiting: 0,
            came_with: vec![0; usize::from(rules.top) + 1],
            next_seq: 0,
            next_turn: 0,
            rises: BTreeSet::new(),
            expires: BTreeSet::new(),
            backed_up_since: None,
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// How many of a level wait.
    #[must_use]
    pub fn depth(&self, level: u8) -> usize {
        self.levels
            .get(usize::from(level))
            .map_or(0, |level| level.all.len())
    }

    /// How many wait who came with this level.
    #[must_use]
    pub fn came_with(&self, level: u8) -> usize {
        let count = self.came_with.get(usize::from(level));
        count.copied().unwrap_or(0)
    }

    /// Whether the order depends on the time.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.rules.ageing.is_some()
            || self.rules.newest_first_after.is_some()
            || !self.expires.is_empty()
    }

    /// Somebody comes, at the end of its level.
    pub fn push(&mut self, arrival: Arrival, value: T) -> u32 {
        let seq = self.next_seq;
        self.next_seq += 1;
        let level = arrival.level.min(self.rules.top);
        let entry = Entry {
            arrival,
            level,
            stand: Stand::Ready,
            value,
            seq,
            rises_at: u64::MAX,
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.entries[id as usize] = Some(entry);
                id
            }
            None => {
                self.entries.push(Some(entry));
                u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let end = arrival.end();
        if end != u64::MAX {
            self.expires.insert((end, seq, id));
        }
        if self.waiting == 0 {
            self.backed_up_since = Some(arrival.at);
        }
        self.waiting += 1;
        self.came_with[usize::from(level)] += 1;
        self.enter(id);
        id
    }

    /// What is kept of somebody.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<&Entry<T>> {
        self.entries.get(id as usize)?.as_ref()
    }

    /// What is kept of somebody.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut Entry<T>> {
        self.entries.get_mut(id as usize)?.as_mut()
    }

    /// Forgets somebody who waits no more.
    pub fn forget(&mut self, id: u32) -> Option<T> {
        let entry = self.entries.get_mut(id as usize)?.take()?;
        self.free.push(id);
        Some(entry.value)
    }

    /// Where the next whose turn is to come would stand; what holds others back may be ahead of it.
    #[must_use]
    pub fn peek(&self) -> Option<Key> {
        let level = highest(self.ready)?;
        let line = &self.levels[usize::from(level)];
        if self.rules.fair {
            return Some(Key::new(level, u64::MAX).in_round(line.ring.next_round()?));
        }
        let order = match self.takes_turns() {
            true => u64::MAX,
            false => line.ready.front()?.0,
        };
        Some(Key::new(level, order))
    }

    /// Whose turn comes next, unless that is in a later round than the one who would go otherwise.
    pub fn draw(&mut self, now: u64, before: Option<Key>) -> Option<(Key, u32)> {
        let level = highest(self.ready)?;
        let newest_first = self.is_newest_first(now);
        let line = &mut self.levels[usize::from(level)];
        let mut round = 0;
        let last_round = before
            .and_then(|key| key.round_of(level))
            .unwrap_or(u64::MAX);
        let drawn = match (self.rules.fair, newest_first) {
            (true, _) => line.ring.draw(newest_first, last_round).map(|(item, of)| {
                round = of;
                (item.seq, item.id)
            }),
            (false, true) => line.ready.pop_back(),
            (false, false) => line.ready.pop_front(),
        };
        let (seq, id) = drawn?;
        self.note_ready(level);
        let order = match self.takes_turns() {
            true => {
                self.next_turn += 1;
                self.next_turn
            }
            false => seq,
        };
        let key = Key::new(level, order).in_round(round);
        self.get_mut(id)?.stand = Stand::Drawn(key);
        Some((key, id))
    }

    /// Somebody waits no more: it goes, or, if nothing came of its turn, leaves.
    pub fn remove(&mut self, id: u32, served: bool) {
        let Some(entry) = self.get(id) else { return };
        let (level, seq) = (entry.arrival.level, entry.seq);
        let end = entry.arrival.end();
        if entry.stand == Stand::Gone {
            return;
        }
        self.expires.remove(&(end, seq, id));
        self.leave_level(id, served);
        if let Some(entry) = self.get_mut(id) {
            entry.stand = Stand::Gone;
        }
        self.waiting -= 1;
        self.came_with[usize::from(level.min(self.rules.top))] -= 1;
        if self.waiting == 0 {
            self.backed_up_since = None;
        }
    }

    /// The one who rises next, if its time has come. Whoever is held back must leave its line first; then
    /// say [`rise`](Self::rise).
    #[must_use]
    pub fn next_to_rise(&self, now: u64) -> Option<u32> {
        self.rises
            .first()
            .filter(|(at, ..)| *at <= now)
            .map(|(.., id)| *id)
    }

    /// Somebody goes up a level, and waits for its turn there.
    pub fn rise(&mut self, id: u32) {
        self.leave_level(id, false);
        if let Some(entry) = self.get_mut(id) {
            entry.level += 1;
            entry.stand = Stand::Ready;
        }
        self.enter(id);
    }

    /// When the next one rises.
    #[must_use]
    pub fn next_rise(&self) -> Option<u64> {
        self.rises.first().map(|(at, ..)| *at)
    }

    /// Those whose wait ends before or at `now`, the earliest end first.
    #[must_use]
    pub fn expired(&self, now: u64) -> Vec<u32> {
        let ends = self.expires.iter().take_while(|(at, ..)| *at <= now);
        ends.map(|(.., id)| *id).collect()
    }

    /// The one whose wait ends first, if that is before or at `now`.
    #[must_use]
    pub fn next_to_expire(&self, now: u64) -> Option<u32> {
        let first = self.expires.first();
        first.filter(|(at, ..)| *at <= now).map(|(.., id)| *id)
    }

    /// When the next wait ends.
    #[must_use]
    pub fn next_expiry(&self) -> Option<u64> {
        self.expires.first().map(|(at, ..)| *at)
    }

    /// The latest arrival of the lowest level, and that level.
    #[must_use]
    pub fn last(&self) -> Option<(u8, u32)> {
        let level = lowest(self.occupied)?;
        let (_, id) = *self.levels[usize::from(level)].all.back()?;
        Some((level, id))
    }

    /// How many wait at this level or above.
    #[must_use]
    pub fn ahead_of(&self, level: u8) -> usize {
        let from = usize::from(level.min(self.rules.top));
        self.levels[from..]
            .iter()
            .map(|level| level.all.len())
            .sum()
    }

    /// All who wait, in order of arrival.
    #[must_use]
    pub fn by_arrival(&self) -> Vec<u32> {
        let mut all: Vec<_> = self
            .levels
            .iter()
            .flat_map(|level| level.all.iter().copied())
            .collect();
        all.sort_unstable();
        all.into_iter().map(|(_, id)| id).collect()
    }

    /// Puts other rules in force: everybody's turn is to come again, in order of arrival.
    pub fn set_rules(&mut self, rules: Rules) {
        let all = self.by_arrival();
        self.rules = rules;
        self.levels = (0..=rules.top).map(|_| Level::default()).collect();
        (self.ready, self.occupied) = (0, 0);
        self.came_with = vec![0; usize::from(rules.top) + 1];
        self.rises.clear();
        for id in all {
            if let Some(Some(entry)) = self.entries.get_mut(id as usize) {
                entry.level = entry.arrival.level.min(rules.top);
                entry.stand = Stand::Ready;
                self.came_with[usize::from(entry.level)] += 1;
            }
            self.enter(id);
        }
    }
}
