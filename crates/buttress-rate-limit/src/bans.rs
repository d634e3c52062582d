//! Who is penalised, for those who run the service: to be listed, lifted, and imposed.

use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use buttress_core::time::{Instant, later, now};
use buttress_core::{KeyHash, Now};

use crate::layer::RateLimitLayer;
use crate::limiter::RateLimiter;
use crate::offence::Offence;
use crate::penalty::Penalty;
use crate::tiers::key_of;

/// A key that is refused for a time: a step of its [`Penalty`], or a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ban {
    /// The key's hash, which it is lifted by; the key itself is not kept.
    pub key: KeyHash,
    /// Since when without a break.
    pub since: Instant,
    /// Until when.
    pub until: Instant,
    /// How often the key was refused since it was last forgotten, during the penalty too.
    pub refusals: u32,
}

impl Ban {
    /// How long it still lasts.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.until.saturating_duration_since(now())
    }
}

/// `key 00000000075bcd15 for 59s more, refused 12 times`
impl fmt::Display for Ban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.remaining().as_nanos().div_ceil(1_000_000_000);
        let Self { key, refusals, .. } = self;
        write!(f, "key {key} for {seconds}s more, refused {refusals} times")
    }
}

impl RateLimiter {
    /// Those who are penalised now, whose penalty ends first first. It copies them under a lock that
    /// refusals take.
    #[must_use]
    pub fn bans(&self) -> Vec<Ban> {
        let now = self.shared.nanos(&Now::new());
        let instant = |nanos| later(self.shared.epoch, Duration::from_nanos(nanos));
        let ban = |(key, offence): (KeyHash, Offence)| Ban {
            key,
            since: instant(offence.since),
            until: instant(offence.until),
            refusals: offence.refusals,
        };
        let penalties = &self.shared.penalties;
        let bans = penalties.look(|entries| entries.offenders.penalised(now).map(ban).collect());
        bans.unwrap_or_default()
    }

    /// Lifts what a key is penalised with, and forgets its refusals; false if it was not penalised. What
    /// it has spent stays spent: see [`reset`](Self::reset).
    pub fn lift(&self, key: impl Hash) -> bool {
        self.lift_hash(self.hash(key))
    }

    /// As [`lift`](Self::lift), for a key that is hashed already: one of [`bans`](Self::bans).
    pub fn lift_hash(&self, key: KeyHash) -> bool {
        let now = self.shared.nanos(&Now::new());
        if self.shared.penalties.look(|_| ()).is_none() {
            return false;
        }
        let offence = self
            .shared
            .penalties
            .change(|entries| entries.offenders.remove(key_of(key)));
        self.shared.wake_subscribers();
        offence.is_some_and(|offence| offence.is_penalised(now))
    }

    /// Lifts all penalties, and forgets all refusals.
    pub fn lift_all(&self) {
        if self.shared.penalties.look(|_| ()).is_some() {
            self.shared
                .penalties
                .change(|entries| entries.offenders.clear());
            self.shared.wake_subscribers();
        }
    }

    /// Refuses a key for so long from now on, whatever its quotas hold and whether or not there is a
    /// [`Penalty`], and in every tier; instead of what it was penalised with before. Who waits already is not
    /// concerned.
    ///
    /// A ban does not outlive the process. [`KeyHash::EVERYONE`], the key of limits that are kept by none,
    /// cannot be banned.
    pub fn ban(&self, key: impl Hash, duration: Duration) {
        self.ban_hash(self.hash(key), duration);
    }

    /// As [`ban`](Self::ban), for a key that is hashed already.
    pub fn ban_hash(&self, key: KeyHash, duration: Duration) {
        let key = key_of(key);
        if key == KeyHash::EVERYONE {
            return;
        }
        let now = self.shared.nanos(&Now::new());
        let length = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.shared.penalties.judge(key, |entries| {
            let offence = Offence::banned(entries.offenders.get(key), length, now);
            entries.offenders.put_for_certain(key, offence, now);
            Some(offence)
        });
    }

    /// What repeated refusals lead to.
    #[must_use]
    pub fn penalty(&self) -> Option<Penalty> {
        let penalty = self
            .shared
            .penalties
            .look(|entries| entries.penalty.clone());
        penalty.flatten()
    }

    /// Changes what repeated refusals lead to, from the next one on, or with none ends it. What somebody is
    /// penalised with already goes on: see [`lift_all`](Self::lift_all).
    pub fn set_penalty(&self, penalty: impl Into<Option<Penalty>>) {
        let penalty = penalty.into();
        if penalty.is_none() && self.shared.penalties.look(|_| ()).is_none() {
            return;
        }
        let now = self.shared.nanos(&Now::new());
        self.shared.penalties.change(|entries| {
            if let Some(penalty) = &penalty {
                entries.offenders.set_most(penalty.most_offenders(), now);
            }
            entries.penalty = penalty;
        });
    }

    /// How many offenders were forgotten because there were too many
    /// ([`Penalty::offenders`]).
    #[must_use]
    pub fn offenders_evicted(&self) -> u64 {
        let evicted = |entries: &crate::penalties::Entries| entries.offenders.evicted();
        self.shared.penalties.look(evicted).unwrap_or_default()
    }
}

impl<Q, A, C, R> RateLimitLayer<Q, A, C, R> {
    /// What repeated refusals of a key lead to: waits that grow, and a ban. A penalised key is refused at
    /// once with [`Reason::Banned`](buttress_core::Reason::Banned), over HTTP with 429 and `Retry-After`.
    /// Requests that are exempt are never penalised, and in shadow mode nobody is refused, though
    /// [`bans`](RateLimiter::bans) tells who would be.
    #[must_use]
    pub fn penalty(self, penalty: Penalty) -> Self {
        self.limiter.set_penalty(penalty);
        self
    }
}
