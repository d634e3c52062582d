//! The limits of a limiter as one value, and what it becomes when it is made ready.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use buttress_core::KeyHash;
use buttress_core::wall::CivilTime;
use buttress_quota::Quota;
use buttress_quota::algorithm::{Pace, Rules};

use crate::shared::{GLOBAL, KEYED};
use crate::short_pace::ShortPace;

/// How many quotas can concern one request.
pub(crate) const MAX_QUOTAS: usize = 16;

/// What a limiter enforces: quotas kept per key, quotas kept for all keys together, and other quotas for
/// single keys. All that concern a request are one decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Kept per key.
    pub quotas: Vec<Quota>,
    /// Kept for all keys together, in the same decision.
    pub global: Vec<Quota>,
    /// Kept instead of `quotas` for single keys. The keys are hashed by the limiter:
    /// [`RateLimiter::hash`](crate::RateLimiter::hash).
    pub overrides: HashMap<KeyHash, Vec<Quota>>,
}

impl Limits {
    /// Whether they can be enforced.
    ///
    /// # Errors
    ///
    /// If there is no quota, an override without one, or more than sixteen concern one request.
    pub fn check(&self) -> Result<(), LimitsError> {
        if self.quotas.is_empty() && self.global.is_empty() {
            return Err(LimitsError::Nothing);
        }
        let lists = self.overrides.values().chain([&self.quotas]);
        for list in lists {
            let count = list.len() + self.global.len();
            if count > MAX_QUOTAS {
                return Err(LimitsError::TooMany { count });
            }
        }
        if self.overrides.values().any(Vec::is_empty) {
            return Err(LimitsError::EmptyOverride);
        }
        Ok(())
    }
}

/// Why limits cannot be enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitsError {
    /// There is no quota at all.
    Nothing,
    /// More quotas concern one request than a decision takes.
    TooMany {
        /// How many.
        count: usize,
    },
    /// The list of quotas for a single key is empty.
    EmptyOverride,
    /// They are to be shared by no instances at all.
    NoInstances,
}

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => {
                f.write_str("there is no quota; give at least one in `quotas` or `global`")
            }
            Self::TooMany { count } => write!(
                f,
                "{count} quotas concern one request; at most {MAX_QUOTAS} can, `global` ones included"
            ),
            Self::EmptyOverride => f.write_str(
                "an override has no quota; give it at least one, or take the override away",
            ),
            Self::NoInstances => {
                f.write_str("no instances share the limits; give `share_of` at least 1")
            }
        }
    }
}

impl std::error::Error for LimitsError {}

/// Limits made ready for arithmetic. Every bucket of the table holds the settings that its accounts were
/// last spent under, so that a change goes through the table bucket by bucket and no decision sees a
/// mixture.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    /// How many instances share the limits.
    pub(crate) instances: u32,
    pub(crate) quotas: Named,
    pub(crate) global: Named,
    overrides: HashMap<KeyHash, Named>,
}

/// Rules with the names under which they are reported.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) rules: Rules,
    pub(crate) names: Box<[Arc<str>]>,
}

impl Settings {
    pub(crate) fn new(limits: Limits, instances: u32, civil: &CivilTime) -> Self {
        let globals = limits.global.len();
        let keyed = |quotas: &[Quota]| {
            Named::new(quotas, instances, civil, |quota| {
                match quotas.len() + globals {
                    1 => "default".into(),
                    _ => quota.to_string(),
                }
            })
        };
        let overrides = limits.overrides.iter();
        Self {
            quotas: keyed(&limits.quotas),
            overrides: overrides
                .map(|(key, quotas)| (*key, keyed(quotas)))
                .collect(),
            global: Named::new(&limits.global, instances, civil, |quota| {
                match limits.quotas.is_empty() && globals == 1 {
                    true => "default".into(),
                    false => format!("{quota} for all"),
                }
            }),
            limits,
            instances,
        }
    }

    /// The pace of the one quota that is kept per key, if it is one and paced.
    pub(crate) fn pace(&self) -> Option<Pace> {
        self.quotas.rules.only()
    }

    /// That pace in short, if it is all that the table of keys must know.
    pub(crate) fn short_pace(&self) -> Option<ShortPace> {
        match self.overrides.is_empty() {
            true => ShortPace::new(&self.pace()?),
            false => None,
        }
    }

    /// What is kept for `key` alone.
    #[inline]
    pub(crate) fn keyed(&self, key: KeyHash) -> &Named {
        if self.overrides.is_empty() {
            return &self.quotas;
        }
        self.overrides.get(&key).unwrap_or(&self.quotas)
    }

    /// Whether anything is kept per key.
    #[inline]
    pub(crate) fn has_keyed(&self) -> bool {
        !self.quotas.rules.is_empty() || !self.overrides.is_empty()
    }

    /// What a limiter must look at.
    pub(crate) fn flags(&self) -> u8 {
        let keyed = if self.has_keyed() { KEYED } else { 0 };
        keyed | if self.has_global() { GLOBAL } else { 0 }
    }

    #[inline]
    pub(crate) fn has_global(&self) -> bool {
        !self.global.rules.is_empty()
    }
}

impl Named {
    fn new(
        quotas: &[Quota],
        instances: u32,
        civil: &CivilTime,
        default: impl Fn(&Quota) -> String,
    ) -> Self {
        let name = |quota: &Quota| match quota.name() {
            Some(name) => name.into(),
            None => default(quota).into(),
        };
        Self {
            rules: Rules::of_share(quotas, instances, civil),
            names: quotas.iter().map(name).collect(),
        }
    }
}
