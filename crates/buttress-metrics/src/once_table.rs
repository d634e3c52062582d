//! A bounded table of things that are made once and never go, found without a lock and without allocating.

use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

use foldhash::fast::RandomState;

/// Open addressing over cells that are written once: whoever finds an empty cell knows that what it looks for
/// is not there. The seed is random, so nobody can aim names at one place.
#[derive(Debug)]
pub(crate) struct OnceTable<T> {
    hash: RandomState,
    /// At least twice as many as there may be entries; a power of two.
    cells: Box<[OnceLock<T>]>,
    /// How many there may still be. It is also the lock under which entries are made.
    room: Mutex<usize>,
    /// Said without the lock, so that a flood of names does not meet at it.
    is_full: AtomicBool,
}

impl<T> OnceTable<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let cells = capacity.max(1).saturating_mul(2).next_power_of_two();
        Self {
            hash: RandomState::default(),
            cells: (0..cells).map(|_| OnceLock::new()).collect(),
            room: Mutex::new(capacity),
            is_full: AtomicBool::new(capacity == 0),
        }
    }

    /// The entry at a place that was found before.
    #[inline]
    pub(crate) fn get(&self, place: usize) -> Option<&T> {
        self.cells.get(place)?.get()
    }

    /// The place of an entry.
    #[inline]
    pub(crate) fn find(&self, key: impl Hash, is: impl Fn(&T) -> bool) -> Option<usize> {
        self.probe(key, is).ok()
    }

    /// Its place, or the empty one where it would be.
    #[inline]
    fn probe(&self, key: impl Hash, is: impl Fn(&T) -> bool) -> Result<usize, usize> {
        let mask = self.cells.len() - 1;
        let hash = self.hash.hash_one(key);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "only the low bits are wanted"
        )]
        let mut place = hash as usize & mask;
        // At least half of the cells are empty.
        loop {
            match self.cells[place].get() {
                Some(entry) if is(entry) => return Ok(place),
                Some(_) => place = (place + 1) & mask,
                None => return Err(place),
            }
        }
    }

    /// The place of an entry, which is made if there is room for it.
    pub(crate) fn find_or_make(
        &self,
        key: impl Hash + Copy,
        is: impl Fn(&T) -> bool,
        make: impl FnOnce() -> T,
    ) -> Option<usize> {
        if let Some(place) = self.find(key, &is) {
            return Some(place);
        }
        if self.is_full.load(Relaxed) {
            return None;
        }
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody may have made it meanwhile.
        let place = match self.probe(key, is) {
            Ok(place) => return Some(place),
            Err(place) => place,
        };
        *room = room.checked_sub(1)?;
        self.is_full.store(*room == 0, Relaxed);
        self.cells[place].get_or_init(make);
        Some(place)
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.cells
            .iter()
            .filter(|cell| cell.get().is_some())
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_made_once_and_only_while_there_is_room() {
        let table = OnceTable::new(100);
        let place = |number: u32| table.find_or_make(number, |held| *held == number, || number);
        let places: Vec<_> = (0..100).map(place).collect();
        assert!(places.iter().all(Option::is_some));
        assert!((100..10_000).all(|number| place(number).is_none()));
        assert_eq!((0..100).map(place).collect::<Vec<_>>(), places);
        assert_eq!(table.len(), 100);
        assert_eq!(table.find(7, |held| *held == 7), places[7]);
    }

    #[test]
    fn a_table_without_room_is_asked_in_vain() {
        let table = OnceTable::new(0);
        assert_eq!(table.find_or_make(1, |_| true, || 1), None);
        assert_eq!((table.find(1, |_: &i32| true), table.len()), (None, 0));
    }
}
