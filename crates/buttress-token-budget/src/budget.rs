//! The budget itself: a policy, and of use without tower.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::task::Waker;

use buttress_core::{
    Describe, End, KeyHash, LimitId, Now, Permit, Policy, PolicyId, Reason, Rejection, Seed,
    Standing,
};
use buttress_quota::{Quota, Window};

use crate::builder::TokenBudgetBuilder;
use crate::demand::{BudgetDemand, Keys, Scales};
use crate::dimension::{Amounts, Dimension};
use crate::limits::{Limit, MAX_LIMITS, MAX_SCOPES};
use crate::shared::Shared;
use crate::ticket::{Reserved, Settlement};

/// Makes sure that tokens, money or whatever is counted are not overspent although what a call costs is
/// known only at its end: an estimate is reserved, and what was really used takes its place.
///
/// It is the policy behind [`TokenBudgetLayer`](crate::TokenBudgetLayer), and of use without tower:
///
/// ```
/// use buttress_token_budget::{Amounts, Dimension, Settlement, TokenBudget};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let budget = TokenBudget::builder()
///     .limit(Dimension::REQUESTS, "60/minute".parse()?)
///     .limit(Dimension::TOTAL, "150k/minute rolling".parse()?)
///     .build()?;
///
/// let reserved = budget.reserve("alice", Amounts::tokens(900, 4_000))?;
/// // ... the call ...
/// budget.settle(reserved, Settlement::Exact(Amounts::tokens(900, 250).usage()));
/// assert_eq!(budget.balances("alice")[1].remaining, 150_000 - 1_150);
/// # Ok(())
/// # }
/// ```
///
/// Clones share one budget.
#[derive(Clone)]
pub struct TokenBudget {
    pub(crate) shared: Arc<Shared>,
}

impl TokenBudget {
    /// A budget of one dimension, kept per key. For more see [`builder`](Self::builder).
    ///
    /// # Panics
    ///
    /// Never: one quota can be enforced.
    #[must_use]
    pub fn new(dimension: Dimension, quota: Quota) -> Self {
        let budget = Self::builder().limit(dimension, quota).build();
        budget.expect("one quota can be enforced")
    }

    /// Chooses what a budget enforces.
    #[must_use]
    pub fn builder() -> TokenBudgetBuilder {
        TokenBudgetBuilder::default()
    }

    /// The hash that this budget keeps a key by.
    pub fn hash(&self, key: impl Hash) -> KeyHash {
        self.shared.seed.hash(key)
    }

    /// The seed that keys are hashed with.
    #[must_use]
    pub fn seed(&self) -> &Seed {
        &self.shared.seed
    }

    /// Who this budget is in a rejection's [`LimitId`].
    #[must_use]
    pub fn id(&self) -> PolicyId {
        self.shared.id
    }

    /// What a request asks that is kept by these keys, one for each `per` of the builder, the first for the
    /// plain limits; missing ones are everybody's. The estimate is scaled if the budget learns.
    #[must_use]
    pub fn demand(&self, keys: &[KeyHash], estimate: Amounts) -> BudgetDemand {
        let mut held: Keys = [KeyHash::EVERYONE; MAX_SCOPES];
        for (slot, key) in held.iter_mut().zip(keys) {
            *slot = *key;
        }
        let mut demand = BudgetDemand {
            keys: held,
            amounts: estimate,
            scales: Scales::NONE,
            deadline: None,
        };
        if let Some(learned) = &self.shared.learned {
            learned.scale(&mut demand);
        }
        demand
    }

    /// Reserves the estimate in all dimensions, or in none.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] with [`Reason::TokenBudget`]: which quota decided, and when to come back as if nothing
    /// that runs settled before ([`When::Never`](buttress_core::When::Never) if the estimate is above a
    /// capacity; [`would_fit`](Self::would_fit) then tells what is not).
    pub fn reserve(
        &self,
        key: impl Hash,
        estimate: Amounts,
    ) -> Result<Permit<Reserved>, Rejection> {
        let demand = self.demand(&[self.hash(key)], estimate);
        self.try_admit(&demand, &Now::new())
    }

    /// Settles by hand, for use without tower. A permit that is dropped instead settles as a call that its
    /// caller left ([`OnDrop`](crate::OnDrop)).
    pub fn settle(&self, permit: Permit<Reserved>, settlement: Settlement) {
        if let Some(reserved) = permit.into_ticket() {
            reserved.settle(settlement, &Now::new());
        }
    }
}

/// How many names of limits each scope has: as many as there can be.
const PER_SCOPE: u8 = 16;

const _: () = assert!(MAX_LIMITS <= PER_SCOPE as usize && MAX_SCOPES * MAX_LIMITS <= 256);

impl Policy for TokenBudget {
    type Demand = BudgetDemand;
    type Ticket = Reserved;

    fn would_admit(&self, demand: &BudgetDemand, now: &Now) -> Result<(), Rejection> {
        let shared = &self.shared;
        shared.refused_closed()?;
        if !shared.is_hard() {
            return Ok(());
        }
        let nanos = shared.nanos(now);
        shared
            .would_reserve(demand, nanos)
            .map_err(|refused| shared.rejection(demand, Reason::TokenBudget, &refused))
    }

    #[inline]
    fn try_admit(&self, demand: &BudgetDemand, now: &Now) -> Result<Permit<Reserved>, Rejection> {
        let nanos = self.shared.nanos(now);
        self.shared.try_reserve(demand, nanos).map(Permit::new)
    }

    fn release(&self, _: &BudgetDemand, permit: Permit<Reserved>, now: &Now) {
        permit.end(End::Released, now);
    }

    fn refusals(&self, demand: &BudgetDemand, now: &Now, each: &mut dyn FnMut(Rejection)) {
        let Err(first) = self.would_admit(demand, now) else {
            return;
        };
        each(first);
        let Some(limit) = first.limit() else { return };
        let violated = (0..)
            .take(MAX_LIMITS)
            .filter(|quota| first.violates(*quota));
        if violated.count() > 1 {
            let refusals = self.shared.refusals(demand, self.shared.nanos(now));
            for (quota, when) in (0..).zip(refusals) {
                if let Some(when) = when.filter(|_| quota != limit.quota) {
                    each(Rejection::new(first.reason(), when).by(LimitId { quota, ..limit }));
                }
            }
        }
    }

    fn touches(&self, demand: &BudgetDemand, limit: LimitId) -> bool {
        if limit.policy != self.shared.id {
            return false;
        }
        let Some((scope, dimension)) = self.shared.scope_of(limit.quota.into(), limit.key) else {
            return true;
        };
        // A rejection names the first key of its request, so of further keys it can only be said that they may
        // be the same.
        let may_share = scope > 0 || demand.keys[0] == limit.key;
        may_share && demand.amounts.needs(dimension)
    }

    fn limits(&self, demand: &BudgetDemand, each: &mut dyn FnMut(LimitId, LimitId)) {
        let limit = |key, quota| LimitId {
            policy: self.shared.id,
            key,
            quota,
        };
        let mut number = 0_u8;
        for (index, (scope, &key)) in (0_u8..).zip(self.shared.scopes.iter().zip(&demand.keys)) {
            let rules = scope.rules();
            let limits = &rules.of(key).limits;
            // Keys can have other numbers of limits, so those of every scope are counted by themselves.
            let shared = (0_u8..).map(|number| index * PER_SCOPE + number);
            for ((held, quota), name) in limits.iter().zip(number..).zip(shared) {
                if demand.amounts.needs(held.dimension) {
                    // Those who share a limit need not share the first key, by which rejections name it.
                    each(limit(demand.keys[0], quota), limit(key, name));
                }
            }
            number = number.saturating_add(u8::try_from(limits.len()).unwrap_or(u8::MAX));
        }
    }

    fn subscribe(&self, waker: &Waker) {
        let mut subscribers = self.shared.subscribers.lock();
        if !subscribers.iter().any(|held| held.will_wake(waker)) {
            subscribers.push(waker.clone());
        }
    }
}

impl Describe for TokenBudget {
    fn standings(&self, key: KeyHash, now: &Now, each: &mut dyn FnMut(Standing<'_>)) {
        let shared = &self.shared;
        let nanos = shared.nanos(now);
        let mut number = 0;
        for (index, scope) in shared.scopes.iter().enumerate() {
            // A request's further keys are not known here; where they differ nothing is told of them.
            let known = index == 0 || shared.is_global(index);
            let key = if index == 0 { key } else { KeyHash::EVERYONE };
            let mut found = [const { None }; MAX_LIMITS];
            let bucket = scope.lock(key);
            let now = nanos.max(bucket.latest);
            let rules = Arc::clone(&bucket.rules);
            let key_rules = rules.of(key);
            let slot = bucket.find(key);
            let fresh = crate::balance::Balance::default();
            let balance = bucket.look(slot).1.unwrap_or(&fresh);
            for (index, part) in key_rules.by_dimension.iter().enumerate() {
                let none = buttress_quota::algorithm::Account::default();
                let account = balance.accounts.get(index).unwrap_or(&none);
                for standing in account.standings(&part.rules, now) {
                    found[part.first + standing.quota] = Some(standing);
                }
            }
            drop(bucket);
            let limits = key_rules.limits.iter().zip(&key_rules.names).zip(found);
            for ((Limit { quota, .. }, name), standing) in limits {
                if let Some(standing) = standing.filter(|_| known) {
                    each(Standing {
                        quota: number,
                        name,
                        capacity: standing.capacity,
                        window: window_of(quota),
                        remaining: standing.remaining,
                        until_more: standing.until_more,
                    });
                }
                number += 1;
            }
        }
    }
}

/// In how long all units come back.
pub(crate) fn window_of(quota: &Quota) -> std::time::Duration {
    match *quota.window() {
        Window::Paced { burst } => {
            let nanos = quota.period().as_nanos().saturating_mul(u128::from(burst));
            let nanos = nanos.div_ceil(u128::from(quota.units()));
            buttress_core::duration::from_nanos(nanos)
        }
        _ => quota.period(),
    }
}

impl fmt::Debug for TokenBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits: Vec<_> = self
            .shared
            .scopes
            .iter()
            .map(|scope| scope.limits())
            .collect();
        f.debug_struct("TokenBudget")
            .field("limits", &limits)
            .finish_non_exhaustive()
    }
}
