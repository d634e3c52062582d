//! The `[circuit_breaker]` table.

#![cfg(all(feature = "serde", not(buttress_loom)))]

use std::time::Duration;

use buttress_circuit_breaker::{By, CircuitBreakerConfig, Settings, State};
use buttress_core::time::now;

fn read(text: &str) -> Result<CircuitBreakerConfig, String> {
    toml::from_str(text).map_err(|error| error.message().to_owned())
}

#[test]
fn a_whole_table_is_read() {
    let config = read(
        r#"
        consecutive_failures = 5
        failure_rate = 0.5
        slow_call_rate = 0.25
        slow_call = "4s"
        window = "20s"
        minimum_calls = 5
        open_for = "60s"
        open_growth = 1.5
        open_max = "10m"
        probes = 3
        close_after = 2
        by = "key"
        "#,
    )
    .unwrap();
    let seconds = Duration::from_secs;
    let expected = Settings::consecutive_failures(5)
        .or_failure_rate(0.5)
        .or_slow_call_rate(0.25, seconds(4))
        .window(seconds(20))
        .minimum_calls(5)
        .open_for(seconds(60))
        .open_growth(1.5)
        .open_max(seconds(600))
        .probes(3)
        .close_after(2);
    assert_eq!(config.settings, expected);
    assert_eq!(config.by, Some(By::Key));
    assert!(config.enabled);
    let breaker = config.builder().epoch(now()).seed(7).build().unwrap();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn one_word_is_enough_and_the_rest_has_defaults() {
    let config = read("failure_rate = 1").unwrap();
    assert_eq!(config.settings, Settings::failure_rate(1.0));
    assert_eq!(config.by, None);
    let long = read("consecutive_failures = 1\nopen_for = \"20m\"").unwrap();
    assert!(long.breaker().is_ok());
    assert!(
        !read("consecutive_failures = 1\nenabled = false")
            .unwrap()
            .enabled
    );
    assert_eq!(
        read("failure_rate = 0.5\nwindow = 50").unwrap().settings,
        Settings::failure_rate(0.5).window(50)
    );
}

/// A table, and how the error about it begins.
const WRONG: &[(&str, &str)] = &[
    (
        "",
        "consecutive_failures: is missing, and so are failure_rate and slow_call_rate; give at least one",
    ),
    (
        "slow_call_rate = 0.5",
        "slow_call: is missing, but slow_call_rate needs it",
    ),
    (
        "failure_rate = 0",
        "found 0, expected a share of the calls above 0 and at most 1",
    ),
    ("failure_rate = 50", "found 50, expected a share"),
    ("failure_rate = nan", "found NaN, expected a share"),
    (
        "failure_rate = \"half\"",
        "invalid type: string \"half\", expected a number such as 0.5 or 2",
    ),
    (
        "consecutive_failures = 0",
        "found 0, expected a whole number from 1",
    ),
    (
        "consecutive_failures = 4000000000",
        "consecutive_failures: is 4000000000; give a number from 1 to 536870911",
    ),
    (
        "consecutive_failures = -1",
        "found -1, expected a whole number",
    ),
    (
        "failure_rate = 0.5\nwindow = 0",
        "found 0, expected a number of calls from 1 to 1000000",
    ),
    (
        "failure_rate = 0.5\nwindow = 1.5",
        "invalid type: floating point `1.5`, expected a number of calls",
    ),
    (
        "failure_rate = 0.5\nwindow = \"20\"",
        "duration \"20\": has no unit;",
    ),
    (
        "failure_rate = 0.5\nopen_growth = 0.5",
        "open_growth: is no such factor; give a number from 1 to 1000",
    ),
    (
        "failure_rate = 0.5\nopen_for = \"0s\"",
        "expected a duration above zero",
    ),
    (
        "failure_rate = 0.5\nopen_max = \"10s\"",
        "open_max: is less than `open_for`, which is 1m",
    ),
    (
        "failure_rate = 0.5\nby = \"ip\"",
        "unknown variant `ip`, expected `key`",
    ),
    ("failure_rate = 0.5\njitter = 0.1", "unknown field `jitter`"),
];

#[test]
fn what_makes_no_sense_names_the_field_what_was_found_and_the_fix() {
    for (text, expected) in WRONG {
        let error = read(text).unwrap_err();
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
}

#[test]
fn presets_are_those_of_the_settings_and_keys_beside_them_have_the_last_word() {
    let presets = [
        ("envoy_outlier", Settings::envoy_outlier()),
        ("finagle", Settings::finagle()),
        ("gobreaker", Settings::gobreaker()),
        ("polly", Settings::polly()),
        ("resilience4j", Settings::resilience4j()),
    ];
    for (name, settings) in presets {
        let config: CircuitBreakerConfig = toml::from_str(&format!("preset = \"{name}\"")).unwrap();
        assert_eq!(config.settings, settings, "{name}");
        let beside = format!("preset = \"{name}\"\nopen_for = \"7s\"\nconsecutive_failures = 3");
        let config: CircuitBreakerConfig = toml::from_str(&beside).unwrap();
        let changed = settings
            .open_for(Duration::from_secs(7))
            .or_consecutive_failures(3);
        assert_eq!(config.settings, changed, "{name}");
    }
    let error = toml::from_str::<CircuitBreakerConfig>("preset = \"hystrix\"").unwrap_err();
    assert!(error.message().contains("resilience4j"), "{error}");
    // More calls than the preset's window ever holds.
    let error = "preset = \"resilience4j\"\nminimum_calls = 101";
    assert!(toml::from_str::<CircuitBreakerConfig>(error).is_err());
}
