//! What a server says about when to come back.

use std::time::Duration;

use buttress_core::When;
use http::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

use crate::fields::{X_RATE_LIMIT_REMAINING, X_RATE_LIMIT_RESET};
use crate::grpc::received_pushback;
use crate::received::{received_limits, received_retry_after};

/// `retry-after-ms`: as `Retry-After`, in milliseconds. Azure and OpenAI send it.
pub const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// `x-should-retry`: `true` or `false`. OpenAI and Anthropic send it.
pub const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Larger resets than this are no seconds from now but a time of day in Unix seconds (2001 and later).
const UNIX_SECONDS: u64 = 1_000_000_000;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Which of a server's hints are read.
///
/// By the standards: `grpc-retry-pushback-ms` (gRPC proposal A6), `Retry-After` (RFC 9110) and, if there
/// is none, the longest `t` among the used up limits of `RateLimit`
/// (draft-ietf-httpapi-ratelimit-headers-11). What is malformed says nothing, but a malformed pushback
/// means not to retry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Hints {
    /// By the standards alone. The default.
    #[default]
    Standard,
    /// Older and private shapes as well: `x-should-retry`, `retry-after-ms` before `Retry-After`, seconds
    /// with a fraction, times of RFC 3339, and `X-RateLimit-Reset` of a used up limit in seconds from now
    /// or as Unix time.
    Compatible,
}

impl Hints {
    /// When to come back: [`When::After`] not before that long, [`When::Never`] not at all,
    /// [`When::Unknown`] if nothing is said. The result is not capped.
    #[must_use]
    pub fn when(self, headers: &HeaderMap) -> When {
        if let Some(pushback) = received_pushback(headers) {
            return pushback;
        }
        if self == Self::Compatible && should_retry(headers) == Some(false) {
            return When::Never;
        }
        let wait = match self {
            Self::Standard => received_retry_after(headers).or_else(|| used_up_until(headers)),
            Self::Compatible => retry_after_ms(headers)
                .or_else(|| received_retry_after(headers))
                .or_else(|| older_retry_after(headers))
                .or_else(|| used_up_until(headers))
                .or_else(|| older_reset(headers)),
        };
        wait.map_or(When::Unknown, When::After)
    }

    /// Whether the server says to retry, whatever its status.
    #[must_use]
    pub fn asks_to_retry(self, headers: &HeaderMap) -> bool {
        self == Self::Compatible && should_retry(headers) == Some(true)
    }
}

fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get(X_SHOULD_RETRY)?.as_bytes() {
        text if text.eq_ignore_ascii_case(b"true") => Some(true),
        text if text.eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
    }
}

/// The longest wait of the limits of `RateLimit` that have nothing left.
fn used_up_until(headers: &HeaderMap) -> Option<Duration> {
    let limits = received_limits(headers).into_iter();
    limits
        .filter(|limit| limit.remaining == 0)
        .filter_map(|limit| limit.grows_in)
        .max()
}

fn retry_after_ms(headers: &HeaderMap) -> Option<Duration> {
    let millis = decimal_nanos(text(headers, &RETRY_AFTER_MS)?)?.div_ceil(1_000);
    Some(duration(millis))
}

/// `Retry-After` as no standard has it: seconds with a fraction, or a time of RFC 3339.
fn older_retry_after(headers: &HeaderMap) -> Option<Duration> {
    let after = text(headers, &RETRY_AFTER)?;
    match decimal_nanos(after) {
        Some(nanos) => Some(duration(nanos)),
        None => Some(duration(until(headers, rfc3339(after)?)?)),
    }
}

/// `X-RateLimit-Reset` of a limit that is used up, as far as is said.
fn older_reset(headers: &HeaderMap) -> Option<Duration> {
    let has_some = text(headers, &X_RATE_LIMIT_REMAINING)
        .and_then(|left| left.parse::<u64>().ok())
        .is_some_and(|left| left > 0);
    let nanos = decimal_nanos(text(headers, &X_RATE_LIMIT_RESET)?)?;
    if has_some {
        return None;
    }
    let seconds = nanos / NANOS_PER_SECOND;
    match seconds >= u128::from(UNIX_SECONDS) {
        true => Some(duration(until(headers, nanos)?)),
        false => Some(duration(nanos)),
    }
}

/// How long it is until a time of day by the server's own clock, its `Date`.
fn until(headers: &HeaderMap, unix_nanos: u128) -> Option<u128> {
    let sent = httpdate::parse_http_date(text(headers, &DATE)?).ok()?;
    let sent = sent.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(unix_nanos.saturating_sub(sent.as_nanos()))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let text = headers.get(name)?.to_str().ok()?;
    Some(text.trim_ascii())
}

/// A number with or without a fraction, times a billion; digits beyond nanoseconds round up.
fn decimal_nanos(text: &str) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    // Digits alone fail only by being too many.
    let whole = whole.parse::<u64>().unwrap_or(u64::MAX);
    let mut nanos = u128::from(whole) * NANOS_PER_SECOND;
    let mut unit = NANOS_PER_SECOND / 10;
    for digit in fraction.bytes() {
        nanos += match unit {
            0 => u128::from(digit != b'0'),
            _ => u128::from(digit - b'0') * unit,
        };
        if unit == 0 && digit != b'0' {
            break;
        }
        unit /= 10;
    }
    Some(nanos)
}

fn duration(nanos: u128) -> Duration {
    let seconds = u64::try_from(nanos / NANOS_PER_SECOND);
    let rest = u32::try_from(nanos % NANOS_PER_SECOND).unwrap_or(0);
    seconds.map_or(Duration::MAX, |seconds| Duration::new(seconds, rest))
}

/// `2026-03-01T12:30:00Z` as Unix nanoseconds. Only UTC, and a fraction of a second is rounded up.
fn rfc3339(text: &str) -> Option<u128> {
    let text = text.strip_suffix(['Z', 'z'])?;
    let (text, fraction) = text.split_once('.').unwrap_or((text, ""));
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-').map(digits);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.splitn(3, ':').map(digits);
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let is_time = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !is_time || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let round_up = u64::from(fraction.bytes().any(|byte| byte != b'0'));
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second + round_up;
    Some(u128::from(seconds) * NANOS_PER_SECOND)
}

/// Two or four digits.
fn digits(text: &str) -> Option<u64> {
    let is_number = matches!(text.len(), 2 | 4) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Days from 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `days_from_civil`), for years from 1970 on.
const fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let year_of_era = year % 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}
