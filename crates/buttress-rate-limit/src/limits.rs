//! The limits of a limiter as one value, and what it becomes when it is made ready.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use buttress_core::wall::CivilTime;
use buttress_core::{KeyHash, KeyMap};
use buttress_quota::Quota;
use buttress_quota::algorithm::{Pace, Rules};

use crate::shared::{GLOBAL, KEYED, TIERED};
use crate::short_pace::ShortPace;
use crate::tiers::{MOST_TIERS, key_of, tier_of};

/// How many quotas can concern one request.
pub(crate) const MAX_QUOTAS: usize = 16;

/// What a limiter enforces: quotas kept per key, quotas kept for all keys together, and other quotas for
/// tiers of keys and for single keys. All that concern a request are one decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Kept per key.
    pub quotas: Vec<Quota>,
    /// Kept for all keys together, in the same decision.
    pub global: Vec<Quota>,
    /// Kept instead of `quotas` per key of a tier, by the tier's name
    /// ([`RateLimitLayer::tier`](crate::RateLimitLayer::tier)).
    pub tiers: BTreeMap<String, Vec<Quota>>,
    /// Kept instead of `quotas` for single keys, whatever their tier. The keys are hashed by the limiter:
    /// [`RateLimiter::hash`](crate::RateLimiter::hash).
    pub overrides: HashMap<KeyHash, Vec<Quota>>,
}

impl Limits {
    /// Whether they can be enforced.
    ///
    /// # Errors
    ///
    /// If there is no quota, an override or a tier without one, a tier without a name that can be written, or
    /// more than sixteen concern one request.
    pub fn check(&self) -> Result<(), LimitsError> {
        if self.quotas.is_empty() && self.global.is_empty() {
            return Err(LimitsError::Nothing);
        }
        let tiers = self.tiers.values();
        let lists = self.overrides.values().chain(tiers).chain([&self.quotas]);
        for list in lists {
            let count = list.len() + self.global.len();
            if count > MAX_QUOTAS {
                return Err(LimitsError::TooMany { count });
            }
        }
        if self.overrides.values().any(Vec::is_empty) {
            return Err(LimitsError::EmptyOverride);
        }
        for (name, quotas) in &self.tiers {
            let printable = name.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
            if name.is_empty() || name.len() > Quota::MAX_NAME || !printable {
                return Err(LimitsError::TierName { name: name.clone() });
            }
            if quotas.is_empty() {
                return Err(LimitsError::EmptyTier { name: name.clone() });
            }
        }
        Ok(())
    }
}

/// Why limits cannot be enforced.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// A tier has no quota.
    EmptyTier {
        /// The tier.
        name: String,
    },
    /// A tier's name cannot be written into a structured field of HTTP.
    TierName {
        /// The name.
        name: String,
    },
    /// The limiter would have had more tiers in its life than it can have, those that were taken away
    /// included.
    TooManyTiers {
        /// How many.
        count: usize,
    },
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
            Self::EmptyTier { name } => write!(
                f,
                "the tier `{name}` has no quota; give it at least one, or take the tier away"
            ),
            Self::TierName { name } => write!(
                f,
                "`{}` is not a name for a tier; write 1 to 64 characters of printable ASCII",
                name.escape_debug()
            ),
            Self::TooManyTiers { count } => write!(
                f,
                "{count} tiers, with those that were taken away; a limiter has at most {MOST_TIERS} in its \
                 life: give their places to keys of their own quotas, or make another limiter"
            ),
            Self::NoInstances => {
                f.write_str("no instances share the limits; give `share_of` at least 1")
            }
        }
    }
}

impl std::error::Error for LimitsError {}

/// Limits made ready for arithmetic, for the keys in no tier or in one. Every bucket of the table holds the
/// settings that its accounts were last spent under, so that a change goes through the table bucket by bucket
/// and no decision sees a mixture.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Empty in the settings of a tier.
    pub(crate) limits: Limits,
    /// How many instances share the limits.
    pub(crate) instances: u32,
    pub(crate) quotas: Named,
    pub(crate) global: Arc<Named>,
    has_global: bool,
    /// By the hash of a key in no tier; none if there are none.
    overrides: Option<Arc<KeyMap<Named>>>,
    /// Those of every tier that the limiter ever had, as long as it has it.
    tiers: Box<[Option<Arc<Settings>>]>,
}

/// Rules with the names under which they are reported.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) rules: Rules,
    pub(crate) names: Box<[Arc<str>]>,
}

impl Settings {
    /// Settings for the keys in no tier and, in the order of their names, for those in a tier.
    pub(crate) fn new<'a>(
        limits: Limits,
        instances: u32,
        civil: &CivilTime,
        tiers: impl Iterator<Item = &'a Arc<str>>,
    ) -> Self {
        let globals = limits.global.len();
        let named = |quotas: &[Quota]| {
            Named::new(quotas, instances, civil, |quota| {
                match quotas.len() + globals {
                    1 => "default".into(),
                    _ => quota.to_string(),
                }
            })
        };
        let overrides = limits.overrides.iter();
        let overrides: KeyMap<_> = overrides
            .map(|(key, quotas)| (key_of(*key), named(quotas)))
            .collect();
        let global = Named::new(&limits.global, instances, civil, |quota| {
            match limits.quotas.is_empty() && globals == 1 {
                true => "default".into(),
                false => format!("{quota} for all"),
            }
        });
        let settings = Self {
            quotas: named(&limits.quotas),
            overrides: (!overrides.is_empty()).then(|| Arc::new(overrides)),
            has_global: !global.rules.is_empty(),
            global: Arc::new(global),
            limits,
            instances,
            tiers: Box::default(),
        };
        let tiers = tiers.map(|name| Some(Arc::new(settings.of_tier(name, civil)?)));
        Self {
            tiers: tiers.collect(),
            ..settings
        }
    }

    fn of_tier(&self, name: &str, civil: &CivilTime) -> Option<Self> {
        let quotas = self.limits.tiers.get(name)?;
        Some(Self {
            limits: Limits::default(),
            instances: self.instances,
            quotas: Named::new(quotas, self.instances, civil, |quota| match quotas.len() {
                1 => name.to_owned(),
                _ => quota.to_string(),
            }),
            global: Arc::clone(&self.global),
            has_global: self.has_global,
            overrides: self.overrides.clone(),
            tiers: Box::default(),
        })
    }

    /// The settings for the tier that a hash says, if it is kept.
    #[inline]
    pub(crate) fn tier(&self, hash: KeyHash) -> Option<&Arc<Self>> {
        let index = tier_of(hash).checked_sub(1)?;
        self.tiers.get(index)?.as_ref()
    }

    /// The settings for the accounts that a hash's is among.
    pub(crate) fn of(&self, hash: KeyHash) -> &Self {
        self.tier(hash).map_or(self, |tier| tier)
    }

    /// As [`tier`](Self::tier), of each in order.
    pub(crate) fn tiers(&self) -> impl Iterator<Item = Option<&Arc<Self>>> {
        self.tiers.iter().map(Option::as_ref)
    }

    /// The keys that have quotas of their own.
    pub(crate) fn overridden(&self) -> impl Iterator<Item = KeyHash> + '_ {
        let overrides = self.overrides.iter();
        overrides.flat_map(|overrides| overrides.keys().copied())
    }

    /// The pace of the one quota that is kept per key, if it is one and paced.
    pub(crate) fn pace(&self) -> Option<Pace> {
        self.quotas.rules.only()
    }

    /// That pace in short, if it is all that the table of keys must know.
    pub(crate) fn short_pace(&self) -> Option<ShortPace> {
        match self.overrides {
            None => ShortPace::new(&self.pace()?),
            Some(_) => None,
        }
    }

    /// What is kept for a key alone, of those that these settings are for.
    #[inline]
    pub(crate) fn keyed(&self, key: KeyHash) -> &Named {
        match &self.overrides {
            None => &self.quotas,
            Some(overrides) => overrides.get(&key_of(key)).unwrap_or(&self.quotas),
        }
    }

    /// The same for requests without a key.
    pub(crate) fn keyed_everyone(&self) -> &Rules {
        &self.keyed(KeyHash::EVERYONE).rules
    }

    /// Whether anything is kept per key.
    #[inline]
    pub(crate) fn has_keyed(&self) -> bool {
        !self.quotas.rules.is_empty()
            || self.overrides.is_some()
            || self.tiers().any(|tier| tier.is_some())
    }

    /// What a limiter must look at.
    pub(crate) fn flags(&self) -> u8 {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        flag(self.has_keyed(), KEYED)
            | flag(self.has_global, GLOBAL)
            | flag(!self.tiers.is_empty(), TIERED)
    }

    #[inline]
    pub(crate) fn has_global(&self) -> bool {
        self.has_global
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
