//! The accounts of the keys that share their quotas: those of no tier, or of one.

use std::sync::{Arc, OnceLock};

use crate::keyed::Keyed;
use crate::limits::Settings;
use crate::sync::Mutex;
use crate::table::{Counts, Latest};
use buttress_quota::algorithm::{Account, Rules};

#[derive(Debug)]
pub(crate) struct Accounts {
    /// Made when the first key comes.
    table: OnceLock<Keyed>,
    /// The account of requests that have no key because all share one.
    pub(crate) everyone: Mutex<One>,
}

/// An account outside the table.
#[derive(Debug)]
pub(crate) struct One {
    pub(crate) settings: Arc<Settings>,
    pub(crate) account: Account,
    pub(crate) counts: Counts,
    pub(crate) latest: Latest,
}

impl Accounts {
    pub(crate) fn new(settings: &Arc<Settings>) -> Self {
        Self {
            table: OnceLock::new(),
            everyone: Mutex::new(One::new(settings)),
        }
    }

    /// The table, if any key has come.
    #[inline]
    pub(crate) fn table(&self) -> Option<&Keyed> {
        self.table.get()
    }

    /// The table, which is made if it is not there.
    pub(crate) fn table_or(&self, make: impl FnOnce() -> Keyed) -> &Keyed {
        self.table.get_or_init(make)
    }

    /// Makes every account one of these settings.
    pub(crate) fn change(&self, settings: &Arc<Settings>, now: u64) {
        if let Some(table) = self.table() {
            table.change(settings, now);
        }
        let mut everyone = self.everyone.lock();
        everyone.change(settings, now, Settings::keyed_everyone);
    }

    /// Forgets what has been spent.
    pub(crate) fn reset(&self) {
        if let Some(table) = self.table() {
            table.reset();
        }
        self.everyone.lock().account = Account::default();
    }

    /// Adds up: how many keys owe something, and what was decided.
    pub(crate) fn totals(&self, now: u64) -> (usize, Counts) {
        let (live, counts) = self
            .table()
            .map_or_else(Default::default, |t| t.totals(now));
        let everyone = self.everyone.lock();
        let idle = everyone
            .account
            .is_idle(everyone.settings.keyed_everyone(), now);
        (live + usize::from(!idle), counts.and(everyone.counts))
    }

    /// How many keys were forgotten while they owed something.
    pub(crate) fn evicted(&self) -> u64 {
        self.table().map_or(0, Keyed::evicted)
    }
}

impl One {
    pub(crate) fn new(settings: &Arc<Settings>) -> Self {
        Self {
            settings: Arc::clone(settings),
            account: Account::default(),
            counts: Counts::default(),
            latest: Latest::default(),
        }
    }

    pub(crate) fn change(
        &mut self,
        settings: &Arc<Settings>,
        now: u64,
        rules: impl Fn(&Settings) -> &Rules,
    ) {
        let now = self.latest.at(now);
        self.account
            .convert(rules(&self.settings), rules(settings), now);
        self.settings = Arc::clone(settings);
    }
}
