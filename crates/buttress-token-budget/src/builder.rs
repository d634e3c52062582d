//! Choosing what a budget enforces.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use buttress_core::wall::WallClock;
use buttress_core::{KeyHash, Observe, Seed};
use buttress_quota::Quota;

use crate::alerts::{Alerts, MAX_THRESHOLDS};
use crate::budget::TokenBudget;
use crate::dimension::Dimension;
use crate::learned::Learned;
use crate::limits::{Limit, LimitsError, MAX_LIMITS, MAX_SCOPES, ScopeRules};
use crate::mode::Mode;
use crate::room::DEFAULT_WAITERS;
use crate::shared::{Parts, Shared};
use crate::table::Scope;
use crate::ticket::OnDrop;

/// How many live keys each table of a budget is rated for by default.
pub const DEFAULT_KEYS: usize = 65_536;

/// Builds a [`TokenBudget`].
#[derive(Debug)]
pub struct TokenBudgetBuilder {
    /// Kept by the first key.
    limits: Vec<Limit>,
    /// Kept by further keys.
    per: Vec<Vec<Limit>>,
    global: Vec<Limit>,
    overrides: Vec<Override>,
    /// Whether limits for all keys together can come later.
    global_later: bool,
    keys: usize,
    seed: Option<u64>,
    mode: Mode,
    on_drop: OnDrop,
    waiters: usize,
    wall_clock: Option<WallClock>,
    alerts: Option<Alerts>,
    learned: Option<Learned>,
}

/// Other limits for a key that is hashed when the seed is known.
struct Override {
    hash: Box<dyn Fn(&Seed) -> KeyHash + Send + Sync>,
    limits: Vec<Limit>,
}

impl fmt::Debug for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys can be secrets.
        f.debug_struct("Override")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Default for TokenBudgetBuilder {
    fn default() -> Self {
        Self {
            limits: Vec::new(),
            per: Vec::new(),
            global: Vec::new(),
            overrides: Vec::new(),
            global_later: false,
            keys: DEFAULT_KEYS,
            seed: None,
            mode: Mode::Hard,
            on_drop: OnDrop::default(),
            waiters: DEFAULT_WAITERS,
            wall_clock: None,
            alerts: None,
            learned: None,
        }
    }
}

impl TokenBudgetBuilder {
    /// Limits a dimension, per key. All limits are one decision.
    #[must_use]
    pub fn limit(mut self, dimension: Dimension, quota: Quota) -> Self {
        self.limits.push(Limit::new(dimension, quota));
        self
    }

    /// Limits a dimension for all keys together, in the same decision.
    #[must_use]
    pub fn global(mut self, dimension: Dimension, quota: Quota) -> Self {
        self.global.push(Limit::new(dimension, quota));
        self
    }

    /// Other limits for one key of the plain limits, which take their place. The key must hash as those of the
    /// requests do: a `String` hashes as a `&str`, and a `u32` not as a `u64`.
    #[must_use]
    pub fn override_for(
        mut self,
        key: impl Hash + Send + Sync + 'static,
        limits: impl IntoIterator<Item = Limit>,
    ) -> Self {
        self.overrides.push(Override {
            hash: Box::new(move |seed| seed.hash(&key)),
            limits: limits.into_iter().collect(),
        });
        self
    }

    /// Leaves room for limits for all keys together, also if there are none yet: they are the last scope of
    /// [`set_limits`](TokenBudget::set_limits), and scopes are fixed when a budget is built.
    #[must_use]
    pub fn global_later(mut self) -> Self {
        self.global_later = true;
        self
    }

    /// Further limits that are kept by a further key of the request, in the same decision: per tenant beside
    /// per model. The first call names what is kept by the second key, and so on.
    #[must_use]
    pub fn per(mut self, limits: impl IntoIterator<Item = Limit>) -> Self {
        self.per.push(limits.into_iter().collect());
        self
    }

    /// How many live keys each table is rated for; 65,536 if not said. A live key is one that has spent
    /// something that has not come back.
    ///
    /// A table is made when the first key comes, takes about 250 bytes a rated key and what its live keys'
    /// quotas take, and never grows. When far more keys than rated are live, those that owe least are
    /// forgotten, and counted in [`BudgetStatus::evicted`](crate::BudgetStatus::evicted).
    #[must_use]
    pub fn keys(mut self, keys: usize) -> Self {
        self.keys = keys;
        self
    }

    /// Hashes keys with a fixed seed, so that runs repeat. For tests and replays.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Only reports: nothing is refused, what does not fit is spent all the same.
    #[must_use]
    pub fn soft(mut self, soft: bool) -> Self {
        self.mode = if soft { Mode::Soft } else { Mode::Hard };
        self
    }

    /// Counts what would be refused, and refuses nothing: to try a budget out. Unlike under
    /// [`soft`](Self::soft), what does not fit spends nothing, so that it is seen how a hard budget would stand.
    #[must_use]
    pub fn shadow(mut self, shadow: bool) -> Self {
        self.mode = if shadow { Mode::Shadow } else { Mode::Hard };
        self
    }

    /// How a call that broke off settles.
    #[must_use]
    pub fn on_drop(mut self, on_drop: OnDrop) -> Self {
        self.on_drop = on_drop;
        self
    }

    /// How many can wait at once; 1,024 if not said. One more is refused as if it would wait too long.
    #[must_use]
    pub fn waiters(mut self, waiters: usize) -> Self {
        self.waiters = waiters;
        self
    }

    /// What civil time it is, which decides when the periods of calendar quotas begin.
    #[must_use]
    pub fn wall_clock(mut self, clock: WallClock) -> Self {
        self.wall_clock = Some(clock);
        self
    }

    /// Tells an observer with [`Event::Threshold`](buttress_core::Event::Threshold), once per window, when 80
    /// and when 100 percent of a quota are used.
    #[must_use]
    pub fn alert(self, observer: impl Observe + Send + Sync + 'static) -> Self {
        self.alert_at([80, 100], observer)
    }

    /// As [`alert`](Self::alert), at up to four thresholds of your own, in percent of a quota.
    #[must_use]
    pub fn alert_at(
        mut self,
        thresholds: impl IntoIterator<Item = u8>,
        observer: impl Observe + Send + Sync + 'static,
    ) -> Self {
        let mut thresholds: Vec<_> = thresholds
            .into_iter()
            .filter(|percent| *percent > 0)
            .collect();
        thresholds.sort_unstable();
        thresholds.dedup();
        thresholds.truncate(MAX_THRESHOLDS);
        self.alerts = Some(Alerts {
            thresholds: thresholds.into(),
            observer: Arc::new(observer),
        });
        self
    }

    /// Scales estimates by what was learned of those before.
    #[must_use]
    pub fn learned(mut self, learned: Learned) -> Self {
        self.learned = Some(learned);
        self
    }

    /// Makes the budget.
    ///
    /// # Errors
    ///
    /// If there is no limit, or more than sixteen or than four keys concern one request.
    pub fn build(self) -> Result<TokenBudget, LimitsError> {
        let mut scopes = vec![self.limits];
        scopes.extend(self.per);
        let keyed = scopes.len();
        if self.global_later || !self.global.is_empty() {
            scopes.push(self.global);
        }
        let seed = self.seed.map_or_else(Seed::random, Seed::fixed);
        let overrides = self.overrides.into_iter();
        let overrides: Vec<_> = overrides
            .map(|one| ((one.hash)(&seed), one.limits))
            .collect();
        check(&scopes, overrides.iter().map(|(_, limits)| limits))?;
        let epoch = buttress_core::time::now();
        let civil = self.wall_clock.unwrap_or_default().since(epoch);
        let scopes = scopes.iter().enumerate().map(|(index, limits)| {
            let mut rules = ScopeRules::new(limits, &civil);
            if index == 0 {
                rules.overrides = ScopeRules::by_key(&overrides, &civil);
            }
            Scope::new(Arc::new(rules), self.keys, index >= keyed)
        });
        let parts = Parts {
            epoch,
            scopes: scopes.collect(),
            civil,
            seed,
            mode: self.mode,
            on_drop: self.on_drop,
            most_waiters: self.waiters,
            alerts: self.alerts,
            learned: self.learned,
        };
        Ok(TokenBudget {
            shared: Arc::new(Shared::new(parts)),
        })
    }
}

/// Whether limits can be enforced, with those of single keys in the place of the first.
pub(crate) fn check<'a>(
    scopes: &[Vec<Limit>],
    overrides: impl Iterator<Item = &'a Vec<Limit>>,
) -> Result<(), LimitsError> {
    let limits: usize = scopes.iter().map(Vec::len).sum();
    let plain = scopes.first().map_or(0, Vec::len);
    let (mut most, mut fewest) = (plain, usize::MAX);
    for limits in overrides {
        most = most.max(limits.len());
        fewest = fewest.min(limits.len());
    }
    let most = limits - plain + most;
    match (limits, most, scopes.len()) {
        (0, ..) => Err(LimitsError::Nothing),
        _ if fewest == 0 => Err(LimitsError::NothingForKey),
        (_, most, _) if most > MAX_LIMITS => Err(LimitsError::TooManyLimits(most)),
        (.., scopes) if scopes > MAX_SCOPES => Err(LimitsError::TooManyScopes(scopes)),
        _ => Ok(()),
    }
}
