//! What of a limiter outlasts a restart, as a value: taken from accounts, and put into accounts again.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use buttress_core::wall::{CivilTime, UnixNanos};
use buttress_core::{KeyHash, Seed};
use buttress_quota::algorithm::{Account, Rules};
use buttress_quota::parts::{Kept, State, is_equal};
use buttress_quota::{Quota, Window};

use crate::epoch::outlasts_a_restart;

/// What had been spent of the quotas whose period is a day or more, at one time.
///
/// Shorter quotas are as good as full after a restart and are not in it. Keys are in it as hashes only.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub(crate) seed: SavedSeed,
    pub(crate) taken: UnixNanos,
    /// The quotas under which accounts were kept, as texts.
    pub(crate) lists: Vec<SavedList>,
    pub(crate) accounts: Vec<SavedAccount>,
}

/// Quotas that accounts were kept under, and the tier of those accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SavedList {
    /// Its name; none has the empty one.
    pub(crate) tier: Box<str>,
    pub(crate) quotas: Box<[Box<str>]>,
}

/// What makes hashes mean the same after a restart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SavedSeed {
    pub(crate) number: u64,
    pub(crate) proof: u64,
}

/// What somebody has spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SavedAccount {
    /// A key, or none for the quotas that are kept for all keys together.
    pub(crate) holder: Option<KeyHash>,
    /// The index of the quotas.
    pub(crate) list: usize,
    /// One for each of them.
    pub(crate) kept: Box<[Kept]>,
}

/// What became of a snapshot that was restored. A count is what one key had spent of one quota.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// How many counts are in force again.
    pub restored: usize,
    /// How many had nothing left in them, because all of it came back in the meantime.
    pub over: usize,
    /// How many were dropped, because their quota is no longer kept.
    pub dropped: usize,
    /// The quotas of those, each once.
    pub dropped_quotas: Vec<String>,
    /// How long the time between is by the wall clocks of then and now: as much of it as a quota takes to
    /// come back has come back.
    pub elapsed: Duration,
    /// By how much the wall clock has gone backwards since; zero if it has not. Nothing came back then.
    pub clock_went_back: Duration,
}

/// A snapshot that is being taken.
pub(crate) struct Taking {
    snapshot: Snapshot,
    known: HashMap<(Box<str>, Box<[Quota]>), usize>,
    /// By the clock of the limiter.
    now: u64,
}

/// A snapshot that is being restored, for a limiter and a time.
pub(crate) struct Restoring<'a> {
    snapshot: &'a Snapshot,
    lists: Vec<List>,
    /// The nanoseconds between taking and restoring.
    elapsed: u64,
    now: u64,
    restored: Restored,
    dropped: BTreeSet<&'a str>,
}

/// Quotas that were in force, as far as this build knows them.
struct List {
    rules: Rules,
    /// The index of each in the snapshot.
    places: Vec<usize>,
}

// === impl Snapshot ===

impl Snapshot {
    /// When it was taken, by the wall clock of the limiter.
    #[must_use]
    pub fn taken(&self) -> UnixNanos {
        self.taken
    }

    /// How many accounts are in it: keys that owed something, and the one of all keys together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// The tier that a key was in, if it was in one.
    pub(crate) fn tier(&self, saved: &SavedAccount) -> Option<&str> {
        let list = self.lists.get(saved.list)?;
        (!list.tier.is_empty()).then_some(&*list.tier)
    }

    /// Whether nobody owed anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the seed nor hashes: they can be aimed at.
        f.debug_struct("Snapshot")
            .field("taken", &self.taken)
            .field("accounts", &self.accounts.len())
            .finish_non_exhaustive()
    }
}

// === impl SavedSeed ===

impl SavedSeed {
    /// That of a seed that can be kept.
    pub(crate) fn of(seed: &Seed) -> Option<Self> {
        Some(Self {
            number: seed.number()?,
            proof: seed.proof(),
        })
    }
}

// === impl Taking ===

impl Taking {
    pub(crate) fn new(seed: SavedSeed, taken: UnixNanos, now: u64) -> Self {
        Self {
            snapshot: Snapshot {
                seed,
                taken,
                lists: Vec::new(),
                accounts: Vec::new(),
            },
            known: HashMap::new(),
            now,
        }
    }

    /// Adds what is to be kept of an account.
    pub(crate) fn add(
        &mut self,
        (tier, holder): (Option<&str>, Option<KeyHash>),
        rules: &Rules,
        account: &Account,
    ) {
        let quotas = rules.quotas().iter().zip(rules.parts()).enumerate();
        let kept: Box<[Kept]> = quotas
            .filter(|(_, (quota, _))| outlasts_a_restart(quota))
            .map(|(index, (_, rule))| rule.keep(account.view(index), self.now))
            .collect();
        if kept.iter().any(|kept| *kept != Kept::Nothing) {
            let list = self.list(tier.unwrap_or_default(), rules.quotas());
            self.snapshot
                .accounts
                .push(SavedAccount { holder, list, kept });
        }
    }

    pub(crate) fn done(self) -> Snapshot {
        self.snapshot
    }

    /// The index of quotas, which are written down when they are first met.
    fn list(&mut self, tier: &str, quotas: &[Quota]) -> usize {
        let key = (tier.into(), quotas.into());
        if let Some(index) = self.known.get(&key) {
            return *index;
        }
        let lasting = quotas.iter().filter(|quota| outlasts_a_restart(quota));
        let index = self.snapshot.lists.len();
        self.snapshot.lists.push(SavedList {
            tier: tier.into(),
            quotas: lasting.map(|quota| quota.to_string().into()).collect(),
        });
        self.known.insert(key, index);
        index
    }
}

// === impl Restoring ===

impl<'a> Restoring<'a> {
    /// `now` is by the clock of the limiter, and `civil` what civil time that is.
    pub(crate) fn new(snapshot: &'a Snapshot, civil: &CivilTime, now: u64) -> Self {
        let unix = civil.at(now);
        // A wall clock that went backwards says nothing of the time between, so none has passed: nothing
        // comes back too early, and nobody waits longer than if he had come when the snapshot was taken.
        let elapsed = snapshot.taken.until(unix);
        Self {
            lists: snapshot
                .lists
                .iter()
                .map(|list| List::read(&list.quotas, civil))
                .collect(),
            elapsed: u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX),
            now,
            restored: Restored {
                elapsed,
                clock_went_back: unix.until(snapshot.taken),
                ..Restored::default()
            },
            dropped: BTreeSet::new(),
            snapshot,
        }
    }

    /// Puts into an account what was saved of it: of what a quota has already, and of what was saved, the one
    /// of which more is spent, so that restoring twice is restoring once.
    pub(crate) fn put(
        &mut self,
        saved: &'a SavedAccount,
        account: &mut Account,
        rules: &Rules,
        now: u64,
    ) {
        let Some(list) = self.lists.get(saved.list) else {
            return;
        };
        let taken_over = rules.takes_over(&list.rules, &[is_equal, is_of_one_kind]);
        let mut found = vec![false; saved.kept.len()];
        let mut states = Vec::with_capacity(rules.len());
        for (index, (rule, from)) in rules.parts().iter().zip(taken_over).enumerate() {
            let present = account.view(index).to_state(rule);
            let saved = from.and_then(|from| {
                let place = *list.places.get(from)?;
                *found.get_mut(place)? = true;
                let (old, kept) = (list.rules.parts().get(from)?, saved.kept.get(place)?);
                let state = old.restore(kept, self.elapsed, self.now);
                (*kept != Kept::Nothing).then(|| rule.convert(old, state, now))
            });
            let state = match saved {
                None => present,
                Some(state) if rule.is_idle(state.view(), now) => {
                    self.restored.over += 1;
                    present
                }
                Some(state) => {
                    self.restored.restored += 1;
                    rule.more_spent(present, state, now)
                }
            };
            states.push(state);
        }
        let states: Box<[State]> = states.into();
        if !rules.is_empty() {
            *account = Account::of(rules, states);
        }
        self.drop_unless(&found, saved);
    }

    /// Drops an account whose tier is no longer there.
    pub(crate) fn drop_all(&mut self, saved: &'a SavedAccount) {
        self.drop_unless(&vec![false; saved.kept.len()], saved);
    }

    /// What became of it all.
    pub(crate) fn done(mut self) -> Restored {
        self.restored.dropped_quotas = self.dropped.iter().map(ToString::to_string).collect();
        self.restored
    }

    /// Counts what no quota has taken over.
    fn drop_unless(&mut self, found: &[bool], saved: &SavedAccount) {
        let Some(list) = self.snapshot.lists.get(saved.list) else {
            return;
        };
        for ((kept, found), text) in saved.kept.iter().zip(found).zip(&list.quotas) {
            if !found && *kept != Kept::Nothing {
                self.restored.dropped += 1;
                self.dropped.insert(text);
            }
        }
    }
}

impl List {
    /// A text that is no quota to this build, such as that of a zone it does not have, is left out.
    fn read(texts: &[Box<str>], civil: &CivilTime) -> Self {
        let quotas = texts.iter().enumerate();
        let (places, quotas): (Vec<usize>, Vec<Quota>) = quotas
            .filter_map(|(place, text)| Some((place, text.parse().ok()?)))
            .unzip();
        Self {
            rules: Rules::with_civil_time(&quotas, civil),
            places,
        }
    }
}

/// Whether what was spent of one is spent of the other: what comes back when is the same for both.
fn is_of_one_kind(new: &Quota, old: &Quota) -> bool {
    new.period_nanos() == old.period_nanos()
        && match (new.window(), old.window()) {
            (Window::Paced { .. }, Window::Paced { .. }) | (Window::Rolling, Window::Rolling) => {
                true
            }
            #[cfg(feature = "calendar")]
            (one, other) => one == other,
            #[cfg(not(feature = "calendar"))]
            _ => false,
        }
}
