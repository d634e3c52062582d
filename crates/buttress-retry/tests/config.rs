//! The `[retry]` table.

#![cfg(all(feature = "serde", not(buttress_loom)))]

use std::time::Duration;

use buttress_retry::{BudgetRule, Jitter, Methods, RetryConfig, RetryLayer};

fn read(json: &str) -> RetryConfig {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

#[test]
fn everything_has_a_default() {
    let config = read("{}");
    let policy = config.policy;
    assert_eq!((config.enabled, policy.attempts()), (true, 3));
    let backoff = policy.backoff();
    assert_eq!(backoff.base(), Duration::from_millis(500));
    assert_eq!(backoff.max(), Duration::from_secs(8));
    assert_eq!(
        (backoff.multiplier(), backoff.jitter()),
        (2.0, Jitter::Full)
    );
    assert_eq!(policy.max_retry_after(), Duration::from_secs(60));
    assert_eq!((policy.attempt_timeout(), policy.deadline()), (None, None));
    let rule = BudgetRule::ratio(0.2).per_second(10.0).reserve(100.0);
    assert_eq!(config.budget, rule);
    assert_eq!(config, RetryConfig::default());
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
        assert!(config.methods.allow(method));
    }
    for method in ["POST", "PATCH", "CONNECT", "get", "QUERY"] {
        assert!(!config.methods.allow(method), "{method}");
    }
}

#[test]
fn everything_can_be_said() {
    let config = read(
        r#"{"enabled": false, "attempts": 4, "base": "1s", "max": "1h30m", "multiplier": 3,
            "jitter": "decorrelated", "methods": ["POST"], "attempt_timeout": "30s",
            "deadline": "60s", "max_retry_after": "5s",
            "budget": {"ratio": 0.6, "per_second": 0, "reserve": 7}}"#,
    );
    let policy = config.policy;
    assert_eq!((config.enabled, policy.attempts()), (false, 4));
    assert_eq!(policy.backoff().max(), Duration::from_secs(5_400));
    assert_eq!(policy.backoff().jitter(), Jitter::Decorrelated);
    assert_eq!(policy.attempt_timeout(), Some(Duration::from_secs(30)));
    assert_eq!(policy.deadline(), Some(Duration::from_secs(60)));
    assert!(config.methods.allow("POST") && !config.methods.allow("GET"));
    let rule = BudgetRule::ratio(0.6).per_second(0.0).reserve(7.0);
    assert_eq!(config.budget, rule);
    assert_eq!(read(r#"{"methods": ["*"]}"#).methods, Methods::any());
    let unlimited = read(r#"{"budget": "none"}"#).budget;
    assert_eq!(unlimited, BudgetRule::unlimited());
    let some = read(r#"{"budget": {"reserve": 5}}"#).budget;
    assert_eq!(some, BudgetRule::ratio(0.2).per_second(10.0).reserve(5.0));
}

#[test]
fn a_base_above_the_longest_pause_is_that_pause() {
    let config: RetryConfig = serde_json::from_str(r#"{"base": "9s"}"#).unwrap();
    assert_eq!(config.policy.backoff().base(), Duration::from_secs(8));
}

#[test]
fn errors_name_the_field_the_value_and_the_fix() {
    for (json, expected) in [
        (r#"{"attempts": 0}"#, "`attempts` is 0; expected at least 1"),
        (r#"{"attempts": -1}"#, "expected u32"),
        (r#"{"base": 5}"#, "a duration in quotes"),
        (r#"{"base": "0s"}"#, "a duration above zero"),
        (r#"{"base": "5us"}"#, "ms, s, m, h or d"),
        (
            r#"{"multiplier": 0.9}"#,
            "`multiplier` is 0.9; expected a number from 1 on",
        ),
        (r#"{"jitter": "some"}"#, "unknown variant `some`"),
        (
            r#"{"methods": ["get"]}"#,
            "`methods` is \"get\"; expected names of methods in capitals",
        ),
        (r#"{"methods": [""]}"#, "`methods` is \"\""),
        (
            r#"{"budget": {"ratio": -1}}"#,
            "`ratio` is -1.0; expected a number from 0",
        ),
        (r#"{"budget": {"rate": 1}}"#, "unknown field `rate`"),
        (r#"{"budget": "no"}"#, "or \"none\""),
        (r#"{"budget": 5}"#, "a budget such as"),
        (r#"{"retries": 5}"#, "unknown field `retries`"),
    ] {
        let error = serde_json::from_str::<RetryConfig>(json).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(expected), "{json}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_is_built_of_it() {
    let mut config = read(r#"{"attempts": 2, "jitter": "none"}"#);
    config.seed = Some(1);
    let layer = config.layer();
    assert_eq!(layer.policy(), config.policy);
    assert_eq!(layer.retry_budget().rule(), config.budget);
}

#[test]
fn presets_are_those_of_the_layer_and_keys_beside_them_have_the_last_word() {
    let presets = [
        ("aws_standard", RetryLayer::aws_standard()),
        ("envoy", RetryLayer::envoy()),
        ("finagle", RetryLayer::finagle()),
        ("grpc_a6", RetryLayer::grpc_a6()),
    ];
    for (name, layer) in presets {
        let json = format!(r#"{{"preset": "{name}"}}"#);
        let config: RetryConfig = serde_json::from_str(&json).unwrap();
        assert_eq!(config.policy, layer.policy(), "{name}");
        assert_eq!(config.budget, layer.retry_budget().rule(), "{name}");
        let json =
            format!(r#"{{"preset": "{name}", "attempts": 9, "max": "3s", "budget": "none"}}"#);
        let config: RetryConfig = serde_json::from_str(&json).unwrap();
        assert_eq!(config.policy.attempts(), 9);
        assert_eq!(config.policy.backoff().max(), Duration::from_secs(3));
        assert_eq!(
            config.policy.backoff().jitter(),
            layer.policy().backoff().jitter()
        );
        assert_eq!(config.budget, BudgetRule::unlimited());
    }
    let error = serde_json::from_str::<RetryConfig>(r#"{"preset": "aws"}"#).unwrap_err();
    assert!(error.to_string().contains("aws_standard"), "{error}");
}
