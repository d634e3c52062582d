//! Durations as people write them: `250ms`, `90s`, `1h30m`.
//!
//! A duration is one or more parts, each an integer and a unit out of `ms s m h d`, with nothing between
//! them. `us` and `ns` exist as well, so that every [`Duration`] has a text. There are no fractions, signs or
//! spaces, and no unit appears twice. Zero is a duration; whether it makes sense is the caller's question.

mod setting;
#[cfg(feature = "serde")]
pub mod text;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

#[cfg(feature = "serde")]
pub use setting::Setting;
pub use setting::{LONGEST_SETTING, has_finer_unit, parse_setting};

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// The units of a duration, largest first, and their length in nanoseconds.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400 * NANOS_PER_SECOND),
    ("h", 3_600 * NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

const FORM: &str = "write an integer and one of ms, s, m, h, d, several in a row if need be, such as 250ms or 1h30m";

/// Why a text is not a duration: the whole text, the part that is wrong, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationError {
    text: Box<str>,
    part: Box<str>,
    reason: Cow<'static, str>,
}

impl DurationError {
    fn new(text: &str, part: &str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            text: text.into(),
            part: part.into(),
            reason: reason.into(),
        }
    }

    /// The text that was read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The part of the text that is wrong; empty when something is missing.
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

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "duration {}: ", Quoted(&self.text))?;
        if !self.part.is_empty() && self.part != self.text {
            write!(f, "{} ", Quoted(&self.part))?;
        }
        f.write_str(&self.reason)
    }
}

impl Error for DurationError {}

/// A piece of somebody's text in an error: in quotes, escaped, and cut where it becomes unreadable.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(
    /// The text.
    pub &'a str,
);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 120;
        match self.0.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, "{:?}...", &self.0[..end]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

/// Reads a duration such as `250ms`, `90s` or `1h30m`.
///
/// # Errors
///
/// When the text has another form, repeats a unit, or is longer than a [`Duration`] can be. The error names
/// the text, the part that is wrong, and the fix.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    if text.is_empty() {
        return Err(DurationError::new(text, "", format!("is empty; {FORM}")));
    }
    let too_long = || {
        DurationError::new(
            text,
            text,
            "is too long; write at most 18446744073709551615 seconds",
        )
    };
    let mut rest = text;
    let mut seen = [false; UNITS.len()];
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let part = &rest[..digits + letters];
        if number.is_empty() {
            return Err(DurationError::new(
                text,
                rest,
                format!("is not a duration; {FORM}"),
            ));
        }
        if after.starts_with(['.', ',']) && unit.is_empty() {
            let reason =
                "is a fraction; write whole numbers of a smaller unit, such as 1500ms for 1.5s";
            return Err(DurationError::new(text, rest, reason));
        }
        let (place, nanos) = unit_of(text, part, unit)?;
        if std::mem::replace(&mut seen[place], true) {
            return Err(DurationError::new(
                text,
                part,
                format!("repeats the unit {unit}; add the numbers up"),
            ));
        }
        total = number
            .parse::<u128>()
            .ok()
            .and_then(|number| number.checked_mul(nanos))
            .and_then(|length| total.checked_add(length))
            .ok_or_else(too_long)?;
        rest = after;
    }
    if total > Duration::MAX.as_nanos() {
        return Err(too_long());
    }
    Ok(from_nanos(total))
}

fn unit_of(text: &str, part: &str, unit: &str) -> Result<(usize, u128), DurationError> {
    if let Some(place) = UNITS.iter().position(|(name, _)| *name == unit) {
        return Ok((place, UNITS[place].1));
    }
    let reason = match unit {
        "" => format!("has no unit; {FORM}"),
        "min" | "mins" | "minute" | "minutes" => {
            "has an unknown unit; write minutes as m, such as 5m".to_owned()
        }
        _ => format!("has an unknown unit; {FORM}"),
    };
    Err(DurationError::new(text, part, reason))
}

/// The canonical text of a duration: one integer and the largest unit that divides it, such as `90s`.
///
/// [`parse_duration`] reads it back to the same value.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    DurationText(duration).to_string()
}

/// Writes a duration as [`format_duration`] does, without an allocation.
#[derive(Clone, Copy, Debug)]
pub struct DurationText(
    /// The duration.
    pub Duration,
);

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let dividing = UNITS
            .iter()
            .find(|(_, length)| nanos != 0 && nanos.is_multiple_of(*length));
        match dividing {
            Some((name, length)) => write!(f, "{}{name}", nanos / length),
            None => f.write_str("0s"),
        }
    }
}

/// A number of nanoseconds as a [`Duration`]; what is longer than one can be becomes [`Duration::MAX`].
#[inline]
#[must_use]
pub fn from_nanos(nanos: u128) -> Duration {
    // Nearly every wait is shorter than 584 years, and there a division by a constant is a multiplication.
    if let Ok(nanos) = u64::try_from(nanos) {
        return Duration::from_nanos(nanos);
    }
    match u64::try_from(nanos / NANOS_PER_SECOND) {
        Ok(seconds) => Duration::new(seconds, (nanos % NANOS_PER_SECOND) as u32),
        Err(_) => Duration::MAX,
    }
}
