//! The configuration file.

use std::collections::BTreeMap;
use std::fmt;

use buttress::Quota;
use buttress::rate_limit::{Limits, Penalty, parse_duration};
use serde::Deserialize;

/// What the limits are, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The quotas of `/chat`, kept per client address.
    pub chat: Vec<Quota>,
    /// What repeated refusals on `/chat` lead to.
    pub ban: Option<Penalty>,
    /// The quotas of `/search`.
    pub search: Search,
}

/// The quotas of `/search`, kept per API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// For a key that is not listed. Each has its own count.
    pub default: Vec<Quota>,
    /// For the keys of a tier, by its name.
    pub tiers: BTreeMap<String, Tier>,
    /// For single keys, whatever their tier.
    pub keys: BTreeMap<String, Vec<Quota>>,
}

/// Quotas that each of several keys has.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The quotas.
    pub quotas: Vec<Quota>,
    /// The keys.
    pub keys: Vec<String>,
}

/// What `/search` allows a key if nothing else is said.
const SEARCH_DEFAULT: Quota = Quota::per_minute(30);

impl Config {
    /// What is in force without a file.
    #[must_use]
    pub fn new(chat: Vec<Quota>) -> Self {
        Self {
            chat,
            ban: None,
            search: Search {
                default: vec![SEARCH_DEFAULT],
                tiers: BTreeMap::new(),
                keys: BTreeMap::new(),
            },
        }
    }

    /// Reads a file. What it does not say is as in `self`.
    ///
    /// # Errors
    ///
    /// What is wrong, with line and field.
    pub fn read(&self, text: &str) -> Result<Self, ConfigError> {
        let wrong = |line, field, message: &str| ConfigError {
            line,
            field,
            message: message.trim().to_owned(),
        };
        let line = |span: Option<std::ops::Range<usize>>| {
            let before = text.get(..span?.start)?;
            Some(before.matches('\n').count() + 1)
        };
        let document = toml::Deserializer::parse(text)
            .map_err(|error| wrong(line(error.span()), None, error.message()))?;
        let file: File = serde_path_to_error::deserialize(document).map_err(|error| {
            let field = Some(error.path().to_string()).filter(|path| path != ".");
            let inner = error.inner();
            wrong(line(inner.span()), field, inner.message())
        })?;
        let search = file.search.unwrap_or_default();
        let default = &self.search;
        Ok(Self {
            chat: file.quotas.map_or_else(|| self.chat.clone(), |list| list.0),
            ban: file.ban.map(|ban| ban.0).or_else(|| self.ban.clone()),
            search: Search {
                default: search
                    .default
                    .map_or_else(|| default.default.clone(), |list| list.0),
                tiers: search
                    .tiers
                    .map_or_else(|| default.tiers.clone(), |tiers| tiers.0),
                keys: match search.keys {
                    Some(keys) => keys.into_iter().map(|(key, list)| (key, list.0)).collect(),
                    None => default.keys.clone(),
                },
            },
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    quotas: Option<List>,
    ban: Option<Ban>,
    search: Option<SearchTable>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchTable {
    default: Option<List>,
    tiers: Option<Tiers>,
    keys: Option<BTreeMap<String, List>>,
}

/// So many refusals, and a key is banned for so long.
#[derive(Deserialize)]
#[serde(try_from = "BanTable")]
struct Ban(Penalty);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BanTable {
    after: u32,
    length: String,
}

impl TryFrom<BanTable> for Ban {
    type Error = String;

    fn try_from(table: BanTable) -> Result<Self, String> {
        let length = parse_duration(&table.length).map_err(|error| format!("length: {error}"))?;
        let penalty = Penalty::try_ban(table.after, length);
        penalty.map(Self).map_err(|error| error.to_string())
    }
}

/// Tiers that can be enforced, and no key in two of them.
#[derive(Deserialize)]
#[serde(try_from = "BTreeMap<String, Tier>")]
struct Tiers(BTreeMap<String, Tier>);

impl TryFrom<BTreeMap<String, Tier>> for Tiers {
    type Error = String;

    fn try_from(tiers: BTreeMap<String, Tier>) -> Result<Self, String> {
        let mut tier_of = BTreeMap::new();
        for (name, tier) in &tiers {
            for key in &tier.keys {
                if let Some(other) = tier_of.insert(key, name) {
                    return Err(format!(
                        "the key `{key}` is in `{other}` and in `{name}`; name it once"
                    ));
                }
            }
        }
        let quotas = tiers
            .iter()
            .map(|(name, tier)| (name.clone(), tier.quotas.clone()));
        let limits = Limits {
            quotas: vec![SEARCH_DEFAULT],
            tiers: quotas.collect(),
            ..Limits::default()
        };
        limits.check().map_err(|error| error.to_string())?;
        Ok(Self(tiers))
    }
}

/// Quotas that can be enforced together.
#[derive(Deserialize)]
#[serde(try_from = "Vec<Quota>")]
struct List(Vec<Quota>);

impl TryFrom<Vec<Quota>> for List {
    type Error = String;

    fn try_from(quotas: Vec<Quota>) -> Result<Self, String> {
        if quotas.is_empty() {
            return Err("the list is empty; give at least one quota, such as \"5/minute\"".into());
        }
        let limits = Limits {
            quotas,
            ..Limits::default()
        };
        limits.check().map_err(|error| error.to_string())?;
        Ok(Self(limits.quotas))
    }
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The line, from 1.
    pub line: Option<usize>,
    /// The path of the field; none if the text is no TOML.
    pub field: Option<String>,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "`{field}`: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}
