//! Durations of configuration files, which are stricter than any duration.

use std::time::Duration;

use super::parse_duration;

/// The longest duration of a configuration: 10^10 s.
pub const LONGEST_SETTING: Duration = Duration::from_secs(10_000_000_000);

/// Reads a duration of a configuration: in whole milliseconds, above zero, and at most
/// [`LONGEST_SETTING`].
///
/// # Errors
///
/// What is wrong with the text, and what was expected.
pub fn parse_setting(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    if has_finer_unit(text) {
        Err("expected a duration in ms, s, m, h or d".into())
    } else if duration.is_zero() {
        Err("expected a duration above zero".into())
    } else if duration > LONGEST_SETTING {
        Err(format!(
            "expected a duration of at most {}s",
            LONGEST_SETTING.as_secs()
        ))
    } else {
        Ok(duration)
    }
}

/// Whether a text counts micro- or nanoseconds, which a configuration does not.
#[must_use]
pub fn has_finer_unit(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes
        .windows(3)
        .any(|part| part[0].is_ascii_digit() && matches!(&part[1..], b"us" | b"ns"))
        || text.contains('\u{b5}')
}

/// A duration that a configuration file writes as text; see [`parse_setting`].
#[cfg(feature = "serde")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting(
    /// The duration.
    pub Duration,
);

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Setting {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Setting;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a duration in quotes, such as \"500ms\" or \"1h30m\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Setting, E> {
                parse_setting(text).map(Setting).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}
