//! The circuits of all keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use buttress_core::{KeyHash, KeyMap, Now};

use crate::cell::Cell;
use crate::shared::Shared;
use crate::sync::Mutex;

/// How many circuits are looked at, at most, to find one that can be forgotten.
const LOOKS: usize = 64;

/// More parts would not make two threads meet less often.
const MOST_PARTS: usize = 16;

/// A bounded table of circuits, in parts with a lock each.
///
/// A part that is full forgets the circuit that has least to tell, out of those that are in the state in
/// which a new one would be made and have no call in flight. If there is none of those among the ones it looks at, the newcomer's calls go unwatched:
/// they are let through and counted.
#[derive(Debug)]
pub(crate) struct Keyed {
    parts: Box<[Mutex<Part>]>,
    room: usize,
    unwatched: AtomicU64,
}

#[derive(Debug, Default)]
struct Part {
    places: KeyMap<usize>,
    cells: Vec<Arc<Cell>>,
    hand: usize,
}

impl Keyed {
    pub(crate) fn new(keys: usize) -> Self {
        let keys = keys.max(1);
        let parts = (keys / LOOKS).clamp(1, MOST_PARTS);
        Self {
            parts: (0..parts).map(|_| Mutex::new(Part::default())).collect(),
            room: keys.div_ceil(parts),
            unwatched: AtomicU64::new(0),
        }
    }

    /// The circuit of a key, made if there is none; none if there is no room.
    pub(crate) fn get_or_make(
        &self,
        key: KeyHash,
        shared: &Arc<Shared>,
        now: &Now,
    ) -> Option<Arc<Cell>> {
        let mut part = self.part(key).lock();
        if let Some(&place) = part.places.get(&key) {
            return Some(Arc::clone(&part.cells[place]));
        }
        part.make(key, shared, self.room, now)
    }

    /// Counts a call that goes unwatched.
    pub(crate) fn count_unwatched(&self) {
        self.unwatched.fetch_add(1, Ordering::Relaxed);
    }

    /// The circuit of a key, if there is one.
    pub(crate) fn get(&self, key: KeyHash) -> Option<Arc<Cell>> {
        let part = self.part(key).lock();
        let place = part.places.get(&key)?;
        Some(Arc::clone(&part.cells[*place]))
    }

    /// All circuits that there are. They are changed without a lock of the table.
    pub(crate) fn all(&self) -> Vec<Arc<Cell>> {
        let parts = self.parts.iter();
        parts.flat_map(|part| part.lock().cells.clone()).collect()
    }

    /// How many calls went unwatched.
    pub(crate) fn unwatched(&self) -> u64 {
        self.unwatched.load(Ordering::Relaxed)
    }

    fn part(&self, key: KeyHash) -> &Mutex<Part> {
        // The lower half finds the place inside the part.
        let upper = usize::try_from(key.get() >> 32).unwrap_or_default();
        &self.parts[upper % self.parts.len()]
    }
}

impl Part {
    #[cold]
    fn make(
        &mut self,
        key: KeyHash,
        shared: &Arc<Shared>,
        room: usize,
        now: &Now,
    ) -> Option<Arc<Cell>> {
        let place = if self.cells.len() < room {
            self.cells.len()
        } else {
            self.least(now)?
        };
        let cell = Arc::new(Cell::new(key, Arc::clone(shared)));
        if place == self.cells.len() {
            self.cells.push(Arc::clone(&cell));
        } else {
            let forgotten = std::mem::replace(&mut self.cells[place], Arc::clone(&cell));
            self.places.remove(&forgotten.key());
        }
        self.places.insert(key, place);
        Some(cell)
    }

    /// The circuit that has least to tell, out of those that may be forgotten. Looking begins where it ended
    /// the last time, so that all have their turn.
    fn least(&mut self, now: &Now) -> Option<usize> {
        let mut least = None;
        for _ in 0..self.cells.len().min(LOOKS) {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.cells.len();
            // Nobody else holds it, so no call of it is in flight; and nobody can take hold of it now.
            let evidence = Arc::get_mut(&mut self.cells[place]).and_then(|cell| cell.evidence(now));
            match evidence {
                Some(0) => return Some(place),
                Some(evidence) if least.is_none_or(|(other, _)| evidence < other) => {
                    least = Some((evidence, place));
                }
                _ => {}
            }
        }
        least.map(|(_, place)| place)
    }
}
