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
            "wait": "1m30s"}"#,
    )
    .unwrap();
    assert_eq!((config.limits.len(), config.global.len()), (2, 1));
    assert_eq!(config.wait, Some(Duration::from_secs(90)));
    let budget = config.budget().unwrap();
    let fits = |key, tokens| budget.would_fit(key, Amounts::total(tokens)).is_ok();
    assert!(fits("other", 150_000) && !fits("other", 150_001));
    let too_large = budget.would_fit("other", Amounts::total(150_001));
    let too_large = too_large.unwrap_err();
    assert!(too_large.is_too_large());
    assert!(too_large.to_string().contains("150000"), "{too_large}");
}

#[test]
fn defaults() {
    let config = read(r#"{"global": ["5/minute"]}"#).unwrap();
    assert!(config.enabled && config.limits.is_empty() && config.wait.is_none());
    assert_eq!(config.seed, None);
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
            r#"{"limits": ["5/minute"], "keys": 10}"#,
            "unknown field `keys`, expected one of",
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
