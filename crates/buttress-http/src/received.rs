//! `RateLimit`, `RateLimit-Policy` and `Retry-After` as another server sends them.
//!
//! The first two are read as draft-ietf-httpapi-ratelimit-headers-11 says: a field that is malformed anywhere is
//! ignored as a whole, and parameters that are not known are skipped. The numbers are hints: whoever
//! waits for them caps them, and `Retry-After` comes first.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use http::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use sfv::visitor::{
    EntryVisitor, InnerListVisitor, ItemVisitor, ListVisitor, Never, ParameterVisitor,
};
use sfv::{BareItemFromInput, KeyRef, Parser};

use crate::fields::{RATE_LIMIT, RATE_LIMIT_POLICY};

/// One member of a received `RateLimit` field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedLimit {
    /// The name of the policy.
    pub name: String,
    /// The units that are left (`r`).
    pub remaining: u64,
    /// The time until more units are there (`t`), in whole seconds.
    pub grows_in: Option<Duration>,
}

/// One member of a received `RateLimit-Policy` field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedPolicy {
    /// The name of the policy.
    pub name: String,
    /// The units that it grants in a window (`q`).
    pub quota: u64,
    /// The window (`w`), in whole seconds and never zero.
    pub window: Option<Duration>,
    /// What is counted (`qu`). `None` is the draft's default, `requests`.
    pub unit: Option<String>,
}

/// What a response's `RateLimit` says: nothing if the field is missing or malformed.
#[must_use]
pub fn received_limits(headers: &HeaderMap) -> Vec<ReceivedLimit> {
    read(headers, &RATE_LIMIT, |member| {
        Some(ReceivedLimit {
            remaining: member.number("r")??,
            grows_in: member.number("t")?.map(Duration::from_secs),
            name: member.name,
        })
    })
}

/// What a response's `RateLimit-Policy` says: nothing if the field is missing or malformed.
#[must_use]
pub fn received_policies(headers: &HeaderMap) -> Vec<ReceivedPolicy> {
    read(headers, &RATE_LIMIT_POLICY, |member| {
        let window = member.number("w")?;
        if window == Some(0) {
            return None;
        }
        Some(ReceivedPolicy {
            quota: member.number("q")??,
            window: window.map(Duration::from_secs),
            unit: member.text("qu")?,
            name: member.name,
        })
    })
}

/// What a response's `Retry-After` says: seconds, or a date (RFC 9110, section 10.2.3).
///
/// A date counts from the response's own `Date`, so that the two clocks need not agree; in the past
/// it is zero, and without a `Date` nothing is known. The result is not capped.
#[must_use]
pub fn received_retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim_ascii();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits alone fail only by being too many.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let sent = headers.get(DATE)?.to_str().ok()?;
    let sent = httpdate::parse_http_date(sent.trim_ascii()).ok()?;
    Some(date.duration_since(sent).unwrap_or_default())
}

/// Reads all members of all lines, or none if one is malformed.
fn read<T>(
    headers: &HeaderMap,
    field: &HeaderName,
    convert: impl Fn(Member<'_>) -> Option<T>,
) -> Vec<T> {
    let mut members = Vec::new();
    for line in headers.get_all(field) {
        let mut list = Members(Vec::new());
        if Parser::new(line)
            .parse_list_with_visitor(&mut list)
            .is_err()
        {
            return Vec::new();
        }
        for member in list.0 {
            let Some(member) = convert(member) else {
                return Vec::new();
            };
            members.push(member);
        }
    }
    members
}

/// A string with parameters.
struct Member<'de> {
    name: String,
    parameters: Vec<(&'de KeyRef, BareItemFromInput<'de>)>,
}

struct Members<'de>(Vec<Member<'de>>);

struct NextMember<'a, 'de>(&'a mut Vec<Member<'de>>);

struct Parameters<'a, 'de>(&'a mut Member<'de>);

/// A member that is no string.
#[derive(Debug)]
struct NoString;

// === impl Member ===

impl<'de> Member<'de> {
    /// The parameter of this name; of several, the last counts (RFC 9651, section 4.2.3.2).
    fn parameter(&self, name: &str) -> Option<&BareItemFromInput<'de>> {
        let mut from_last = self.parameters.iter().rev();
        from_last
            .find(|(key, _)| key.as_str() == name)
            .map(|(_, value)| value)
    }

    /// A number that may be missing; the outer `None` is one of the wrong type.
    fn number(&self, name: &str) -> Option<Option<u64>> {
        let Some(value) = self.parameter(name) else {
            return Some(None);
        };
        u64::try_from(value.as_integer()?).ok().map(Some)
    }

    /// A text that may be missing; the outer `None` is one of the wrong type.
    fn text(&self, name: &str) -> Option<Option<String>> {
        let Some(value) = self.parameter(name) else {
            return Some(None);
        };
        Some(Some(value.as_string()?.as_str().to_owned()))
    }
}

// === impl visitors ===

impl<'de> ListVisitor<'de> for Members<'de> {
    type Error = NoString;

    fn entry(&mut self) -> Result<impl EntryVisitor<'de>, NoString> {
        Ok(NextMember(&mut self.0))
    }
}

impl<'de> ItemVisitor<'de> for NextMember<'_, 'de> {
    type Error = NoString;

    fn bare_item(
        self,
        item: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de>, NoString> {
        let name = item.as_string().ok_or(NoString)?.as_str().to_owned();
        self.0.push(Member {
            name,
            parameters: Vec::new(),
        });
        Ok(self.0.last_mut().map(Parameters))
    }
}

impl<'de> EntryVisitor<'de> for NextMember<'_, 'de> {
    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, NoString> {
        Err::<Never, _>(NoString)
    }
}

impl<'de> ParameterVisitor<'de> for Parameters<'_, 'de> {
    type Error = NoString;

    fn parameter(
        &mut self,
        key: &'de KeyRef,
        value: BareItemFromInput<'de>,
    ) -> Result<(), NoString> {
        self.0.parameters.push((key, value));
        Ok(())
    }
}

impl fmt::Display for NoString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a member is no string")
    }
}

impl Error for NoString {}
