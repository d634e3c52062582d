//! The policy's `[circuit_breaker]`: every rule of the format, once kept and once broken.

use std::time::Duration;

use buttress_circuit_breaker::{Settings, Window};
use buttress_replay::policy::Layer;

use super::{good, refused};

#[test]
fn what_is_left_out_has_its_default_and_every_key_is_read() {
    let policy = good("[circuit_breaker]\nconsecutive_failures = 5");
    assert_eq!(policy.stack, [Layer::CircuitBreaker]);
    let config = policy.tables.circuit_breaker.expect("it is enabled");
    let second = Duration::from_secs(1);
    let said = Settings::consecutive_failures(5)
        .window(Window::Calls(100))
        .minimum_calls(10)
        .open_for(60 * second)
        .open_growth(1.0)
        .probes(1)
        .close_after(1);
    assert_eq!(config.settings, said);
    assert_eq!(config.by, None);
    let all = good(
        "[circuit_breaker]\nenabled = true\nconsecutive_failures = 5\nfailure_rate = 0.5\nslow_call_rate = 1\n\
         slow_call = \"4s\"\nwindow = \"20s\"\nminimum_calls = 5\nopen_for = \"30s\"\nopen_growth = 1.5\n\
         open_max = \"10m\"\nprobes = 3\nclose_after = 4\nby = \"key\"\n",
    );
    let config = all.tables.circuit_breaker.expect("it is enabled");
    let said = Settings::consecutive_failures(5)
        .or_failure_rate(0.5)
        .or_slow_call_rate(1.0, 4 * second)
        .window(20 * second)
        .minimum_calls(5)
        .open_for(30 * second)
        .open_growth(1.5)
        .open_max(600 * second)
        .probes(3)
        .close_after(4);
    assert_eq!(config.settings, said);
    assert!(config.by.is_some());
}

#[test]
fn a_disabled_table_is_checked_and_passed_over() {
    let policy =
        good("stack = [\"circuit_breaker\"]\n[circuit_breaker]\nenabled = false\nfailure_rate = 1");
    assert!(policy.stack.is_empty() && policy.tables.circuit_breaker.is_none());
    refused(
        "[circuit_breaker]\nenabled = false\nfailure_rate = 2",
        3,
        "circuit_breaker.failure_rate",
        &["`2`", "expected"],
    );
}

#[test]
fn one_of_three_conditions_is_needed_and_slow_calls_need_their_time() {
    let conditions = [
        "`consecutive_failures`",
        "failure_rate",
        "slow_call_rate",
        "expected",
    ];
    for more in ["", "window = 100\n", "slow_call = \"4s\"\n"] {
        let text = format!("[circuit_breaker]\n{more}");
        refused(
            &text,
            1,
            "circuit_breaker.consecutive_failures",
            &conditions,
        );
    }
    refused(
        "[circuit_breaker]\nslow_call_rate = 0.5",
        1,
        "circuit_breaker.slow_call",
        &["slow_call_rate needs it", "expected"],
    );
}

/// A wrong line, the key that it is about, and words of the error.
const WRONG: &[(&str, &str, [&str; 2])] = &[
    (
        "consecutive_failures = 0",
        "consecutive_failures",
        ["`0`", "expected a whole number from 1"],
    ),
    (
        "consecutive_failures = \"5\"",
        "consecutive_failures",
        ["`\"5\"`", "expected"],
    ),
    (
        "failure_rate = 0",
        "failure_rate",
        ["`0`", "expected a share"],
    ),
    (
        "failure_rate = 1.01",
        "failure_rate",
        ["`1.01`", "at most 1"],
    ),
    (
        "failure_rate = nan",
        "failure_rate",
        ["`nan`", "expected a share"],
    ),
    (
        "failure_rate = \"50%\"",
        "failure_rate",
        ["`\"50%\"`", "expected a number"],
    ),
    (
        "slow_call = \"0s\"",
        "slow_call",
        ["`\"0s\"`", "above zero"],
    ),
    ("window = \"0s\"", "window", ["`\"0s\"`", "above zero"]),
    (
        "window = 0",
        "window",
        ["`0`", "expected a number of calls"],
    ),
    (
        "window = \"1us\"",
        "window",
        ["`\"1us\"`", "expected a duration in ms"],
    ),
    (
        "window = true",
        "window",
        ["`true`", "expected a number of calls"],
    ),
    (
        "minimum_calls = 0",
        "minimum_calls",
        ["`0`", "expected a whole number from 1"],
    ),
    (
        "minimum_calls = 101",
        "minimum_calls",
        ["`101`", "`window`"],
    ),
    ("open_for = \"0s\"", "open_for", ["`\"0s\"`", "above zero"]),
    (
        "open_for = 60",
        "open_for",
        ["`60`", "expected a duration in quotes"],
    ),
    ("open_growth = 0.5", "open_growth", ["`0.5`", "expected"]),
    ("open_max = \"0s\"", "open_max", ["`\"0s\"`", "above zero"]),
    (
        "probes = 0",
        "probes",
        ["`0`", "expected a whole number from 1"],
    ),
    (
        "close_after = 0",
        "close_after",
        ["`0`", "expected a whole number from 1"],
    ),
    ("by = \"host\"", "by", ["`\"host\"`", "`key`"]),
    ("trip = 1", "trip", ["an unknown key", "expected one of"]),
];

#[test]
fn the_breaker_is_checked() {
    for (line, field, words) in WRONG {
        let field = format!("circuit_breaker.{field}");
        let text = format!("[circuit_breaker]\n{line}\nslow_call_rate = 1\nslow_call = \"1s\"");
        let text = match line.starts_with("slow_call") {
            true => format!("[circuit_breaker]\n{line}\nslow_call_rate = 1"),
            false => text,
        };
        refused(&text, 2, &field, words);
    }
}

#[test]
fn no_window_of_calls_is_smaller_than_what_is_asked_of_it() {
    good("[circuit_breaker]\nfailure_rate = 1\nwindow = 5\nminimum_calls = 5");
    good("[circuit_breaker]\nfailure_rate = 1\nwindow = \"5s\"\nminimum_calls = 500");
    good("[circuit_breaker]\nconsecutive_failures = 1\nwindow = 5");
    refused(
        "[circuit_breaker]\nfailure_rate = 1\nwindow = 5\nminimum_calls = 6",
        4,
        "circuit_breaker.minimum_calls",
        &["`6`", "at most 5"],
    );
    // The default is ten.
    refused(
        "[circuit_breaker]\nfailure_rate = 1\nwindow = 5",
        1,
        "circuit_breaker.minimum_calls",
        &["10", "at most 5"],
    );
}
