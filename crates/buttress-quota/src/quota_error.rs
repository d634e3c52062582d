//! Why something is not a quota.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use buttress_core::duration::Quoted;

/// Why something is not a quota: its text, the part that is wrong, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaError {
    text: Box<str>,
    field: &'static str,
    part: Box<str>,
    reason: Cow<'static, str>,
}

impl QuotaError {
    pub(crate) fn new(
        text: &str,
        field: &'static str,
        part: &str,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            text: text.into(),
            field,
            part: part.into(),
            reason: reason.into(),
        }
    }

    /// The quota as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the wrong part should have been: `number`, `period`, `burst`, `window`, `zone`, `name`, or `quota` when
    /// the whole has the wrong form.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The part that is wrong; empty when something is missing.
    #[must_use]
    pub fn part(&self) -> &str {
        &self.part
    }

    /// What is wrong with the part, and the fix.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "quota {}: ", Quoted(&self.text))?;
        if self.field != "quota" {
            write!(f, "{} ", self.field)?;
            if !self.part.is_empty() {
                write!(f, "{} ", Quoted(&self.part))?;
            }
        }
        f.write_str(&self.reason)
    }
}

impl Error for QuotaError {}
