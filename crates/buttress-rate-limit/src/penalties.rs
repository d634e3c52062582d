//! The penalties of a limiter, as its decisions see them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use buttress_core::{KeyHash, LimitId, Reason, Rejection, When};

use crate::ask::RateDemand;
use crate::decision::Refused;
use crate::offence::Offence;
use crate::offenders::Offenders;
use crate::penalty::{DEFAULT_OFFENDERS, Penalty};
use crate::shared::{SHADOW, Shared};
use crate::sync::Mutex;
use crate::ticket::Spent;
use crate::tiers::key_of;

/// Into how many parts the keys are divided, so that most of those who are not penalised take no lock
/// while others are.
const PARTS: usize = 4_096;

/// Nothing is paid for it but one look at `latest` while nobody is penalised.
#[derive(Default)]
pub(crate) struct Penalties {
    /// The end of the last penalty. What is read late of it is an offence forgiven for that long.
    latest: AtomicU64,
    made: OnceLock<Box<Book>>,
}

struct Book {
    /// The latest end of a penalty in each part of the keys; a lift leaves it, which costs a look.
    latest: Box<[AtomicU64]>,
    /// Taken while no other lock is held, and no other is taken under it.
    entries: Mutex<Entries>,
}

pub(crate) struct Entries {
    pub(crate) penalty: Option<Penalty>,
    pub(crate) offenders: Offenders,
}

impl Penalties {
    /// Whether anybody is penalised.
    #[inline]
    pub(crate) fn may_concern(&self, now: u64) -> bool {
        now < self.latest.load(Ordering::Relaxed)
    }

    /// Whether refusals are counted, or were.
    #[inline]
    pub(crate) fn are_kept(&self) -> bool {
        self.made.get().is_some()
    }

    /// Works with the offenders, and has decisions see what came of it.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Entries) -> R) -> R {
        let book = self.made.get_or_init(Box::default);
        let mut entries = book.entries.lock();
        let result = change(&mut entries);
        let latest = entries.offenders.latest_end();
        self.latest.store(latest, Ordering::Relaxed);
        result
    }

    /// As [`change`](Self::change), of one key.
    pub(crate) fn judge(
        &self,
        key: KeyHash,
        judge: impl FnOnce(&mut Entries) -> Option<Offence>,
    ) -> Option<Offence> {
        let offence = self.change(judge)?;
        if let Some(book) = self.made.get() {
            book.part(key).fetch_max(offence.until, Ordering::Relaxed);
        }
        Some(offence)
    }

    /// Works with the offenders, if there ever was one or was to be.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Entries) -> R) -> Option<R> {
        let book = self.made.get()?;
        let entries = book.entries.lock();
        Some(look(&entries))
    }

    /// What a key is guilty of that is penalised now.
    fn penalised(&self, key: KeyHash, now: u64) -> Option<Offence> {
        let book = self.made.get()?;
        if now >= book.part(key).load(Ordering::Relaxed) {
            return None;
        }
        let offence = book.entries.lock().offenders.get(key)?;
        offence.is_penalised(now).then_some(offence)
    }

    /// Counts a refusal, and tells until when the key is penalised, if it is.
    fn refused(&self, key: KeyHash, now: u64) -> Option<Offence> {
        self.made.get()?;
        self.judge(key, |entries| {
            let before = entries.offenders.get(key);
            // Without a penalty only the refusals of those are counted whom somebody banned.
            let offence = match (&entries.penalty, before) {
                (Some(penalty), before) => penalty.refused(before, now),
                (None, Some(before)) if now < before.forgotten => before.refused_again(now),
                (None, _) => return None,
            };
            entries.offenders.put(key, offence, now);
            Some(offence)
        })
    }
}

impl Default for Book {
    fn default() -> Self {
        Self {
            latest: (0..PARTS).map(|_| AtomicU64::new(0)).collect(),
            entries: Mutex::new(Entries {
                penalty: None,
                offenders: Offenders::new(DEFAULT_OFFENDERS),
            }),
        }
    }
}

impl Book {
    fn part(&self, key: KeyHash) -> &AtomicU64 {
        let part = usize::try_from(key.get() % self.latest.len() as u64);
        &self.latest[part.unwrap_or_default()]
    }
}

// === impl Shared ===

impl Shared {
    /// The answer to a request whose key is penalised. It counts as a refusal.
    #[cold]
    pub(crate) fn refuse_penalised(
        &self,
        demand: &RateDemand,
        now: u64,
    ) -> Option<Result<Spent, Rejection>> {
        // What costs nothing is always admitted.
        if demand.cost == 0 {
            return None;
        }
        let key = key_of(demand.key);
        self.penalties.penalised(key, now)?;
        let offence = self.penalties.refused(key, now)?;
        self.count_refusal();
        Some(match self.has(SHADOW) {
            true => Ok(Spent::shadowed(demand)),
            false => Err(self.penalty_rejection(demand, &offence, now)),
        })
    }

    /// Whether a key is penalised now, and the rejection if so. Nothing is counted.
    pub(crate) fn would_penalise(&self, demand: &RateDemand, now: u64) -> Result<(), Rejection> {
        if !self.penalties.may_concern(now) || demand.cost == 0 {
            return Ok(());
        }
        match self.penalties.penalised(key_of(demand.key), now) {
            Some(offence) => Err(self.penalty_rejection(demand, &offence, now)),
            None => Ok(()),
        }
    }

    /// The answer to a request that a quota refuses. It may be the one too many, so that what there is to
    /// wait for is longer than the quota says.
    pub(crate) fn refuse(
        &self,
        demand: &RateDemand,
        reason: Reason,
        refused: Refused,
        now: u64,
    ) -> Result<Spent, Rejection> {
        let refused = match reason {
            Reason::RateLimit => self.penalise(demand.key, refused, now),
            _ => refused,
        };
        match self.has(SHADOW) {
            true => Ok(Spent::shadowed(demand)),
            false => Err(self.rejection(demand.key, reason, &refused)),
        }
    }

    fn penalise(&self, key: KeyHash, refused: Refused, now: u64) -> Refused {
        if self.penalties.made.get().is_none() || key_of(key) == KeyHash::EVERYONE {
            return refused;
        }
        let keyed = self.current.lock().of(key).keyed(key).rules.len();
        let by_key = u32::try_from(keyed)
            .map_or(u16::MAX, |keyed| 1_u16.unbounded_shl(keyed).wrapping_sub(1));
        if refused.violated & by_key == 0 {
            return refused;
        }
        match self.penalties.refused(key_of(key), now) {
            Some(offence) if offence.is_penalised(now) => Refused {
                when: longer(refused.when, &offence, now),
                ..refused
            },
            _ => refused,
        }
    }

    fn penalty_rejection(&self, demand: &RateDemand, offence: &Offence, now: u64) -> Rejection {
        let by_quota = self.check(demand.key, demand.cost, now).err();
        let refused = by_quota.unwrap_or(Refused {
            when: When::After(Duration::ZERO),
            quota: LimitId::NO_QUOTA,
            violated: 0,
            global: false,
        });
        let when = longer(refused.when, offence, now);
        self.rejection(demand.key, Reason::Banned, &Refused { when, ..refused })
    }
}

/// The longer wait: that of the quotas, or that of the penalty.
fn longer(when: When, offence: &Offence, now: u64) -> When {
    let penalty = Duration::from_nanos(offence.until.saturating_sub(now));
    match when {
        When::After(wait) => When::After(wait.max(penalty)),
        When::Never => When::Never,
        When::Unknown => When::After(penalty),
    }
}
