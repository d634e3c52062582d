//! Those who were refused of late, bounded.

use std::collections::BTreeSet;

use buttress_core::{KeyHash, KeyMap};

use crate::offence::Offence;

/// Keys and what they are guilty of. Instants are nanoseconds; `now` is a parameter.
#[derive(Clone, Debug)]
pub struct Offenders {
    held: KeyMap<Offence>,
    /// By the end of their penalty, then by their last refusal: who goes when there is no room.
    by_end: BTreeSet<(u64, u64, KeyHash)>,
    by_forgetting: BTreeSet<(u64, KeyHash)>,
    most: usize,
    evicted: u64,
}

impl Offenders {
    /// Room for so many, at least one.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            held: KeyMap::default(),
            by_end: BTreeSet::new(),
            by_forgetting: BTreeSet::new(),
            most: most.max(1),
            evicted: 0,
        }
    }

    /// What a key is guilty of, if anybody remembers.
    #[must_use]
    pub fn get(&self, key: KeyHash) -> Option<Offence> {
        self.held.get(&key).copied()
    }

    /// Those who are penalised, whose penalty ends first first.
    pub fn penalised(&self, now: u64) -> impl Iterator<Item = (KeyHash, Offence)> + '_ {
        let keys = self.by_end.iter().map(|(_, _, key)| *key);
        keys.filter_map(|key| Some((key, self.get(key)?)))
            .filter(move |(_, offence)| offence.is_penalised(now))
    }

    /// When the last penalty ends; zero if there is none.
    #[must_use]
    pub fn latest_end(&self) -> u64 {
        self.by_end.last().map_or(0, |(until, ..)| *until)
    }

    /// Keeps in mind what a key is guilty of. Without room the one goes whose penalty ends first, which may
    /// be this one.
    pub fn put(&mut self, key: KeyHash, offence: Offence, now: u64) {
        let is_new = self.remove(key).is_none();
        self.forget(now);
        if is_new && self.held.len() >= self.most {
            self.evicted += 1;
            let first = self.by_end.first().copied();
            // Of those who are not penalised any more, or never were, the newcomer is the freshest.
            if let Some((until, _, evicted)) = first
                && (until <= now || until < offence.until)
            {
                self.remove(evicted);
            } else {
                return;
            }
        }
        self.insert(key, offence);
    }

    /// As [`put`](Self::put), but somebody else goes in any case.
    pub fn put_for_certain(&mut self, key: KeyHash, offence: Offence, now: u64) {
        self.remove(key);
        self.forget(now);
        if self.held.len() >= self.most {
            self.evict();
        }
        self.insert(key, offence);
    }

    /// Forgets a key, and tells what it was guilty of.
    pub fn remove(&mut self, key: KeyHash) -> Option<Offence> {
        let offence = self.held.remove(&key)?;
        self.by_end.remove(&(offence.until, offence.last, key));
        self.by_forgetting.remove(&(offence.forgotten, key));
        Some(offence)
    }

    /// Forgets everybody.
    pub fn clear(&mut self) {
        self.held.clear();
        self.by_end.clear();
        self.by_forgetting.clear();
    }

    /// Makes room for so many, at least one; who does not fit any more goes.
    pub fn set_most(&mut self, most: usize, now: u64) {
        self.most = most.max(1);
        self.forget(now);
        while self.held.len() > self.most {
            self.evict();
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// How many went because there was no room.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    fn insert(&mut self, key: KeyHash, offence: Offence) {
        self.by_end.insert((offence.until, offence.last, key));
        self.by_forgetting.insert((offence.forgotten, key));
        self.held.insert(key, offence);
    }

    fn evict(&mut self) {
        if let Some(&(_, _, key)) = self.by_end.first() {
            self.evicted += 1;
            self.remove(key);
        }
    }

    /// Forgets whoever has been quiet for long enough.
    fn forget(&mut self, now: u64) {
        while let Some(&(forgotten, key)) = self.by_forgetting.first()
            && forgotten <= now
        {
            self.remove(key);
        }
    }
}
