//! What is kept per key: in the small table while a single paced quota is all there is, else in the general
//! one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use buttress_core::KeyHash;
use buttress_quota::algorithm::Account;

use crate::limits::Settings;
use crate::paced_bucket::{Locked, SLOTS};
use crate::paced_table::PacedTable;
use crate::short_pace::Span;
use crate::table::{Counts, Entry, Table};

/// Once something needs the general table, it stays: its keys cannot go back to fewer bits.
///
/// While keys go from the one to the other, a bucket's keys go together. A key stands in one place: it is
/// entered into the general table only under the locks of both its buckets in the small one.
#[derive(Debug)]
pub(crate) struct Keyed {
    keys: usize,
    paced: Option<PacedTable>,
    general: OnceLock<Table>,
    /// Whether all keys of the small table have gone.
    all_moved: AtomicBool,
}

impl Keyed {
    /// Tables that are rated for `keys` keys. Where hashes are kept beyond the process they are needed whole.
    pub(crate) fn new(keys: usize, settings: &Arc<Settings>, whole_hashes: bool) -> Self {
        let paced = settings
            .short_pace()
            .filter(|_| !whole_hashes)
            .map(|pace| PacedTable::new(keys, settings, &pace));
        let general = OnceLock::new();
        if paced.is_none() {
            general.get_or_init(|| Table::new(keys, settings, u64::MAX));
        }
        Self {
            keys,
            all_moved: AtomicBool::new(paced.is_none()),
            paced,
            general,
        }
    }

    /// The small table, while it has keys.
    #[inline]
    pub(crate) fn paced(&self) -> Option<&PacedTable> {
        self.paced
            .as_ref()
            .filter(|_| !self.all_moved.load(Ordering::Relaxed))
    }

    /// Calls `f` with the account of `key`, as one step. `clock` reads the time once more.
    #[inline]
    pub(crate) fn with<R>(
        &self,
        key: KeyHash,
        now: u64,
        clock: impl Fn() -> u64,
        f: impl FnOnce(Entry<'_>) -> R,
    ) -> R {
        match self.paced() {
            Some(paced) => self.with_paced(paced, key, now, clock, f),
            None => self.general().with(key, now, f),
        }
    }

    /// Takes every account along to other settings.
    pub(crate) fn change(&self, settings: &Arc<Settings>, now: u64) {
        let Some(paced) = self.paced() else {
            self.general().change(settings, now);
            return;
        };
        if let Some(pace) = settings.short_pace() {
            paced.change(settings, &pace, now);
            return;
        }
        let general = self
            .general
            .get_or_init(|| Table::new(self.keys, settings, paced.known_bits()));
        let overridden = settings.overridden();
        let overridden: Vec<_> = overridden.map(|key| (paced.homes(key), key)).collect();
        for index in 0..paced.len() {
            let bucket = paced.lock(index);
            let old = paced.settings_of(&bucket);
            for slot in (0..SLOTS).filter(|&slot| !bucket.is_free(slot, now)) {
                let key = paced.key_of(&bucket, index, slot);
                let homes = paced.homes(key);
                let whole = overridden.iter().find(|(others, _)| *others == homes);
                let key = whole.map_or(key, |&(_, key)| key);
                let tat = paced.pace_of(&bucket).lengthen(bucket.tat(slot));
                let mut account = Account::paced(tat);
                account.convert(&old.quotas.rules, &settings.keyed(key).rules, now);
                general.with(key, now, |entry| *entry.account = account);
            }
            bucket.set_moved();
        }
        self.all_moved.store(true, Ordering::Relaxed);
    }

    /// The long way through the small table: the account is made for `f`, and what has become of it is put
    /// back.
    fn with_paced<R>(
        &self,
        paced: &PacedTable,
        key: KeyHash,
        now: u64,
        clock: impl Fn() -> u64,
        f: impl FnOnce(Entry<'_>) -> R,
    ) -> R {
        let homes = paced.homes(key);
        let both = paced.lock_both(homes);
        if let Some((bucket, slot)) = both.find(homes.tag) {
            let (result, tat) = run(paced, bucket, bucket.tat(slot), now, clock, f);
            bucket.set_tat(slot, tat);
            return result;
        }
        if both.first.is_moved() || both.second.is_moved() {
            return self.general().with(key, now, f);
        }
        let chosen = both.roomier(now);
        let (result, tat) = run(paced, both.get(chosen), Span::ZERO, now, clock, f);
        // A key that spent nothing needs no place, so a refused stranger displaces nobody.
        if tat > Span::at(now) {
            paced.enter(&both, homes, chosen, tat, now);
        }
        result
    }

    /// The general table, once it is needed.
    fn general(&self) -> &Table {
        self.general
            .get()
            .expect("it is made before the first key goes to it")
    }

    /// Calls `f` with every account of the general table that owes something, bucket by bucket.
    #[cfg(feature = "persist")]
    pub(crate) fn each(&self, now: u64, f: impl FnMut(KeyHash, &Settings, &Account)) {
        if let Some(general) = self.general.get() {
            general.each(now, f);
        }
    }

    /// Adds up: how many keys owe something, and what was decided.
    pub(crate) fn totals(&self, now: u64) -> (usize, Counts) {
        let paced = self.paced.as_ref().map(|paced| paced.totals(now));
        let general = self.general.get().map(|general| general.totals(now));
        let add = |(live, counts): (usize, Counts), (more, others): (usize, Counts)| {
            (live + more, counts.and(others))
        };
        [paced, general]
            .into_iter()
            .flatten()
            .fold(<_>::default(), add)
    }

    /// How many keys were forgotten while they owed something.
    pub(crate) fn evicted(&self) -> u64 {
        self.paced.as_ref().map_or(0, PacedTable::evicted)
            + self.general.get().map_or(0, Table::evicted)
    }

    /// Forgets what all keys have spent.
    pub(crate) fn reset(&self) {
        if let Some(paced) = &self.paced {
            paced.reset();
        }
        if let Some(general) = self.general.get() {
            general.reset();
        }
    }
}

fn run<R>(
    paced: &PacedTable,
    bucket: &Locked<'_>,
    tat: Span,
    now: u64,
    clock: impl Fn() -> u64,
    f: impl FnOnce(Entry<'_>) -> R,
) -> (R, Span) {
    let pace = paced.pace_of(bucket);
    let now = bucket.time(now, clock);
    let mut account = Account::paced(pace.lengthen(tat));
    let mut counts = Counts::default();
    let result = f(Entry {
        settings: &paced.settings_of(bucket),
        account: &mut account,
        counts: &mut counts,
        now,
    });
    if counts.admitted > 0 {
        paced.add(bucket.count_admitted(now));
    }
    if counts.refused > 0 {
        paced.add(bucket.count_refused());
    }
    bucket.changed_at(now);
    (result, pace.shorten(account.tat()))
}
