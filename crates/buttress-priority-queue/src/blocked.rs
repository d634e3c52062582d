//! Who waits for what: those held back, by what holds them back.
//!
//! Pure: neither lock nor clock. Whoever was asked and refused heads a line under the name of what refused
//! it, and saves for it; those behind who need the same stand behind it and are not asked. So only the heads
//! of lines are ever asked again, each when its time has come, and nobody looks at all who wait. Whoever lacks
//! several things heads a line for each, and saves for all of them.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use crate::queue::Key;

/// Lines of those held back.
#[derive(Debug)]
pub struct Lines<N> {
    names: HashMap<N, u32, foldhash::fast::RandomState>,
    lines: Vec<Line<N>>,
    free: Vec<u32>,
    /// The further lines of those who head several.
    further: HashMap<u32, Vec<u32>, foldhash::fast::RandomState>,
    /// The lines whose first is to be asked, by who that is.
    due: BTreeSet<(Key, u32)>,
    retries: BTreeSet<(u64, u32)>,
}

#[derive(Debug)]
struct Line<N> {
    name: Option<N>,
    /// In the order of the queue.
    members: BTreeSet<(Key, u32)>,
    /// Whether the first was asked and refused, and so holds the others back.
    blocked: bool,
    /// When the first is to be asked again, if that is known.
    retry: Option<u64>,
    /// Under what it stands among those that are due.
    listed: Option<Key>,
}

impl<N> Default for Lines<N> {
    fn default() -> Self {
        Self {
            names: HashMap::default(),
            lines: Vec::new(),
            free: Vec::new(),
            further: HashMap::default(),
            due: BTreeSet::new(),
            retries: BTreeSet::new(),
        }
    }
}

impl<N: Copy + Eq + Hash> Lines<N> {
    /// Whether nobody is held back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether somebody is held back under this name.
    #[must_use]
    pub fn contains(&self, name: N) -> bool {
        self.names.contains_key(&name)
    }

    /// Whether somebody ahead of `key` saves for what has this name.
    #[must_use]
    pub fn holds(&self, name: N, key: Key) -> bool {
        self.names.get(&name).is_some_and(|line| {
            let line = &self.lines[*line as usize];
            line.blocked && line.members.first().is_some_and(|(first, _)| *first < key)
        })
    }

    /// Stands behind those who wait for the same, and tells in which line.
    pub fn join(&mut self, name: N, key: Key, id: u32) -> u32 {
        let line = self.line(name);
        self.lines[line as usize].members.insert((key, id));
        self.refresh(line);
        line
    }

    /// Was asked and refused: heads the line, and is asked again at `retry` if that is known.
    pub fn block(&mut self, name: N, key: Key, id: u32, retry: Option<u64>) -> u32 {
        let index = self.line(name);
        let line = &mut self.lines[index as usize];
        line.members.insert((key, id));
        line.blocked = true;
        if let Some(old) = std::mem::replace(&mut line.retry, retry) {
            self.retries.remove(&(old, index));
        }
        if let Some(retry) = retry {
            self.retries.insert((retry, index));
        }
        self.refresh(index);
        index
    }

    /// Lacks what has this name too: heads that line as well.
    pub fn block_too(&mut self, name: N, key: Key, id: u32, retry: Option<u64>) {
        let index = self.block(name, key, id, retry);
        self.further.entry(id).or_default().push(index);
    }

    /// Leaves its line, the first that it was put in, and all further ones that it heads. Where it was the first, the next is to be asked.
    pub fn leave(&mut self, index: u32, key: Key, id: u32) {
        self.leave_one(index, key, id);
        if !self.further.is_empty() {
            for further in self.further.remove(&id).unwrap_or_default() {
                self.leave_one(further, key, id);
            }
        }
    }

    fn leave_one(&mut self, index: u32, key: Key, id: u32) {
        let line = &mut self.lines[index as usize];
        let was_first = line.members.first() == Some(&(key, id));
        line.members.remove(&(key, id));
        if was_first || line.members.is_empty() {
            self.unblock(index);
        }
        self.refresh(index);
    }

    /// Those whose time has come are to be asked.
    pub fn ripen(&mut self, now: u64) {
        while let Some(&(retry, index)) = self.retries.first()
            && retry <= now
        {
            self.unblock(index);
            self.refresh(index);
        }
    }

    /// What has this name may be free: the first who waits for it is to be asked.
    pub fn may_be_free(&mut self, name: N) {
        if let Some(&index) = self.names.get(&name) {
            self.unblock(index);
            self.refresh(index);
        }
    }

    /// Anything may be free: the first of every line is to be asked.
    pub fn all_may_be_free(&mut self) {
        for index in self.names.values().copied().collect::<Vec<_>>() {
            self.unblock(index);
            self.refresh(index);
        }
    }

    /// Who is to be asked first.
    #[must_use]
    pub fn first_due(&self) -> Option<(Key, u32)> {
        let (_, index) = *self.due.first()?;
        self.lines[index as usize].members.first().copied()
    }

    /// When somebody is to be asked next.
    #[must_use]
    pub fn next_retry(&self) -> Option<u64> {
        self.retries.first().map(|(retry, _)| *retry)
    }

    fn line(&mut self, name: N) -> u32 {
        if let Some(&index) = self.names.get(&name) {
            return index;
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.lines.push(Line {
                name: None,
                members: BTreeSet::new(),
                blocked: false,
                retry: None,
                listed: None,
            });
            u32::try_from(self.lines.len() - 1).unwrap_or(u32::MAX)
        });
        self.lines[index as usize].name = Some(name);
        self.names.insert(name, index);
        index
    }

    fn unblock(&mut self, index: u32) {
        let line = &mut self.lines[index as usize];
        line.blocked = false;
        if let Some(retry) = line.retry.take() {
            self.retries.remove(&(retry, index));
        }
    }

    /// Stands among those that are due if its first is to be asked; a line without members is forgotten.
    fn refresh(&mut self, index: u32) {
        let line = &mut self.lines[index as usize];
        let first = line.members.first().map(|(key, _)| *key);
        let listed = first.filter(|_| !line.blocked);
        if line.listed != listed {
            if let Some(old) = line.listed {
                self.due.remove(&(old, index));
            }
            if let Some(new) = listed {
                self.due.insert((new, index));
            }
            line.listed = listed;
        }
        if first.is_none()
            && let Some(name) = line.name.take()
        {
            self.names.remove(&name);
            self.free.push(index);
        }
    }
}
