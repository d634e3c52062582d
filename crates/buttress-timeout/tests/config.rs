//! The configuration.

#![cfg(feature = "serde")]

use std::time::Duration;

use buttress_timeout::{Limits, TimeoutConfig};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn limits_are_durations_as_people_write_them() {
    let text = r#"{"to_head": "250ms", "to_body_end": "1m", "deadline": "1h30m"}"#;
    let config: TimeoutConfig = serde_json::from_str(text).unwrap();
    let expected = Limits {
        to_head: Some(SECOND / 4),
        to_body_end: Some(60 * SECOND),
        deadline: Some(5_400 * SECOND),
    };
    assert_eq!((config.enabled, config.limits), (true, expected));
    assert_eq!(config.layer().limits(), &expected);
    let off: TimeoutConfig =
        serde_json::from_str(r#"{"enabled": false, "deadline": "1s"}"#).unwrap();
    assert!(!off.enabled);
}

#[test]
fn errors_say_what_was_expected() {
    for (text, expected) in [
        ("{}", "expected at least one of `to_head`"),
        (r#"{"to_head": 5}"#, "a duration in quotes"),
        (r#"{"to_head": "5"}"#, "has no unit"),
        (r#"{"to_head": "0s"}"#, "expected a duration above zero"),
        (r#"{"deadline": "5us"}"#, "expected a duration in ms"),
        (r#"{"head": "5s"}"#, "unknown field `head`"),
        (
            r#"{"to_head": "2s", "to_body_end": "1s"}"#,
            "found 2s and 1s",
        ),
    ] {
        let error = serde_json::from_str::<TimeoutConfig>(text).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
