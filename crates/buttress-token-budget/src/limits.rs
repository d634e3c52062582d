//! What a budget enforces: quotas by dimension, kept by one key or another.

use std::collections::HashMap;
use std::fmt;

use buttress_core::KeyHash;
use buttress_core::wall::CivilTime;
use buttress_quota::Quota;
use buttress_quota::algorithm::Rules;

use crate::dimension::{Dimension, MAX_DIMENSIONS};

/// How many keys a request can have at once: those it is kept by, and the one for all together.
pub const MAX_SCOPES: usize = 4;

/// How many quotas can concern one request.
pub const MAX_LIMITS: usize = 16;

/// A quota of one dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What it counts.
    pub dimension: Dimension,
    /// How much of it.
    pub quota: Quota,
}

impl Limit {
    /// A quota of a dimension.
    #[must_use]
    pub const fn new(dimension: Dimension, quota: Quota) -> Self {
        Self { dimension, quota }
    }
}

/// Why limits cannot be enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitsError {
    /// There is no limit at all.
    Nothing,
    /// More than [`MAX_LIMITS`] quotas would concern one request.
    TooManyLimits(usize),
    /// More than [`MAX_SCOPES`] keys would be kept, the one for all requests included.
    TooManyScopes(usize),
    /// A key of its own limits has none.
    NothingForKey,
    /// A live change names keys that the budget does not keep.
    NoSuchScope(usize),
}

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("there is no limit; give at least one"),
            Self::NothingForKey => {
                f.write_str("a key has other limits, and they are none; give at least one")
            }
            Self::TooManyLimits(found) => write!(
                f,
                "{found} quotas concern one request; the most is {MAX_LIMITS}"
            ),
            Self::TooManyScopes(found) => write!(
                f,
                "budgets are kept by {found} keys; the most is {MAX_SCOPES}, the one for all included"
            ),
            Self::NoSuchScope(scope) => write!(
                f,
                "there is no scope {scope}; those of a budget are fixed when it is built"
            ),
        }
    }
}

impl std::error::Error for LimitsError {}

/// The limits of one scope, made ready for arithmetic.
#[derive(Clone, Debug)]
pub(crate) struct ScopeRules {
    /// Sorted by dimension, in each in the order in which they were given.
    pub(crate) limits: Box<[Limit]>,
    /// For every limit what it is called in answers.
    pub(crate) names: Box<[String]>,
    pub(crate) by_dimension: Box<[DimensionRules]>,
    /// Those of single keys.
    pub(crate) overrides: HashMap<KeyHash, Self>,
}

/// The quotas of one dimension.
#[derive(Clone, Debug)]
pub(crate) struct DimensionRules {
    pub(crate) dimension: Dimension,
    pub(crate) rules: Rules,
    /// The number of its first quota in the scope.
    pub(crate) first: usize,
}

impl ScopeRules {
    /// The limits of single keys, made ready.
    pub(crate) fn by_key(
        limits: &[(KeyHash, Vec<Limit>)],
        civil: &CivilTime,
    ) -> HashMap<KeyHash, Self> {
        let rules = |(key, limits): &(KeyHash, Vec<Limit>)| (*key, Self::new(limits, civil));
        limits.iter().map(rules).collect()
    }

    /// The rules of a key.
    #[inline]
    pub(crate) fn of(&self, key: KeyHash) -> &Self {
        match self.overrides.is_empty() {
            true => self,
            false => self.overrides.get(&key).unwrap_or(self),
        }
    }

    pub(crate) fn new(limits: &[Limit], civil: &CivilTime) -> Self {
        let mut limits = limits.to_vec();
        limits.sort_by_key(|limit| limit.dimension);
        let mut by_dimension = Vec::with_capacity(MAX_DIMENSIONS);
        let mut first = 0;
        for chunk in limits.chunk_by(|one, other| one.dimension == other.dimension) {
            let quotas: Vec<_> = chunk.iter().map(|limit| limit.quota.clone()).collect();
            by_dimension.push(DimensionRules {
                dimension: chunk[0].dimension,
                rules: Rules::with_civil_time(&quotas, civil),
                first,
            });
            first += chunk.len();
        }
        Self {
            names: limits.iter().map(name).collect(),
            limits: limits.into(),
            by_dimension: by_dimension.into(),
            overrides: HashMap::new(),
        }
    }
}

fn name(limit: &Limit) -> String {
    match limit.quota.name() {
        Some(name) => name.to_owned(),
        None => format!("{} {}", limit.dimension, limit.quota),
    }
}
