//! The `[token_budget]` table: what it may say, and what is said to those who write something else.
#![cfg(feature = "serde")]

use std::time::Duration;

use buttress_token_budget::{Amounts, TokenBudgetConfig};

fn read(text: &str) -> Result<TokenBudgetConfig, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn everything_that_a_table_may_say() {
    let config = read(
        r#"{"enabled": true, "limits": ["150000/minute", "2M/day"], "global": ["1M/minute"],
            "wait": "1m30s", "keys": 1000, "shadow": false, "overrides": {"vip": ["500k/minute"]}}"#,
    )
    .unwrap();
    assert_eq!((config.limits.len(), config.global.len()), (2, 1));
    assert_eq!(config.wait, Some(Duration::from_secs(90)));
    assert_eq!((config.keys, config.overrides.len()), (1_000, 1));
    let budget = config.budget().unwrap();
    let fits = |key, tokens| budget.would_fit(key, Amounts::total(tokens)).is_ok();
    assert!(fits("other", 150_000) && !fits("other", 150_001));
    assert!(fits("vip", 500_000) && !fits("vip", 500_001));
    let too_large = budget
        .would_fit("vip", Amounts::total(500_001))
        .unwrap_err();
    assert!(too_large.is_too_large());
    assert!(too_large.to_string().contains("500000"), "{too_large}");
}

#[test]
fn defaults() {
    let config = read(r#"{"global": ["5/minute"]}"#).unwrap();
    assert!(config.enabled && !config.shadow && config.wait.is_none());
    assert_eq!((config.keys, config.seed), (65_536, None));
}

#[tokio::test(start_paused = true)]
async fn shadow_is_read() {
    let config = read(r#"{"limits": ["5/minute"], "shadow": true}"#).unwrap();
    let budget = config.budget().unwrap();
    assert!(budget.reserve("a", Amounts::total(50)).is_ok());
    assert_eq!(budget.balances("a")[0].remaining, 5);
}

#[test]
fn bad_input_names_the_field_what_was_found_and_the_fix() {
    let cases = [
        (
            r"{}",
            "expected `limits` or `global` with at least one quota, such as",
        ),
        (r#"{"limits": []}"#, "expected `limits` or `global`"),
        (
            r#"{"limits": [5]}"#,
            "invalid type: integer `5`, expected a quota in quotes",
        ),
        (r#"{"limits": ["5/m"]}"#, "quota \"5/m\": period \"m\""),
        (r#"{"limits": ["5/500us"]}"#, "period in ms, s, m, h or d"),
        (
            r#"{"limit": ["5/minute"]}"#,
            "unknown field `limit`, expected one of",
        ),
        (
            r#"{"limits": ["5/minute"], "wait": 5}"#,
            "a duration in quotes",
        ),
        (r#"{"limits": ["5/minute"], "wait": "5x"}"#, "unknown unit"),
        (
            r#"{"limits": ["5/minute"], "keys": 0}"#,
            "expected a number of keys from 1 to 268435456",
        ),
        (
            r#"{"limits": ["5/minute"], "keys": -1}"#,
            "invalid value: integer `-1`",
        ),
        (
            r#"{"limits": ["5/minute"], "shadow": "yes"}"#,
            "expected a boolean",
        ),
        (
            r#"{"limits": ["5/minute"], "overrides": {"a": []}}"#,
            "expected at least one quota",
        ),
        (
            r#"{"limits": ["5/minute"], "overrides": {"a": ["x"]}}"#,
            "quota \"x\"",
        ),
    ];
    for (text, expected) in cases {
        let error = read(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let many = vec!["\"5/minute\""; 17].join(",");
    let error = read(&format!("{{\"limits\": [{many}]}}")).unwrap_err();
    assert!(
        error.contains("17 quotas concern one request; the most is 16"),
        "{error}"
    );
}

#[test]
fn debug_shows_no_key() {
    let config =
        read(r#"{"limits": ["5/minute"], "overrides": {"secret": ["9/minute"]}}"#).unwrap();
    let text = format!("{config:?} {:?}", config.builder());
    assert!(!text.contains("secret"), "{text}");
}
