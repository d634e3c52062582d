//! Quotas as the settings of a configuration file.

use std::fmt;

use buttress_core::duration::has_finer_unit;
use serde::{Deserializer, de};

use crate::quota::Quota;

/// Reads a quota in quotes, whose period is in no unit finer than the timers'. `example` is shown to whoever
/// wrote something else. It is read through a visitor, so that an error stays with its element of a list.
///
/// # Errors
///
/// Those of the format, and of a text that is no quota or too fine.
pub fn read<'de, D: Deserializer<'de>>(
    deserializer: D,
    example: &'static str,
) -> Result<Quota, D::Error> {
    struct Visitor(&'static str);

    impl de::Visitor<'_> for Visitor {
        type Value = Quota;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a quota in quotes, such as \"{}\"", self.0)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Quota, E> {
            let quota = text.parse().map_err(E::custom)?;
            match has_finer_unit(text) {
                true => Err(E::custom("expected a period in ms, s, m, h or d")),
                false => Ok(quota),
            }
        }
    }

    deserializer.deserialize_str(Visitor(example))
}
