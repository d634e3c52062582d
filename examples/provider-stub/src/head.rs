//! The fields of a response's head.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::account::{Refusal, Standing};

/// Where the limits stand, as OpenAI writes it.
pub(crate) fn limits(headers: &mut HeaderMap, [requests, tokens]: [Standing; 2]) {
    let names = [
        (
            requests,
            [
                "x-ratelimit-limit-requests",
                "x-ratelimit-remaining-requests",
                "x-ratelimit-reset-requests",
            ],
        ),
        (
            tokens,
            [
                "x-ratelimit-limit-tokens",
                "x-ratelimit-remaining-tokens",
                "x-ratelimit-reset-tokens",
            ],
        ),
    ];
    for (standing, [limit, remaining, reset]) in names {
        set(headers, limit, &standing.limit.to_string());
        set(headers, remaining, &standing.remaining.to_string());
        set(headers, reset, &go_duration(standing.reset));
    }
}

/// When to come back, rounded up.
pub(crate) fn retry_after(headers: &mut HeaderMap, refusal: &Refusal) {
    if let Some(wait) = refusal.retry_in {
        let millis = wait.as_nanos().div_ceil(1_000_000);
        let seconds = millis.div_ceil(1_000).max(1);
        set(headers, "retry-after", &seconds.to_string());
        set(headers, "retry-after-ms", &millis.to_string());
    }
}

pub(crate) fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// A duration as Go writes it: `6m0s`, `2m59.56s`, `12ms`.
pub(crate) fn go_duration(duration: Duration) -> String {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    let (seconds, rest) = (millis / 1_000, millis % 1_000);
    if seconds == 0 {
        return match rest {
            0 => "0s".to_owned(),
            rest => format!("{rest}ms"),
        };
    }
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let mut text = match (hours, minutes) {
        (0, 0) => String::new(),
        (0, minutes) => format!("{minutes}m"),
        (hours, minutes) => format!("{hours}h{minutes}m"),
    };
    text += &(seconds % 60).to_string();
    if rest > 0 {
        let decimals = format!(".{rest:03}");
        text += decimals.trim_end_matches('0');
    }
    text + "s"
}
