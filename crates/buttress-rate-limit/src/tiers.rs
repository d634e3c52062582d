//! The tiers of a limiter, and how a key's hash says which of them it is in.
//!
//! A tier is a part of the hash: six bits that tables look at neither to place a key nor to tell it from
//! another. So whatever goes by the hash goes by the tier too: the account, the line to wait in, a refund, the
//! rejection and what is rendered of it. What concerns a key whatever its tier (overrides, penalties, the
//! places in a table) goes by the hash without them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use buttress_core::KeyHash;

use crate::accounts::Accounts;
use crate::limits::Settings;

/// How many tiers a limiter can have in its life.
pub(crate) const MOST_TIERS: usize = 63;

/// The lowest of the bits: above those that choose a bucket, below those of a tag.
const SHIFT: u32 = 26;

const BITS: u64 = (MOST_TIERS as u64) << SHIFT;

/// A fresh hash, in no tier.
#[inline]
pub(crate) fn in_no_tier(hash: KeyHash) -> KeyHash {
    match hash.get() & !BITS {
        // Zero is everyone's.
        0 => KeyHash::from_number(u64::from(hash != KeyHash::EVERYONE)),
        number => KeyHash::from_number(number),
    }
}

/// The hash of a key whatever its tier.
#[inline]
pub(crate) fn key_of(hash: KeyHash) -> KeyHash {
    KeyHash::from_number(hash.get() & !BITS)
}

/// The tier that a hash says, from 1; 0 is none.
#[inline]
pub(crate) fn tier_of(hash: KeyHash) -> usize {
    // Six bits.
    usize::try_from((hash.get() & BITS) >> SHIFT).unwrap_or(0)
}

/// The tiers that were ever named, each at its place for good.
#[derive(Debug)]
pub(crate) struct Tiers {
    places: OnceLock<Box<[OnceLock<Place>]>>,
    unknown: AtomicU64,
    first_unknown: OnceLock<Box<str>>,
}

#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) name: Arc<str>,
    pub(crate) accounts: Accounts,
    /// Whether requests can be given the tier now.
    pub(crate) kept: AtomicBool,
}

impl Tiers {
    pub(crate) const fn new() -> Self {
        Self {
            places: OnceLock::new(),
            unknown: AtomicU64::new(0),
            first_unknown: OnceLock::new(),
        }
    }

    /// All of them, in order, those that were taken away too.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Place> {
        let places = self.places.get().into_iter().flatten();
        places.map_while(OnceLock::get)
    }

    /// The accounts of the tier that a hash says.
    pub(crate) fn accounts(&self, hash: KeyHash) -> Option<&Accounts> {
        let place = self.places.get()?.get(tier_of(hash).checked_sub(1)?)?;
        place.get().map(|place| &place.accounts)
    }

    /// Puts a hash into the tier of this name, if there is one.
    pub(crate) fn hash_in(&self, name: &str, hash: KeyHash) -> Option<KeyHash> {
        let named = |(_, place): &(u64, &Place)| *place.name == *name;
        let (tier, place) = (1_u64..).zip(self.iter()).find(named)?;
        let number = hash.get() & !BITS | tier << SHIFT;
        // The limiter's flags, which were set before, are read after this.
        let kept = place.kept.load(Ordering::Acquire);
        kept.then(|| KeyHash::from_number(number))
    }

    /// Gives a name its place; the settings are those of its accounts. Calls come one after the other.
    pub(crate) fn add(&self, name: &str, settings: &Arc<Settings>) {
        if self.iter().any(|place| *place.name == *name) {
            return;
        }
        let places = self
            .places
            .get_or_init(|| (0..MOST_TIERS).map(|_| OnceLock::new()).collect());
        if let Some(free) = places.iter().find(|place| place.get().is_none()) {
            let _ = free.set(Place {
                name: name.into(),
                accounts: Accounts::new(settings),
                kept: AtomicBool::new(false),
            });
        }
    }

    /// How many there would be in all with these.
    pub(crate) fn count_with<'a>(&self, names: impl Iterator<Item = &'a String>) -> usize {
        let new = names.filter(|name| self.iter().all(|place| *place.name != ***name));
        new.count() + self.iter().count()
    }

    #[cold]
    pub(crate) fn note_unknown(&self, name: &str) {
        self.unknown.fetch_add(1, Ordering::Relaxed);
        // A name can come from a request, of whatever length.
        self.first_unknown
            .get_or_init(|| name.chars().take(64).collect());
    }

    pub(crate) fn unknown(&self) -> u64 {
        self.unknown.load(Ordering::Relaxed)
    }

    pub(crate) fn first_unknown(&self) -> Option<&str> {
        self.first_unknown.get().map(AsRef::as_ref)
    }

    /// The names of those that requests can be given.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        let kept = |place: &&Place| place.kept.load(Ordering::Relaxed);
        self.iter().filter(kept).map(|place| &place.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_is_in_a_hash_and_can_be_taken_out_again() {
        let hash = in_no_tier(KeyHash::from_number(u64::MAX));
        assert_eq!((tier_of(hash), key_of(hash)), (0, hash));
        for tier in 1..=MOST_TIERS as u64 {
            let tiered = KeyHash::from_number(hash.get() | tier << SHIFT);
            assert_eq!(tier_of(tiered) as u64, tier);
            assert_eq!(key_of(tiered), hash);
        }
    }

    #[test]
    fn no_key_becomes_everyone() {
        assert_eq!(in_no_tier(KeyHash::EVERYONE), KeyHash::EVERYONE);
        assert_eq!(in_no_tier(KeyHash::from_number(BITS)).get(), 1);
    }
}
