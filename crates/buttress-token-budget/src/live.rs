//! Looking at a budget and changing it while it runs.

use std::future::poll_fn;
use std::hash::Hash;
use std::task::Poll;
use std::time::Duration;

use buttress_core::{KeyHash, Now, Policy, Rejection, When};
use buttress_quota::algorithm::Account;

use crate::budget::TokenBudget;
use crate::demand::BudgetDemand;
use crate::dimension::{Amounts, Dimension};
use crate::mode::Mode;
use crate::room::Arrival;
use crate::shared::Shared;
use crate::step::Refused;

/// Where one quota stands for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BudgetStanding {
    /// What it counts.
    #[cfg_attr(feature = "serde", serde(serialize_with = "name"))]
    pub dimension: Dimension,
    /// The quota's name: its own, or its dimension and text.
    pub name: String,
    /// How many units it holds at most.
    pub capacity: u64,
    /// How many whole units are left.
    pub remaining: u64,
    /// How many units it is below zero.
    pub debt: u64,
    /// In how long `remaining` next grows if nothing else comes; none if it is full.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub until_more: Option<Duration>,
}

/// What a status page shows of a budget. Amounts are by [`Dimension::index`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BudgetStatus {
    /// Whether what does not fit is spent all the same.
    pub soft: bool,
    /// Whether what does not fit goes on and spends nothing.
    pub shadow: bool,
    /// How many keys of the first scope have spent something that has not come back.
    pub live_keys: usize,
    /// How many requests wait.
    pub waiting: usize,
    /// How many reservations were admitted.
    pub admitted: u64,
    /// How many were refused.
    pub refused: u64,
    /// How many have been settled.
    pub settled: u64,
    /// How many keys were forgotten while they owed something, because a table was over-full.
    pub evicted: u64,
    /// How many reservations run.
    pub outstanding: u64,
    /// What they hold.
    pub reserved: [u64; 8],
    /// What has been reserved altogether.
    pub granted: [u64; 8],
    /// What was given back of it.
    pub refunded: [u64; 8],
    /// What was used beyond what had been reserved.
    pub overshot: [u64; 8],
}

/// A key that has spent much, and how much of its scarcest quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spender {
    /// The key, hashed.
    pub key: KeyHash,
    /// What it has spent of the dimension and not got back.
    pub spent: u64,
}

#[cfg(feature = "serde")]
fn name<S: serde::Serializer>(dimension: &Dimension, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(dimension.name())
}

impl TokenBudget {
    /// Where the quotas stand that a key is kept by, and those kept for all keys together.
    pub fn balances(&self, key: impl Hash) -> Vec<BudgetStanding> {
        self.balances_hash(self.hash(key))
    }

    /// As [`balances`](Self::balances), for a key that is hashed already.
    #[must_use]
    pub fn balances_hash(&self, key: KeyHash) -> Vec<BudgetStanding> {
        let mut standings = self.balances_of(0, key);
        let global = (1..self.shared.scopes.len()).filter(|scope| self.shared.is_global(*scope));
        for scope in global {
            standings.extend(self.balances_of(scope, KeyHash::EVERYONE));
        }
        standings
    }

    /// Where the quotas of one scope stand for a key of it: 0 for the plain limits, then those of every
    /// `per`, then the global ones.
    #[must_use]
    pub fn balances_of(&self, scope: usize, key: KeyHash) -> Vec<BudgetStanding> {
        let now = self.shared.nanos(&Now::new());
        let Some(scope) = self.shared.scopes.get(scope) else {
            return Vec::new();
        };
        let bucket = scope.lock(key);
        let now = now.max(bucket.latest);
        let (rules, balance) = bucket.look(bucket.find(key));
        let mut standings = Vec::with_capacity(rules.limits.len());
        for (index, part) in rules.by_dimension.iter().enumerate() {
            let fresh = Account::default();
            let account = balance.and_then(|balance| balance.accounts.get(index));
            let account = account.unwrap_or(&fresh);
            let debts = account.overdrawn(&part.rules, now);
            for (standing, debt) in account.standings(&part.rules, now).zip(debts) {
                standings.push(BudgetStanding {
                    dimension: part.dimension,
                    name: rules.names[part.first + standing.quota].clone(),
                    capacity: standing.capacity,
                    remaining: standing.remaining,
                    debt,
                    until_more: standing.until_more,
                });
            }
        }
        standings
    }

    /// Whether an estimate would be admitted now, before a call: nothing is spent and nothing counted.
    ///
    /// # Errors
    ///
    /// What would fit and when: see [`DoesNotFit`].
    pub fn would_fit(&self, key: impl Hash, estimate: Amounts) -> Result<(), DoesNotFit> {
        let key = self.hash(key);
        let demand = self.demand(&[key], estimate);
        self.would_admit(&demand, &Now::new())
            .map_err(|rejection| DoesNotFit {
                rejection,
                most: Box::new(self.capacity_of(key)),
            })
    }

    /// The most that can ever be reserved at once, by dimension: the smallest capacity; none where nothing is
    /// limited. Keys that have limits of their own may differ.
    #[must_use]
    pub fn capacity(&self) -> [Option<u64>; 8] {
        self.capacity_of(KeyHash::EVERYONE)
    }

    fn capacity_of(&self, key: KeyHash) -> [Option<u64>; 8] {
        let mut most = [None::<u64>; 8];
        for (index, scope) in self.shared.scopes.iter().enumerate() {
            let rules = scope.rules();
            let key = if index == 0 { key } else { KeyHash::EVERYONE };
            for limit in &rules.of(key).limits {
                let slot = &mut most[limit.dimension.index()];
                let capacity = limit.quota.capacity();
                *slot = Some(slot.map_or(capacity, |held| held.min(capacity)));
            }
        }
        most
    }

    /// Turns soft mode on or off: what does not fit is spent all the same.
    pub fn set_soft(&self, soft: bool) {
        self.set_mode(if soft { Mode::Soft } else { Mode::Hard });
    }

    /// Turns shadow mode on or off: what does not fit goes on and spends nothing.
    pub fn set_shadow(&self, shadow: bool) {
        self.set_mode(if shadow { Mode::Shadow } else { Mode::Hard });
    }

    fn set_mode(&self, mode: Mode) {
        self.shared.modes.set(mode);
        self.shared.in_room(|room| room.wake_all());
        self.shared.wake_subscribers();
    }

    /// Forgets what a key of the first scope has spent.
    pub fn reset(&self, key: impl Hash) {
        let key = self.hash(key);
        self.shared.scopes[0].lock(key).forget(Some(key));
        self.shared
            .announce(Some(key), self.shared.nanos(&Now::new()));
    }

    /// Forgets what everybody has spent.
    pub fn reset_all(&self) {
        for scope in &self.shared.scopes {
            scope.each(|bucket| bucket.forget(None));
        }
        self.shared.announce(None, self.shared.nanos(&Now::new()));
    }

    /// What a status page shows. It goes through the whole table, bucket by bucket.
    #[must_use]
    pub fn status(&self) -> BudgetStatus {
        let shared = &self.shared;
        let now = shared.nanos(&Now::new());
        let mut live_keys = 0;
        shared.scopes[0].each(|bucket| live_keys += bucket.live(now).count());
        let counts = shared.scopes[0].totals();
        let evicted = shared.scopes.iter().map(|scope| scope.totals().evicted);
        let by_dimension = |sums: &crate::table::Sums| {
            let mut units = [0; 8];
            for dimension in Dimension::all() {
                units[dimension.index()] = sums.get(dimension);
            }
            units
        };
        BudgetStatus {
            soft: shared.modes.mode() == Mode::Soft,
            shadow: shared.modes.mode() == Mode::Shadow,
            live_keys,
            waiting: shared.room.lock().len(),
            admitted: counts.admitted,
            refused: counts.refused,
            settled: counts.settled,
            evicted: evicted.sum(),
            outstanding: counts.outstanding,
            reserved: by_dimension(&counts.reserved),
            granted: by_dimension(&counts.granted),
            refunded: by_dimension(&counts.refunded),
            overshot: by_dimension(&counts.overshot),
        }
    }

    /// The keys of the first scope that have spent most of a dimension, at most `most` of them, the greatest
    /// first. It goes through the whole table, bucket by bucket.
    #[must_use]
    pub fn top_spenders(&self, dimension: Dimension, most: usize) -> Vec<Spender> {
        let now = self.shared.nanos(&Now::new());
        let mut spenders: Vec<Spender> = Vec::new();
        self.shared.scopes[0].each(|bucket| {
            for (key, balance) in bucket.live(now) {
                let rules = bucket.rules.of(key);
                let mut parts = rules.by_dimension.iter().zip(&balance.accounts);
                let Some((part, account)) = parts.find(|(part, _)| part.dimension == dimension)
                else {
                    continue;
                };
                let rules = &part.rules;
                let debts = account.overdrawn(rules, now);
                let spent = account.standings(rules, now).zip(debts);
                let spent =
                    spent.map(|(at, debt)| (at.capacity - at.remaining).saturating_add(debt));
                let spent = spent.max().unwrap_or(0);
                spenders.push(Spender { key, spent });
            }
            // So that no more is held than is asked for, and what one bucket has.
            spenders
                .sort_unstable_by_key(|spender| (std::cmp::Reverse(spender.spent), spender.key));
            spenders.truncate(most);
        });
        spenders.retain(|spender| spender.spent > 0);
        spenders
    }

    /// What was used of a dimension, in thousandths of what had been reserved for it, since the budget was
    /// made: how far the estimates are off.
    #[cfg(feature = "hdrhistogram")]
    #[must_use]
    pub fn settle_errors(&self, dimension: Dimension) -> Option<hdrhistogram::Histogram<u64>> {
        self.shared.errors.of(dimension)
    }

    /// Admits nothing any more: those who wait are refused, and those who run settle as ever.
    pub fn close(&self) {
        self.shared.modes.close();
        self.shared.in_room(|room| room.close());
        self.shared.wake_subscribers();
    }

    /// Closes the budget, and ends when everything that runs has settled.
    pub async fn drain(&self) {
        self.close();
        poll_fn(|cx| {
            self.subscribe(cx.waker());
            match self.shared.scopes[0].totals().outstanding {
                0 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
    }
}

/// An estimate that would not be admitted now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoesNotFit {
    /// Which quota refuses it, and when it would fit.
    pub rejection: Rejection,
    /// The most that can ever fit, by [`Dimension::index`]; none where nothing is limited.
    pub most: Box<[Option<u64>; 8]>,
}

impl DoesNotFit {
    /// Whether it never fits, so that it must be made smaller.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.rejection.when() == When::Never
    }
}

impl std::fmt::Display for DoesNotFit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.rejection.fmt(f)?;
        if self.is_too_large() {
            f.write_str("; the most that fits:")?;
            for dimension in Dimension::all() {
                if let Some(most) = self.most[dimension.index()] {
                    write!(f, " {most} {dimension}")?;
                }
            }
        }
        Ok(())
    }
}

impl std::error::Error for DoesNotFit {}

impl Shared {
    pub(crate) fn is_global(&self, scope: usize) -> bool {
        self.scopes.get(scope).is_some_and(|scope| scope.global)
    }

    /// Whether the decision would admit, the waiting first.
    pub(crate) fn would_reserve(&self, demand: &BudgetDemand, now: u64) -> Result<(), Refused> {
        if !self.has_waiters() {
            return self.check(demand, now);
        }
        let arrival = Arrival {
            demand: *demand,
            wait: 0,
            deadline: u64::MAX,
        };
        self.in_room(|room| room.would_admit(&mut &*self, arrival, now))
            .map_err(|refused| match self.check(demand, now) {
                Err(own) => Refused {
                    when: refused.when,
                    ..own
                },
                Ok(()) => refused,
            })
    }
}
