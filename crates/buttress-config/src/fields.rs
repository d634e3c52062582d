//! Every field of a configuration in one table, of which the reference and the JSON Schema are made. A test
//! holds it against the types that really read the fields.

mod layers;
mod parts;
mod tables;

pub use tables::TABLES;

/// A table of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name; empty for the top level.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
}

/// A field of a table.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What holds if it is not given, as TOML writes it; none if that is nothing.
    pub default: Option<&'static str>,
    /// A value, as TOML writes it.
    pub example: &'static str,
    /// What it says.
    pub about: &'static str,
    /// Whether a change of it needs no restart.
    pub live: bool,
}

/// What a field takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Whole {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// A number, with decimals or without.
    Number {
        /// The least.
        least: f64,
        /// The most.
        most: f64,
        /// Whether the least itself is too little.
        above: bool,
    },
    /// A duration as text: `"250ms"`, `"1h30m"`.
    Duration,
    /// A list of quotas as text.
    Quotas,
    /// Lists of quotas by key.
    QuotasByKey,
    /// A list of names of methods.
    Methods,
    /// A list of names of tables.
    Stack,
    /// A time as RFC 3339 writes it.
    Time,
    /// One of these names.
    Choice(&'static [&'static str]),
    /// A number of calls, or a duration as text.
    CallsOrDuration {
        /// The most calls.
        most: u64,
    },
    /// A table of these fields, or `"none"`.
    TableOrNone(&'static [Field]),
}

impl Kind {
    /// Whether it is a list, which an environment variable may write with commas.
    #[must_use]
    pub const fn is_list(&self) -> bool {
        matches!(self, Self::Quotas | Self::Methods | Self::Stack)
    }
}

/// The field at a path, such as `["retry", "budget", "ratio"]`.
pub(crate) fn find(path: &[String]) -> Option<&'static Field> {
    let (table, fields) = match path {
        [_] => ("", path),
        [table, fields @ ..] => (table.as_str(), fields),
        [] => return None,
    };
    let table = TABLES.iter().find(|known| known.name == table)?;
    let (name, rest) = fields.split_first()?;
    let field = table.fields.iter().find(|field| field.name == name)?;
    match (rest, field.kind) {
        ([], _) => Some(field),
        ([inner], Kind::TableOrNone(fields)) => fields.iter().find(|field| field.name == inner),
        _ => None,
    }
}
