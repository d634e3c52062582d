//! The policy's `[rate_limit]`: every rule of the format, once kept and once broken.

use std::time::Duration;

use super::{good, refused};

#[test]
fn a_disabled_table_is_checked_and_passed_over() {
    const TABLE: &str = "[rate_limit]\nenabled = false\nquotas = [\"1/s\"]";
    for stack in ["", "stack = []\n", "stack = [\"rate_limit\"]\n"] {
        let policy = good(&format!("{stack}{TABLE}"));
        assert!(policy.stack.is_empty() && policy.tables.rate_limit.is_none());
    }
    refused(
        "[rate_limit]\nenabled = false\nquotas = [\"5\"]",
        3,
        "rate_limit.quotas[0]",
        &["`\"5\"`"],
    );
    refused(
        "[rate_limit]\nenabled = false",
        1,
        "rate_limit",
        &["`quotas`", "`global`"],
    );
}

/// A rate limit with this line as its third.
fn table(line: &str) -> String {
    format!("[rate_limit]\nglobal = [\"1/s\"]\n{line}")
}

#[test]
fn the_rate_limit_is_checked() {
    refused(
        "seed = 1\n[rate_limit]\nshadow = true",
        2,
        "rate_limit",
        &["`quotas`", "`global`"],
    );
    refused(
        "[rate_limit]\nquotas = []",
        1,
        "rate_limit",
        &["`quotas`", "`global`"],
    );
    good(&table("quotas = []"));
    refused(
        &table("quotas = [\n\"1/s\",\n\"bogus\"]"),
        5,
        "rate_limit.quotas[1]",
        &["`\"bogus\"`"],
    );
    refused(
        &table("quotas = \"1/s\""),
        3,
        "rate_limit.quotas",
        &["expected a list", "`\"1/s\"`"],
    );
    refused(
        &table("quotas = [5]"),
        3,
        "rate_limit.quotas[0]",
        &["`5`", "expected"],
    );
    refused(
        &table("quota = [\"1/s\"]"),
        3,
        "rate_limit.quota",
        &["did you mean `quotas`?", "`overrides`"],
    );
    refused(
        &table("zebra = 1"),
        3,
        "rate_limit.zebra",
        &["unknown", "expected one of", "`keys`"],
    );
    refused(
        &table("\"quo`tas\" = 1"),
        3,
        "rate_limit.\"quo`tas\"",
        &["did you mean `quotas`?", "`overrides`"],
    );
}

#[test]
fn flags_are_checked() {
    refused(
        &table("enabled = 1"),
        3,
        "rate_limit.enabled",
        &["`1`", "true or false"],
    );
    refused(
        &table("shadow = \"yes\""),
        3,
        "rate_limit.shadow",
        &["`\"yes\"`", "true or false"],
    );
}

#[test]
fn keys_are_checked() {
    for keys in [
        "0",
        "-1",
        "1.5",
        "\"9\"",
        "9223372036854775807",
        "99999999999999999999999999999",
    ] {
        refused(
            &table(&format!("keys = {keys}")),
            3,
            "rate_limit.keys",
            &[&format!("`{keys}`"), "expected"],
        );
    }
}

#[test]
fn wait_is_checked() {
    for wait in [
        "\"0s\"",
        "\"0ms0h\"",
        "\"\"",
        "\"5\"",
        "\"1.5s\"",
        "\"-1s\"",
        "\"1 s\"",
        "\"1us\"",
        "\"s\"",
        "5",
        "\"1w\"",
        "\"99999999999999999999s\"",
        "\"10000000001s\"",
        "1979-05-27",
    ] {
        refused(
            &table(&format!("wait = {wait}")),
            3,
            "rate_limit.wait",
            &[&format!("`{wait}`")],
        );
    }
    for (wait, milliseconds) in [
        ("1ms", 1),
        ("2m", 120_000),
        ("1h30m", 5_400_000),
        ("1d", 86_400_000),
    ] {
        let policy = good(&table(&format!("wait = \"{wait}\"")));
        assert_eq!(
            policy.tables.rate_limit.unwrap().wait,
            Some(Duration::from_millis(milliseconds))
        );
    }
}

#[test]
fn overrides_are_checked() {
    let table =
        |line: &str| format!("[rate_limit]\nglobal = [\"1/s\"]\n[rate_limit.overrides]\n{line}");
    refused(
        &table("vip = []"),
        4,
        "rate_limit.overrides.vip",
        &["`[]`", "at least one quota"],
    );
    refused(
        &table("vip = [\"1/s\", \"1\"]"),
        4,
        "rate_limit.overrides.vip[1]",
        &["`\"1\"`"],
    );
    refused(
        &table("vip = \"1/s\""),
        4,
        "rate_limit.overrides.vip",
        &["expected a list"],
    );
    refused(
        &table("\"a b\" = [1]"),
        4,
        "rate_limit.overrides.\"a b\"[0]",
        &["`1`"],
    );
    refused(
        "rate_limit.global = [\"1/s\"]\nrate_limit.overrides = 5",
        2,
        "rate_limit.overrides",
        &["a table"],
    );
    refused(
        "[rate_limit.overrides]\nvip = [\"1/s\"]",
        1,
        "rate_limit",
        &["`quotas`", "`global`"],
    );
}

#[test]
fn a_wait_in_shadow_is_a_warning() {
    let policy = good("[rate_limit]\nquotas = [\"1/s\"]\nwait = \"1s\"\nshadow = true");
    let warnings: Vec<String> = policy.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].starts_with("line 3, fields `rate_limit.wait` and `rate_limit.shadow`:"),
        "{warnings:?}"
    );
}
