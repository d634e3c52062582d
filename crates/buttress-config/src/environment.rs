//! Environment variables that override what a file says.

use toml::de::{DeTable, DeValue};

use crate::fields;
use crate::text::{Said, toml_string};

/// What the variables begin with if nothing else is said.
const PREFIX: &str = "BUTTRESS_";

/// Between a table and what is in it.
const INSIDE: &str = "__";

/// Environment variables that override what a file says, or stand in for a file.
///
/// A variable is called as the field is, in capitals, with the prefix in front and two underscores where a
/// path has a dot: `BUTTRESS_SEED`, `BUTTRESS_RATE_LIMIT__QUOTAS`, `BUTTRESS_RETRY__BUDGET__RATIO`. Its value
/// is written as in TOML, or as bare text (`30s`); a list with commas too (`10/second, 1000/day`). A key of
/// `overrides` is taken as it is written: `BUTTRESS_RATE_LIMIT__OVERRIDES__vip`.
///
/// A variable with the prefix that names no field is an error, so that a slip is not passed over.
///
/// ```
/// use buttress_config::{Environment, StackConfig};
///
/// let variables = [("BUTTRESS_RATE_LIMIT__QUOTAS", "10/second, 1000/day"), ("HOME", "/root")];
/// let config = StackConfig::from_toml_and("[rate_limit]\nwait = '5s'", &Environment::of(variables))?;
/// assert_eq!(config.rate_limit.map(|limit| limit.quotas.len()), Some(2));
/// # Ok::<(), buttress_config::Problems>(())
/// ```
#[derive(Clone, Default)]
pub struct Environment {
    said: Vec<Said>,
}

impl Environment {
    /// No variables.
    #[must_use]
    pub const fn empty() -> Self {
        Self { said: Vec::new() }
    }

    /// Those of these variables that begin with `BUTTRESS_`. Give it `std::env::vars_os()`, or what a test
    /// says.
    #[must_use]
    pub fn of<K: AsRef<std::ffi::OsStr>, V: AsRef<std::ffi::OsStr>>(
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self::with_prefix(PREFIX, variables)
    }

    /// Those of these variables that begin with a prefix of your own, such as `GATEWAY_`.
    #[must_use]
    pub fn with_prefix<K: AsRef<std::ffi::OsStr>, V: AsRef<std::ffi::OsStr>>(
        prefix: &str,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let mut said: Vec<Said> = variables
            .into_iter()
            .filter_map(|(name, value)| {
                let name = name.as_ref().to_string_lossy();
                let field = name.strip_prefix(prefix)?;
                // What is no text becomes one that no field takes, and is told as it looks.
                Some(read(prefix, field, &value.as_ref().to_string_lossy()))
            })
            .collect();
        // A table comes before what is in it.
        said.sort_by(|one, other| one.path.cmp(&other.path));
        Self { said }
    }

    pub(crate) fn said(&self) -> Vec<Said> {
        self.said.clone()
    }
}

/// Values can be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.said.iter().map(|said| &said.name);
        f.debug_list().entries(names).finish()
    }
}

fn read(prefix: &str, field: &str, value: &str) -> Said {
    let mut path: Vec<String> = Vec::new();
    for part in field.split(INSIDE) {
        let is_key = path.len() == 2 && path[1] == "overrides";
        path.push(match is_key {
            true => part.to_owned(),
            false => part.to_lowercase(),
        });
    }
    let overrides = path.get(1).is_some_and(|name| name == "overrides");
    let is_list = match overrides {
        true => path.len() == 3,
        false => fields::find(&path).is_some_and(|field| field.kind.is_list()),
    };
    let name = match (overrides, path.len() > 2) {
        (true, true) => format!("{prefix}RATE_LIMIT{INSIDE}OVERRIDES{INSIDE}..."),
        _ => format!("{prefix}{field}"),
    };
    Said {
        name,
        said: (!overrides).then(|| value.to_owned()),
        value: rendered(value, is_list),
        path,
    }
}

/// The value in TOML: as it is if it is TOML, else as a text, or as a list of texts.
fn rendered(value: &str, is_list: bool) -> String {
    let document = format!("v={value}");
    let parsed = DeTable::parse(&document).ok();
    let parsed = parsed.as_ref().map(|table| table.get_ref());
    let single = parsed.filter(|table| table.len() == 1);
    let known = single
        .and_then(|table| table.get("v"))
        .map(toml::Spanned::get_ref);
    match (known, is_list) {
        (Some(DeValue::Array(_)), true) | (Some(_), false) => value.to_owned(),
        (Some(DeValue::String(text)), true) => format!("[{}]", toml_string(text)),
        (None, false) => toml_string(value),
        (_, true) => {
            let elements = value.split(',').map(|text| toml_string(text.trim()));
            format!("[{}]", elements.collect::<Vec<_>>().join(", "))
        }
    }
}
