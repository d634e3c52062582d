//! Counts that survive a restart: a limiter's state as a value, and in a file.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use buttress_core::time::TIMER_RESOLUTION;
use buttress_core::{KeyHash, Now, Seed};
use parking_lot::Mutex;

use crate::accounts::One;
use crate::builder::RateLimiterBuilder;
use crate::file;
use crate::limiter::RateLimiter;
use crate::persist_error::PersistError;
use crate::saved::{Restored, Restoring, SavedSeed, Snapshot, Taking};

/// Builds a [`RateLimiter`] whose counts can be saved, and were perhaps saved before.
#[derive(Clone, Debug)]
pub struct PersistentBuilder {
    builder: RateLimiterBuilder,
    origin: Origin,
}

#[derive(Clone, Debug)]
enum Origin {
    Snapshot(Option<Arc<Snapshot>>),
    File(PathBuf),
}

/// What a limiter was built from that can be saved.
pub(crate) struct Persistence {
    file: Option<PathBuf>,
    restored: Option<Restored>,
    /// Held while the file is written, so that no older snapshot replaces a newer one.
    saving: Mutex<()>,
}

impl RateLimiterBuilder {
    /// Keeps what is spent of quotas whose period is a day or more in a file, so that a restart does not
    /// forgive it.
    ///
    /// The file is read when the limiter is built, if it is there. It is written by
    /// [`RateLimiter::save`], which is yours to call: now and then, and when the service ends.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use buttress_rate_limit::{Quota, RateLimiter};
    ///
    /// # async fn shutdown() {}
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let limiter = RateLimiter::builder()
    ///     .quota(Quota::rolling(1_200, Duration::from_secs(86_400)))
    ///     .persist("/var/lib/chat/limits")
    ///     .build()?;
    ///
    /// let saving = limiter.clone().save_every(Duration::from_secs(60), |error| eprintln!("{error}"));
    /// let saving = tokio::spawn(saving);
    /// // Serve requests through `RateLimitLayer::from(limiter.clone())`.
    /// shutdown().await;
    /// saving.abort();
    /// limiter.save()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A crash forgives what was spent since the file was last written. The file holds hashes of keys, and the
    /// seed that they were hashed with, a number of 64 bits; it is made readable for its owner alone, because
    /// who reads it can aim keys at one place of the table. It is for one process at a time: of several, the
    /// last to save would have the word. A link at `path` is replaced by the file.
    #[must_use]
    pub fn persist(self, path: impl Into<PathBuf>) -> PersistentBuilder {
        PersistentBuilder {
            builder: self,
            origin: Origin::File(path.into()),
        }
    }

    /// Starts from what was spent when a snapshot was taken, and hashes keys as was done then. With `None` it
    /// starts with nothing spent, and a [`snapshot`](RateLimiter::snapshot) can be taken all the same.
    ///
    /// [`RateLimiter::snapshot`] has an example.
    #[must_use]
    pub fn restore<'a>(self, snapshot: impl Into<Option<&'a Snapshot>>) -> PersistentBuilder {
        let snapshot = snapshot.into().map(|snapshot| Arc::new(snapshot.clone()));
        PersistentBuilder {
            builder: self,
            origin: Origin::Snapshot(snapshot),
        }
    }
}

impl PersistentBuilder {
    /// Makes the limiter, with what was saved; [`RateLimiter::restored`] tells what became of that.
    ///
    /// # Errors
    ///
    /// As [`RateLimiterBuilder::build`]; if the file is there and cannot be read or is no whole snapshot of a
    /// known format, in which case it stays as it is; and if keys are now hashed otherwise, because of
    /// [`seed`](RateLimiterBuilder::seed) or of another release of the hash function.
    pub fn build(self) -> Result<RateLimiter, PersistError> {
        let (file, snapshot) = match self.origin {
            Origin::Snapshot(snapshot) => (None, snapshot),
            Origin::File(path) => {
                let snapshot = file::load(&path)?.map(Arc::new);
                (Some(path), snapshot)
            }
        };
        let saved = snapshot.as_ref().map(|snapshot| snapshot.seed.number);
        let number = self.builder.seed.or(saved);
        let limiter = self
            .builder
            .build_with(Seed::kept(number.unwrap_or_else(Seed::random_number)))?;
        let restored = match snapshot {
            Some(snapshot) => Some(limiter.restore(&snapshot)?),
            None => None,
        };
        let _ = limiter.shared.persistence.set(Persistence {
            file,
            restored,
            saving: Mutex::new(()),
        });
        Ok(limiter)
    }
}

impl RateLimiter {
    /// What is spent now of quotas whose period is a day or more; shorter ones are as good as full after a
    /// restart.
    ///
    /// ```
    /// use buttress_rate_limit::{Quota, RateLimiter, Snapshot};
    ///
    /// let start = |saved: Option<&Snapshot>| {
    ///     RateLimiter::builder().quota(Quota::per_day(2)).restore(saved).build()
    /// };
    /// let limiter = start(None)?;
    /// assert!(limiter.check("alice", 2).is_ok());
    /// let bytes = limiter.snapshot()?.to_bytes();
    ///
    /// let limiter = start(Some(&Snapshot::from_bytes(&bytes)?))?;
    /// assert!(limiter.check("alice", 1).is_err());
    /// assert!(limiter.check("bob", 1).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// It goes through the table bucket by bucket, and locks none for longer than it takes to copy eight
    /// accounts. What is spent meanwhile may be in it or not, of a key and of all keys together each for
    /// itself.
    ///
    /// # Errors
    ///
    /// [`PersistError::NoSeed`] if the limiter was built without [`restore`](RateLimiterBuilder::restore) and
    /// [`persist`](RateLimiterBuilder::persist).
    pub fn snapshot(&self) -> Result<Snapshot, PersistError> {
        let shared = &self.shared;
        let seed = SavedSeed::of(&shared.seed).ok_or(PersistError::NoSeed)?;
        let now = shared.nanos(&Now::new());
        let mut taking = Taking::new(seed, shared.civil.at(now), now);
        let copy = |one: &One| (Arc::clone(&one.settings), one.account.clone());
        let everyone = KeyHash::EVERYONE;
        for (tier, accounts) in shared.all_accounts() {
            if let Some(table) = accounts.table() {
                table.each(now, |key, settings, account| {
                    taking.add((tier, Some(key)), &settings.keyed(key).rules, account);
                });
            }
            let (settings, account) = copy(&accounts.everyone.lock());
            taking.add((tier, Some(everyone)), settings.keyed_everyone(), &account);
        }
        let (settings, account) = copy(&shared.global.lock());
        taking.add((None, None), &settings.global.rules, &account);
        Ok(taking.done())
    }

    /// Puts the counts of a snapshot in force, for a limiter that runs already.
    ///
    /// What was saved of a tier goes to the tier of the same name. What was saved of a quota goes to an equal one, else to one of the same kind and period (by the
    /// calendar of the same zone too), in units, as with [`set_limits`](Self::set_limits); what finds none is
    /// dropped. Of what a key has spent already and what was saved of it the greater stays, so that restoring
    /// twice is restoring once.
    ///
    /// What came back since the snapshot was taken is back. How long that is, the wall clocks of then and now
    /// say. If the wall clock has gone backwards no time has passed: nothing comes back early, and nobody
    /// waits longer than he would have when the snapshot was taken. Units of a calendar belong to their
    /// period; if that is further ahead of the clock than the next one, to the period that is now.
    ///
    /// # Errors
    ///
    /// If the snapshot's keys were hashed otherwise than this limiter's. Then nothing changes.
    pub fn restore(&self, snapshot: &Snapshot) -> Result<Restored, PersistError> {
        let shared = &self.shared;
        let seed = &shared.seed;
        if seed.number() != Some(snapshot.seed.number) {
            return Err(PersistError::OtherSeed);
        }
        if seed.proof() != snapshot.seed.proof {
            return Err(PersistError::OtherHash);
        }
        let now = shared.nanos(&Now::new());
        let mut restoring = Restoring::new(snapshot, &shared.civil, now);
        for saved in &snapshot.accounts {
            let holder = match (saved.holder, snapshot.tier(saved)) {
                (Some(key), Some(tier)) => match shared.tiers.hash_in(tier, key) {
                    None => {
                        restoring.drop_all(saved);
                        continue;
                    }
                    tiered => tiered,
                },
                (holder, _) => holder,
            };
            match holder {
                Some(key) => shared.with_accounts(key, now, |keyed, _| {
                    let rules = &keyed.settings.keyed(key).rules;
                    restoring.put(saved, keyed.account, rules, keyed.now);
                }),
                None => {
                    let mut one = shared.global.lock();
                    let One {
                        settings,
                        account,
                        latest,
                        ..
                    } = &mut *one;
                    let now = latest.at(now);
                    restoring.put(saved, account, &settings.global.rules, now);
                }
            }
        }
        shared.announce_room(None, now);
        Ok(restoring.done())
    }

    /// What became of the snapshot that the limiter was built from, if there was one.
    #[must_use]
    pub fn restored(&self) -> Option<&Restored> {
        self.shared.persistence.get()?.restored.as_ref()
    }

    /// Saves what is spent in the limiter's file, safely: a crash at any moment leaves the file that was
    /// there, or the new one. Of several calls at once each writes what is spent when its turn comes.
    ///
    /// It waits for the disk, so it belongs outside of asynchronous code, or into `spawn_blocking`, as
    /// [`save_every`](Self::save_every) does it. Requests go on meanwhile, as for
    /// [`snapshot`](Self::snapshot).
    ///
    /// # Errors
    ///
    /// If the limiter was built without [`persist`](RateLimiterBuilder::persist), or the file cannot be
    /// written; then the old one stays.
    pub fn save(&self) -> Result<(), PersistError> {
        let persistence = self.shared.persistence.get().ok_or(PersistError::NoFile)?;
        let file = persistence.file.as_deref().ok_or(PersistError::NoFile)?;
        let _saving = persistence.saving.lock();
        file::store(file, &self.snapshot()?)
    }

    /// The limiter's file, if it was built with [`persist`](RateLimiterBuilder::persist).
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.shared.persistence.get()?.file.as_deref()
    }

    /// [`Saves`](Self::save) again and again, and goes on after an error, which `on_error` hears of. It never
    /// ends: spawn it, abort it when the service ends, and then save once more.
    ///
    /// The first time is one period from now. The disk is waited for on tokio's threads for that.
    pub async fn save_every(
        self,
        period: Duration,
        mut on_error: impl FnMut(PersistError) + Send,
    ) -> Infallible {
        loop {
            tokio::time::sleep(period.max(TIMER_RESOLUTION)).await;
            let limiter = self.clone();
            // A blocking task ends without an answer only if it panics, or with the runtime.
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || limiter.save()).await {
                on_error(error);
            }
        }
    }
}
