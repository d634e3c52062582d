//! Quotas and durations in a configuration.
#![cfg(feature = "serde")]

use std::time::Duration;

use buttress_rate_limit::{Quota, RateLimitConfig};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    quotas: Vec<Quota>,
    #[serde(with = "buttress_rate_limit::duration::text")]
    base: Duration,
    #[serde(
        default,
        with = "buttress_rate_limit::duration::text::option",
        skip_serializing_if = "Option::is_none"
    )]
    wait: Option<Duration>,
}

#[test]
fn quotas_and_durations_are_strings() {
    let text = r#"{"quotas":["1/second burst 5","1200/day rolling"],"base":"500ms","wait":"90s"}"#;
    let limits: Limits = serde_json::from_str(text).unwrap();
    assert_eq!(
        limits.quotas,
        [
            Quota::per_second(1).burst(5),
            Quota::rolling(1_200, Duration::from_secs(86_400))
        ]
    );
    assert_eq!(
        (limits.base, limits.wait),
        (Duration::from_millis(500), Some(Duration::from_secs(90)))
    );
    assert_eq!(serde_json::to_string(&limits).unwrap(), text);

    for text in [
        r#"{"quotas":[],"base":"1s"}"#,
        r#"{"quotas":[],"base":"1s","wait":null}"#,
    ] {
        assert_eq!(serde_json::from_str::<Limits>(text).unwrap().wait, None);
    }
}

#[test]
fn errors_say_what_was_expected() {
    let cases = [
        (
            r#"{"quotas":[5],"base":"1s"}"#,
            "a quota in quotes, such as \"5/minute\"",
        ),
        (
            r#"{"quotas":["5/m"],"base":"1s"}"#,
            "quota \"5/m\": period \"m\"",
        ),
        (r#"{"quotas":[],"base":5}"#, "a duration in quotes"),
        (r#"{"quotas":[],"base":"5"}"#, "has no unit"),
        (r#"{"quotas":[],"base":"1s","wait":"5x"}"#, "unknown unit"),
        (
            r#"{"quotas":[],"base":"1s","wait":5}"#,
            "a duration in quotes",
        ),
    ];
    for (text, expected) in cases {
        let error = serde_json::from_str::<Limits>(text)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn debug_shows_no_key() {
    let config: RateLimitConfig = serde_json::from_str(
        r#"{"quotas": ["5/minute"], "overrides": {"secret-key": ["9/minute"]}}"#,
    )
    .unwrap();
    let text = format!("{config:?} {:?}", config.builder());
    assert!(
        text.contains("5/minute") || text.contains("units: 5"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
}
