//! The text form of a quota: `5/minute`, `1/second burst 5`, `1200/day rolling`, `10/90s`,
//! `1200/day calendar Europe/Berlin`.
//!
//! `<n>/<period>`, then at most one of ` burst <b>`, ` rolling` and ` calendar <zone>`. `n` and `b` are
//! integers from 1, with `k` for thousands and `M` for millions. A period is `second minute hour day week`,
//! `s min h d`, or a duration ([`parse_duration`]); with `calendar` a named one, `month` too, and zones are
//! the names of the IANA database. Spaces around the whole are ignored; inside there is one between words and none
//! elsewhere. Letters are as shown here.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::quota::{PERIOD_RANGE, Quota, Window};
use crate::quota_error::QuotaError;
use buttress_core::duration::{DurationText, parse_duration};

const FORM: &str = "write <n>/<period>, then at most one of \" burst <b>\", \" rolling\" and \" calendar <zone>\", \
                    such as 5/minute, 1/second burst 5, 1200/day rolling or 1200/day calendar UTC";

const PERIODS: &str = "write one of second, minute, hour, day, week, s, min, h, d, \
                       or a duration such as 90s or 1h30m, directly after the \"/\"";

const AMOUNT: &str = "write an integer from 1 to 9223372036854775807, with k for thousands or M for millions if you like";

/// The periods that have a word, and their seconds. The first word of a length is the canonical one.
const WORDS: [(&str, u64); 9] = [
    ("second", 1),
    ("minute", 60),
    ("hour", 3_600),
    ("day", 86_400),
    ("week", 604_800),
    ("s", 1),
    ("min", 60),
    ("h", 3_600),
    ("d", 86_400),
];

// === impl Display ===

/// The canonical text, which reads back to the same quota (without its name, which has no text).
impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.units())?;
        #[cfg(feature = "calendar")]
        if let Window::Calendar { unit, zone } = self.window() {
            return write!(f, "{unit} calendar {zone}");
        }
        let period = self.period();
        match WORDS
            .iter()
            .find(|(_, seconds)| Duration::from_secs(*seconds) == period)
        {
            Some((word, _)) => f.write_str(word)?,
            None => write!(f, "{}", DurationText(period))?,
        }
        match *self.window() {
            Window::Paced { burst } if burst == self.units() => Ok(()),
            Window::Paced { burst } => write!(f, " burst {burst}"),
            Window::Rolling => f.write_str(" rolling"),
            #[cfg(feature = "calendar")]
            Window::Calendar { .. } => Ok(()),
        }
    }
}

// === impl FromStr ===

impl FromStr for Quota {
    type Err = QuotaError;

    fn from_str(text: &str) -> Result<Self, QuotaError> {
        let body = text.trim();
        let Some((number, rest)) = body.split_once('/') else {
            let reason = if body.is_empty() {
                "is empty"
            } else {
                "has no \"/\""
            };
            return Err(QuotaError::new(
                text,
                "quota",
                body,
                format!("{reason}; {FORM}"),
            ));
        };
        let units = parse_amount(text, "number", number)?;
        if rest.contains([',', ';']) {
            let reason = format!("is more than one quota; give each a text of its own, and {FORM}");
            return Err(QuotaError::new(text, "quota", body, reason));
        }
        let mut words = rest.split(' ');
        let period = words.next().unwrap_or_default();
        let options: Vec<&str> = words.collect();
        if let [option, ..] = options.as_slice()
            && *option == "calendar"
        {
            return parse_calendar(text, units, period, &options);
        }
        let period = parse_period(text, period)?;
        let quota = Quota::new(units, period).map_err(|error| {
            QuotaError::new(text, error.field(), error.part(), error.reason().to_owned())
        })?;
        match options.as_slice() {
            [] => Ok(quota),
            ["rolling"] => Quota::try_rolling(units, period),
            ["burst", burst] => quota.try_burst(parse_amount(text, "burst", burst)?),
            ["burst"] => Err(QuotaError::new(
                text,
                "burst",
                "",
                format!("has no number; {AMOUNT}"),
            )),
            options => Err(refuse_options(text, options)),
        }
    }
}

fn parse_amount(text: &str, field: &'static str, part: &str) -> Result<u64, QuotaError> {
    let error = |reason: &str| QuotaError::new(text, field, part, format!("{reason}; {AMOUNT}"));
    if part.is_empty() {
        return Err(error("is missing"));
    }
    if part.contains(char::is_whitespace) {
        return Err(error("has a space in it or beside it"));
    }
    let (digits, factor) = match part.as_bytes().last() {
        Some(b'k') => (&part[..part.len() - 1], 1_000),
        Some(b'M') => (&part[..part.len() - 1], 1_000_000),
        _ => (part, 1),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(error("is not an integer"));
    }
    match digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
    {
        Some(0) => Err(error("is zero, which would admit nothing")),
        Some(amount) if amount <= Quota::MAX_UNITS => Ok(amount),
        _ => Err(error("is too large")),
    }
}

fn parse_period(text: &str, part: &str) -> Result<Duration, QuotaError> {
    if let Some((_, seconds)) = WORDS.iter().find(|(word, _)| *word == part) {
        return Ok(Duration::from_secs(*seconds));
    }
    let error = |reason: String| QuotaError::new(text, "period", part, reason);
    if part.starts_with(|c: char| c.is_ascii_digit()) {
        return match parse_duration(part) {
            Ok(Duration::ZERO) => Err(error(PERIOD_RANGE.to_owned())),
            Ok(period) => Ok(period),
            Err(wrong) if wrong.part() == part || wrong.part().is_empty() => {
                Err(error(wrong.reason().to_owned()))
            }
            Err(wrong) => Err(error(format!(
                "is no duration: {:?} {}",
                wrong.part(),
                wrong.reason()
            ))),
        };
    }
    Err(error(match part {
        "" => format!("is missing; {PERIODS}"),
        "m" => "could be a minute or a month; write min for a minute, 1m for a duration of one minute, \
                or month with calendar"
            .to_owned(),
        "month" => "has no fixed length, so it goes with calendar only; for a fixed length write 30d".to_owned(),
        "ms" => "has no number; write 1ms".to_owned(),
        _ => format!("is unknown; {PERIODS}"),
    }))
}

fn refuse_options(text: &str, options: &[&str]) -> QuotaError {
    let windows = options
        .iter()
        .filter(|word| matches!(**word, "burst" | "rolling" | "calendar"))
        .count();
    let reason = if options.contains(&"") {
        "has a space too many; put exactly one between words"
    } else if windows > 1 {
        "is more than one window; give at most one of them"
    } else {
        "is unknown"
    };
    QuotaError::new(
        text,
        "window",
        &options.join(" "),
        format!("{reason}; {FORM}"),
    )
}

fn parse_calendar(
    text: &str,
    units: u64,
    period: &str,
    options: &[&str],
) -> Result<Quota, QuotaError> {
    let error = |field, part: &str, reason: &str| {
        Err(QuotaError::new(text, field, part, reason.to_owned()))
    };
    match options {
        ["calendar"] | ["calendar", ""] => error(
            "window",
            "calendar",
            "has no zone; write one such as calendar UTC",
        ),
        ["calendar", zone] => match CALENDAR_UNITS.iter().find(|(word, _)| *word == period) {
            Some((_, unit)) => calendar(units, unit, zone).map_err(|error| {
                QuotaError::new(text, error.field(), error.part(), error.reason().to_owned())
            }),
            None => error(
                "period",
                period,
                "does not go with calendar; write one of second, minute, hour, day, week, month",
            ),
        },
        options => Err(refuse_options(text, options)),
    }
}

/// The words for the units of a calendar, with the long form of each.
const CALENDAR_UNITS: [(&str, &str); 10] = [
    ("second", "second"),
    ("minute", "minute"),
    ("hour", "hour"),
    ("day", "day"),
    ("week", "week"),
    ("month", "month"),
    ("s", "second"),
    ("min", "minute"),
    ("h", "hour"),
    ("d", "day"),
];

#[cfg(feature = "calendar")]
fn calendar(units: u64, unit: &str, zone: &str) -> Result<Quota, QuotaError> {
    let unit = crate::civil::Unit::from_name(unit).expect("the unit was looked for before");
    Quota::try_calendar(units, unit, zone)
}

/// A calendar quota is recognised without the feature too, so that its author hears what is missing, and not
/// that the word is unknown.
#[cfg(not(feature = "calendar"))]
fn calendar(_: u64, _: &str, zone: &str) -> Result<Quota, QuotaError> {
    let reason = "needs the time zones, which are not compiled in; put the feature \"calendar\" of \
                  buttress-rate-limit on, or write a rolling quota such as 1200/day rolling";
    Err(QuotaError::new(
        "",
        "window",
        &format!("calendar {zone}"),
        reason,
    ))
}

// === impl serde ===

#[cfg(feature = "serde")]
mod text_in_serde {
    use std::fmt;

    use serde::de::{Error, Visitor};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Quota;

    impl Serialize for Quota {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }

    impl<'de> Deserialize<'de> for Quota {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_str(QuotaVisitor)
        }
    }

    struct QuotaVisitor;

    impl Visitor<'_> for QuotaVisitor {
        type Value = Quota;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a quota in quotes, such as \"5/minute\", \"1/second burst 5\" or \"1200/day rolling\"")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Quota, E> {
            text.parse().map_err(E::custom)
        }
    }
}
