//! One atomic step over all keys of a request.
//!
//! The balances of all scopes are locked in the order of the scopes, so that no two requests can hold each
//! other up; then everything is checked before anything is spent.

use buttress_core::{KeyHash, When};
use buttress_quota::algorithm;

use crate::alerts::Crossed;
use crate::balance;
use crate::demand::Keys;
use crate::dimension::{Amounts, Dimension};
use crate::limits::{MAX_LIMITS, MAX_SCOPES};
use crate::sync::MutexGuard;
use crate::table::{Bucket, Scope, Slot};

/// Why a reservation is not admitted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) when: When,
    /// The quota that decides, counted through all scopes.
    pub(crate) quota: u8,
    /// All quotas that refuse, a bit each.
    pub(crate) violated: u16,
    /// The scope of the quota that decides.
    pub(crate) scope: usize,
}

impl Refused {
    /// How long until the reservation fits, in nanoseconds.
    pub(crate) fn wait(&self) -> Option<u64> {
        match self.when {
            When::After(wait) => Some(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)),
            When::Never | When::Unknown => None,
        }
    }
}

/// The locked balances of a request.
pub(crate) struct Step<'a> {
    buckets: [Option<MutexGuard<'a, Bucket>>; MAX_SCOPES],
    slots: [Slot; MAX_SCOPES],
    /// The time to decide by: not before anything that was decided on these balances.
    pub(crate) now: u64,
}

impl<'a> Step<'a> {
    #[inline]
    pub(crate) fn lock(scopes: &'a [Scope], keys: &Keys, now: u64) -> Self {
        let mut step = Self {
            buckets: [const { None }; MAX_SCOPES],
            slots: [Slot::New(KeyHash::EVERYONE); MAX_SCOPES],
            now,
        };
        for (index, (scope, &key)) in scopes.iter().zip(keys).enumerate() {
            let bucket = scope.lock(key);
            step.slots[index] = bucket.find(key);
            step.now = step.now.max(bucket.latest);
            step.buckets[index] = Some(bucket);
        }
        for bucket in step.buckets.iter_mut().flatten() {
            bucket.latest = step.now;
        }
        step
    }

    /// Whether all scopes admit. Spends nothing.
    #[inline]
    pub(crate) fn check(&self, amounts: &Amounts) -> Result<(), Refused> {
        let mut decisive: Option<Refused> = None;
        let mut offset = 0;
        let fresh = balance::Balance::default();
        let locked = self.buckets.iter().zip(self.slots).enumerate();
        for (scope, (bucket, slot)) in locked {
            let Some(bucket) = bucket else { break };
            let (rules, balance) = bucket.look(slot);
            let answer = balance.unwrap_or(&fresh).check(rules, amounts, self.now);
            if let Err(refused) = answer {
                decisive = Some(worse(decisive, refused, scope, offset));
            }
            offset += rules.limits.len();
        }
        decisive.map_or(Ok(()), Err)
    }

    /// For every quota that refuses, counted through all scopes, when it would admit.
    pub(crate) fn refusals(&self, amounts: &Amounts) -> [Option<When>; MAX_LIMITS] {
        let mut found = [None; MAX_LIMITS];
        let mut offset = 0;
        let fresh = balance::Balance::default();
        for (bucket, slot) in self.buckets.iter().zip(self.slots) {
            let Some(bucket) = bucket else { break };
            let (rules, balance) = bucket.look(slot);
            let balance = balance.unwrap_or(&fresh);
            balance.refusals(rules, amounts, self.now, &mut |quota, when| {
                if let Some(slot) = found.get_mut(offset + quota) {
                    *slot = Some(when_of(when));
                }
            });
            offset += rules.limits.len();
        }
        found
    }

    /// Spends in all scopes, whether it fits or not.
    #[inline]
    pub(crate) fn spend(&mut self, amounts: &Amounts) {
        let now = self.now;
        for (bucket, slot) in self.buckets.iter_mut().zip(self.slots) {
            let Some(bucket) = bucket else { break };
            let (rules, balance) = bucket.open(slot, now);
            balance.spend(rules, amounts, now);
        }
        if let Some(first) = &mut self.buckets[0] {
            first.counts.admitted += 1;
            first.counts.outstanding += 1;
            first.counts.reserved.add(amounts);
            first.counts.granted.add(amounts);
        }
    }

    /// Puts what was used in the place of what was reserved at `at`.
    #[inline]
    pub(crate) fn settle(&mut self, reserved: &Amounts, used: &Amounts, at: u64) {
        let now = self.now;
        for (bucket, slot) in self.buckets.iter_mut().zip(self.slots) {
            let Some(bucket) = bucket else { break };
            if matches!(slot, Slot::New(_)) && !exceeds(used, reserved) {
                // The key has been forgotten, so nothing is left to be given back.
                continue;
            }
            let (rules, balance) = bucket.open(slot, now);
            balance.settle(rules, reserved, used, at, now);
        }
        if let Some(first) = &mut self.buckets[0] {
            let counts = &mut first.counts;
            counts.settled += 1;
            counts.outstanding = counts.outstanding.saturating_sub(1);
            counts.reserved.take(reserved);
            for dimension in Dimension::all() {
                let (used, reserved) = (used.get(dimension), reserved.get(dimension));
                counts
                    .refunded
                    .add_one(dimension, reserved.saturating_sub(used));
                counts
                    .overshot
                    .add_one(dimension, used.saturating_sub(reserved));
            }
        }
    }

    pub(crate) fn count_refusal(&mut self) {
        if let Some(first) = &mut self.buckets[0] {
            first.counts.refused += 1;
        }
    }

    /// Which thresholds the keys have crossed that were not told of in this window.
    pub(crate) fn crossed(&mut self, thresholds: &[u8], keys: &Keys) -> Crossed {
        let mut crossed = Crossed::default();
        let mut offset = 0;
        let now = self.now;
        for (index, (bucket, slot)) in self.buckets.iter_mut().zip(self.slots).enumerate() {
            let Some(bucket) = bucket else { break };
            // A key that was new when it was locked has a place by now if it spent anything.
            let slot = match slot {
                Slot::New(key) => bucket.find(key),
                found => found,
            };
            if let Slot::Found(_) = slot {
                let (rules, balance) = bucket.open(slot, now);
                crossed.look(balance, rules, thresholds, (keys[index], offset), now);
            }
            offset += bucket.rules.of(keys[index]).limits.len();
        }
        crossed
    }
}

fn exceeds(used: &Amounts, reserved: &Amounts) -> bool {
    Dimension::all().any(|dimension| used.get(dimension) > reserved.get(dimension))
}

/// Of two refusals the one with the longer wait decides.
pub(crate) fn worse(
    held: Option<Refused>,
    refused: balance::Refused,
    scope: usize,
    offset: usize,
) -> Refused {
    let bits = u32::try_from(offset).unwrap_or(u32::MAX);
    let violated = refused.violated.unbounded_shl(bits);
    let when = when_of(refused.when);
    match held {
        Some(held) if rank(held.when) >= rank(when) => Refused {
            violated: held.violated | violated,
            ..held
        },
        held => Refused {
            when,
            quota: refused
                .quota
                .saturating_add(u8::try_from(offset).unwrap_or(u8::MAX)),
            violated: violated | held.map_or(0, |held| held.violated),
            scope,
        },
    }
}

fn when_of(when: algorithm::When) -> When {
    match when {
        algorithm::When::After(wait) => When::After(wait),
        algorithm::When::Never => When::Never,
    }
}

/// Later is greater.
fn rank(when: When) -> (bool, std::time::Duration) {
    match when {
        When::After(wait) => (false, wait),
        When::Never | When::Unknown => (true, std::time::Duration::ZERO),
    }
}
