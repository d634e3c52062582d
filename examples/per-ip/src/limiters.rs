//! The limits of the two limited routes, and what they are made of.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use buttress::rate_limit::{Limits, LimitsError, PersistError, RateLimiterBuilder};
use buttress::{Quota, RateLimiter};

use crate::config::Config;

/// How often the counts are saved.
const BETWEEN_SAVES: Duration = Duration::from_secs(60);

/// The limits of the two limited routes.
#[derive(Clone, Debug)]
pub struct Limiters {
    pub(crate) chat: RateLimiter,
    pub(crate) search: RateLimiter,
    /// The tier of an API key, as an account database would know it.
    tiers: Arc<RwLock<HashMap<String, Arc<str>>>>,
}

impl Limiters {
    /// Limiters as configured.
    ///
    /// # Errors
    ///
    /// If the configuration cannot be enforced.
    pub fn new(config: &Config) -> Result<Self, PersistError> {
        Self::kept(config, None)
    }

    /// Limiters as configured whose counts survive a restart, in the files `state.chat` and `state.search`.
    ///
    /// # Errors
    ///
    /// If the configuration cannot be enforced, or a file cannot be read.
    pub fn kept(config: &Config, state: Option<&Path>) -> Result<Self, PersistError> {
        let build = |builder: RateLimiterBuilder, route: &str| match state {
            Some(state) => {
                let mut file = state.as_os_str().to_owned();
                file.push(route);
                builder.persist(file).build()
            }
            None => Ok(builder.build()?),
        };
        // A tier must be there when what was spent in it is restored.
        let search = RateLimiter::builder().quotas(config.search.default.clone());
        let search = tiers(config).fold(search, |builder, (name, quotas)| {
            builder.tier(&name, quotas)
        });
        let keys = config.search.keys.iter();
        let search = keys.fold(search, |builder, (key, quotas)| {
            builder.override_for(key.clone(), quotas.clone())
        });
        let limiters = Self {
            chat: build(RateLimiter::builder().quotas(config.chat.clone()), ".chat")?,
            search: build(search, ".search")?,
            tiers: Arc::default(),
        };
        limiters.apply(config)?;
        Ok(limiters)
    }

    /// Puts another configuration in force; what was spent stays spent.
    ///
    /// # Errors
    ///
    /// If it cannot be enforced.
    pub fn apply(&self, config: &Config) -> Result<(), LimitsError> {
        let keys = config.search.keys.iter();
        self.search.set_limits(Limits {
            quotas: config.search.default.clone(),
            tiers: tiers(config).collect(),
            overrides: keys
                .map(|(key, quotas)| (self.search.hash(key), quotas.clone()))
                .collect(),
            ..self.search.limits()
        })?;
        self.chat.set_limits(Limits {
            quotas: config.chat.clone(),
            ..self.chat.limits()
        })?;
        if self.chat.penalty() != config.ban {
            self.chat.set_penalty(config.ban.clone());
        }
        let tiers = config.search.tiers.iter().flat_map(|(name, tier)| {
            let name: Arc<str> = name.as_str().into();
            tier.keys
                .iter()
                .map(move |key| (key.clone(), Arc::clone(&name)))
        });
        let tiers = tiers.collect();
        *self.tiers.write().unwrap_or_else(PoisonError::into_inner) = tiers;
        Ok(())
    }

    /// The tier of an API key.
    pub(crate) fn tier_of(&self, key: &str) -> Option<Arc<str>> {
        let tiers = self.tiers.read().unwrap_or_else(PoisonError::into_inner);
        tiers.get(key).cloned()
    }

    /// Saves the counts of both routes.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn save(&self) -> Result<(), PersistError> {
        self.chat.save()?;
        self.search.save()
    }

    /// Saves the counts of both routes again and again, for ever.
    pub async fn save_every_minute(self) {
        let warn = |error: PersistError| tracing::warn!("{error}; the counts are not saved");
        let chat = self.chat.save_every(BETWEEN_SAVES, warn);
        tokio::join!(chat, self.search.save_every(BETWEEN_SAVES, warn));
    }
}

fn tiers(config: &Config) -> impl Iterator<Item = (String, Vec<Quota>)> {
    let tiers = config.search.tiers.iter();
    tiers.map(|(name, tier)| (name.clone(), tier.quotas.clone()))
}
