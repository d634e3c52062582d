//! Why a setting cannot be.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// Why a setting cannot be: its name, the value found, and the fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    field: &'static str,
    value: Box<str>,
    expected: Cow<'static, str>,
}

impl SettingError {
    pub(crate) fn new(
        field: &'static str,
        value: impl fmt::Debug,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            field,
            value: format!("{value:?}").into(),
            expected: expected.into(),
        }
    }

    /// The name of the setting, as configuration files write it.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// The value that was found.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What to write instead.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            value,
            expected,
        } = self;
        write!(f, "`{field}` is {value}; expected {expected}")
    }
}

impl Error for SettingError {}
