//! The response fields that tell a client about its limits.
//!
//! `RateLimit` and `RateLimit-Policy` are written as draft-ietf-httpapi-ratelimit-headers-11 defines
//! them: lists of strings with parameters (RFC 9651). The names of the policies are serialised once,
//! when a layer is built; a response then costs one allocation of the exact size and the digits.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use sfv::{Integer, ItemSerializer, KeyRef, ListSerializer, StringRef, key_ref};

/// `RateLimit`: how much is left of each policy.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// `RateLimit-Policy`: the policies themselves.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// `X-RateLimit-Limit`: the quota, in the convention older than the draft.
pub const X_RATE_LIMIT_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
/// `X-RateLimit-Remaining`: what is left of the quota.
pub const X_RATE_LIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
/// `X-RateLimit-Reset`: seconds from now, not a time of day.
pub const X_RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The largest integer of a structured field (RFC 9651, section 3.3.1): larger ones are written as
/// this one.
const LARGEST: u64 = 999_999_999_999_999;

const QUOTA: &KeyRef = key_ref("q");
const WINDOW: &KeyRef = key_ref("w");
const UNIT: &KeyRef = key_ref("qu");
const REMAINING: &str = ";r=";
const GROWS_IN: &str = ";t=";
const SEPARATOR: &str = ", ";

/// One policy, as `RateLimit-Policy` lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyItem<'a> {
    /// The name by which `RateLimit` and problem documents refer to the policy: printable ASCII.
    pub name: &'a str,
    /// How many units the policy grants in a window (`q`).
    pub quota: u64,
    /// The window (`w`), written in seconds, rounded up. Below one second it is left out, because
    /// the field cannot express it.
    pub window: Option<Duration>,
    /// What is counted (`qu`), printable ASCII. `None` is the draft's default, `requests`.
    pub unit: Option<&'a str>,
}

/// What is left of one policy, as `RateLimit` lists it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remaining {
    /// The units that are left (`r`).
    pub units: u64,
    /// The time until `units` next grows (`t`), written in seconds, rounded up. `None` leaves it out.
    pub grows_in: Option<Duration>,
}

/// The names of the policies of one limiter, ready to be written into `RateLimit`.
///
/// ```
/// use std::time::Duration;
/// use buttress_http::{FieldNames, Remaining};
///
/// let names = FieldNames::new(["default", "daily"])?;
/// let value = names.rate_limit(&[
///     Remaining { units: 50, grows_in: Some(Duration::from_millis(29_001)) },
///     Remaining { units: 7, grows_in: None },
/// ]);
/// assert_eq!(value.unwrap(), r#""default";r=50;t=30, "daily";r=7"#);
/// # Ok::<(), buttress_http::FieldError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldNames {
    /// Each name as a serialised string, with its quotation marks, up to the digits of `r`.
    prefixes: Box<[Box<str>]>,
}

/// A name or unit that a structured field cannot carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    what: &'static str,
    text: String,
}

/// The value of `RateLimit-Policy`; `None` if there is no policy, as an empty list is not sent.
///
/// # Errors
///
/// If a name or a unit contains anything but printable ASCII.
pub fn rate_limit_policy<'a>(
    policies: impl IntoIterator<Item = PolicyItem<'a>>,
) -> Result<Option<HeaderValue>, FieldError> {
    let mut list = ListSerializer::new();
    for policy in policies {
        let name = string(NAME, policy.name)?;
        let unit = policy.unit.map(|unit| string("unit", unit)).transpose()?;
        let window = policy
            .window
            .filter(|&window| window >= Duration::from_secs(1));
        let mut item = list.bare_item(name).parameter(QUOTA, integer(policy.quota));
        if let Some(window) = window {
            item = item.parameter(WINDOW, integer(whole_seconds(window)));
        }
        if let Some(unit) = unit {
            item = item.parameter(UNIT, unit);
        }
        let _ = item.finish();
    }
    Ok(list.finish().map(|text| visible_ascii(text.into_bytes())))
}

/// The value of `Retry-After`: seconds, rounded up and at least 1, so that a client that waits for
/// them is not early.
#[must_use]
pub fn retry_after(wait: Duration) -> HeaderValue {
    decimal(whole_seconds(wait).max(1))
}

/// A number as a field value, such as `X-RateLimit-Remaining` has. Numbers below 1,000 are prepared
/// and do not allocate.
#[must_use]
pub fn decimal(number: u64) -> HeaderValue {
    match PREPARED.get(usize::try_from(number).unwrap_or(usize::MAX)) {
        Some(digits) => {
            let zeros = 3 - digit_count(number);
            let text = digits
                .get(zeros..)
                .and_then(|digits| std::str::from_utf8(digits).ok());
            text.map_or_else(|| HeaderValue::from(number), HeaderValue::from_static)
        }
        None => HeaderValue::from(number),
    }
}

/// A duration in seconds, rounded up and no more than a structured field can carry.
#[must_use]
pub fn whole_seconds(duration: Duration) -> u64 {
    let begun = u64::from(duration.subsec_nanos() > 0);
    duration.as_secs().saturating_add(begun).min(LARGEST)
}

const NAME: &str = "policy name";

/// The numbers 0 to 999 with leading zeros.
static PREPARED: [[u8; 3]; 1000] = {
    let mut table = [*b"000"; 1000];
    let mut number = 1;
    while number < table.len() {
        let mut digits = table[number - 1];
        let mut place = 2;
        while digits[place] == b'9' {
            digits[place] = b'0';
            place -= 1;
        }
        digits[place] += 1;
        table[number] = digits;
        number += 1;
    }
    table
};

fn string<'a>(what: &'static str, text: &'a str) -> Result<&'a StringRef, FieldError> {
    StringRef::from_str(text).map_err(|_| FieldError {
        what,
        text: text.to_owned(),
    })
}

fn integer(number: u64) -> Integer {
    Integer::try_from(number).unwrap_or(Integer::MAX)
}

/// Structured fields, Base64 and percent-encoded text consist of nothing else.
pub(crate) fn visible_ascii(text: Vec<u8>) -> HeaderValue {
    HeaderValue::try_from(text).expect("printable ASCII makes a field value")
}

fn digit_count(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |tens| tens as usize + 1)
}

// === impl FieldNames ===

impl FieldNames {
    /// Prepares the names, in the order in which [`FieldNames::rate_limit`] is given the numbers.
    ///
    /// # Errors
    ///
    /// If a name contains anything but printable ASCII.
    pub fn new<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Result<Self, FieldError> {
        let prefix = |name: T| {
            let mut prefix = ItemSerializer::new()
                .bare_item(string(NAME, name.as_ref())?)
                .finish();
            prefix.push_str(REMAINING);
            Ok(prefix.into_boxed_str())
        };
        let prefixes = names.into_iter().map(prefix).collect::<Result<_, _>>()?;
        Ok(Self { prefixes })
    }

    /// The value of `RateLimit` for these numbers, one for each name and in the same order.
    ///
    /// `None` if there is nothing to list, as an empty list is not sent. Numbers without a name and
    /// names without a number are left out.
    #[must_use]
    pub fn rate_limit(&self, remaining: &[Remaining]) -> Option<HeaderValue> {
        let items = || {
            self.prefixes
                .iter()
                .zip(remaining.iter().map(Remaining::written))
        };
        let length = items().map(|(prefix, (units, grows_in))| {
            let grows_in = grows_in.map_or(0, |seconds| GROWS_IN.len() + digit_count(seconds));
            SEPARATOR.len() + prefix.len() + digit_count(units) + grows_in
        });
        let length = length.sum::<usize>().checked_sub(SEPARATOR.len())?;
        // The exact capacity lets the header value take the buffer over as it is.
        let mut text = Vec::with_capacity(length);
        let mut digits = itoa::Buffer::new();
        for (prefix, (units, grows_in)) in items() {
            if !text.is_empty() {
                text.extend_from_slice(SEPARATOR.as_bytes());
            }
            text.extend_from_slice(prefix.as_bytes());
            text.extend_from_slice(digits.format(units).as_bytes());
            if let Some(seconds) = grows_in {
                text.extend_from_slice(GROWS_IN.as_bytes());
                text.extend_from_slice(digits.format(seconds).as_bytes());
            }
        }
        Some(visible_ascii(text))
    }
}

// === impl Remaining ===

impl Remaining {
    /// The two numbers as they are written.
    fn written(&self) -> (u64, Option<u64>) {
        (self.units.min(LARGEST), self.grows_in.map(whole_seconds))
    }
}

// === impl FieldError ===

impl FieldError {
    /// The text that cannot be written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, text } = self;
        write!(
            formatter,
            "the {what} {text:?} cannot be written into a response field: use only printable ASCII \
             (letters, digits, punctuation and spaces)"
        )
    }
}

impl Error for FieldError {}
