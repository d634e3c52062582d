//! The policy: every rule of the format, once kept and once broken.

mod admissions;
mod circuit_breaker;
mod rate_limit;
mod retry;

use std::time::Duration;

use buttress_replay::error::{Place, Problem};
use buttress_replay::policy::{Layer, Policy};
use proptest::prelude::*;

fn good(policy: &str) -> Policy {
    Policy::parse(policy.as_bytes()).unwrap_or_else(|problems| panic!("{policy}: {problems:?}"))
}

fn bad(policy: impl AsRef<[u8]>) -> Vec<Problem> {
    let policy = policy.as_ref();
    match Policy::parse(policy) {
        Err(problems) => problems,
        Ok(good) => panic!("{}: {good:?}", String::from_utf8_lossy(policy)),
    }
}

/// Asserts that the policy has exactly one problem, with this field on this line, which says these words.
#[track_caller]
fn refused(policy: &str, line: usize, field: &str, words: &[&str]) {
    let problems = bad(policy);
    assert_eq!(problems.len(), 1, "{policy}: {problems:?}");
    assert_eq!(problems[0].line, line, "{policy}: {}", problems[0]);
    assert_eq!(
        problems[0].place,
        Place::Field(field.to_owned()),
        "{policy}: {}",
        problems[0]
    );
    let text = problems[0].to_string();
    for word in words {
        assert!(text.contains(word), "{policy}: {text} lacks {word}");
    }
}

#[test]
fn a_policy_without_a_layer_is_good() {
    for text in [
        "",
        "\n# nothing\n",
        "stack = []",
        "seed = 0\nstart = \"1970-01-01T00:00:00Z\"",
    ] {
        let policy = good(text);
        assert!(
            policy.stack.is_empty()
                && policy.tables.rate_limit.is_none()
                && policy.warnings.is_empty()
        );
        assert_eq!((policy.seed, policy.start.as_second()), (0, 0));
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let policy = good("[rate_limit]\nquotas = [\"5/minute\"]\n");
    assert_eq!(policy.stack, [Layer::RateLimit]);
    let config = policy.tables.rate_limit.unwrap();
    assert_eq!(
        (
            config.quotas.len(),
            config.global.len(),
            config.overrides.len()
        ),
        (1, 0, 0)
    );
    assert_eq!(
        (config.keys, config.shadow, config.wait),
        (65_536, false, None)
    );
}

#[test]
fn every_key_is_read() {
    let policy = good(
        "stack = [\"rate_limit\"]\nseed = 18446744073709551615\nstart = \"2026-03-01T01:00:00+01:00\"\n\
         [rate_limit]\nenabled = true\nquotas = [\"1/second burst 5\", \"1200/day rolling\"]\n\
         global = [\"1k/hour\"]\nwait = \"1m30s500ms\"\nkeys = 1\nshadow = false\n\
         [rate_limit.overrides]\n\"vip\" = [\"100/second\", \"5/90s\"]\n\"\" = [\"1/day\"]\n",
    );
    assert_eq!(policy.seed, u64::MAX);
    assert_eq!(policy.start.to_string(), "2026-03-01T00:00:00Z");
    let config = policy.tables.rate_limit.unwrap();
    assert_eq!(
        (config.quotas.len(), config.global.len(), config.keys),
        (2, 1, 1)
    );
    assert_eq!(config.wait, Some(Duration::from_millis(90_500)));
    assert_eq!(
        (config.overrides["vip"].len(), config.overrides[""].len()),
        (2, 1)
    );
}

#[test]
fn start_may_be_a_date_of_toml() {
    for text in [
        "2026-03-01T00:00:00Z",
        "2026-03-01 01:00:00+01:00",
        "2026-02-28T19:00:00.000-05:00",
    ] {
        let policy = good(&format!("start = {text}"));
        assert_eq!(policy.start.to_string(), "2026-03-01T00:00:00Z", "{text}");
    }
}

#[test]
fn the_top_level_is_checked() {
    refused("seed = -1", 1, "seed", &["`-1`", "whole number"]);
    refused("\nseed = 1.0", 2, "seed", &["`1.0`"]);
    refused("seed = \"1\"", 1, "seed", &["`\"1\"`"]);
    refused(
        "seed = 18446744073709551616",
        1,
        "seed",
        &["18446744073709551615"],
    );
    for start in [
        "\"yesterday\"",
        "\"2026-03-01\"",
        "\"2026-03-01T00:00:00\"",
        "2026-03-01T00:00:00",
        "0",
        "\"\"",
    ] {
        refused(
            &format!("\n\nstart = {start}"),
            3,
            "start",
            &[&format!("`{start}`"), "expected", "offset"],
        );
    }
    refused(
        "sed = 1",
        1,
        "sed",
        &[
            "unknown",
            "did you mean `seed`?",
            "`stack`",
            "`start`",
            "`rate_limit`",
        ],
    );
    refused(
        "\n[rate-limit]\nquotas = [\"1/s\"]",
        2,
        "rate-limit",
        &["did you mean `rate_limit`?"],
    );
    refused("[zebra]", 1, "zebra", &["expected one of `stack`"]);
    refused("\"a b\" = 1", 1, "\"a b\"", &["unknown"]);
    refused(
        "rate_limit = 5",
        1,
        "rate_limit",
        &["`5`", "expected a table"],
    );
    refused(
        "[[rate_limit]]\nquotas = [\"1/s\"]",
        1,
        "rate_limit",
        &["expected a table"],
    );
}

#[test]
fn stack_names_every_present_table_once() {
    const TABLE: &str = "[rate_limit]\nquotas = [\"1/s\"]";
    assert_eq!(
        good(&format!("stack = [\"rate_limit\"]\n{TABLE}")).stack,
        [Layer::RateLimit]
    );
    refused(
        &format!("stack = []\n{TABLE}"),
        1,
        "stack",
        &["`rate_limit` is missing", "`[]`"],
    );
    refused(
        "stack = [\n\"rate_limit\"]",
        2,
        "stack[0]",
        &["there is no [rate_limit]"],
    );
    refused(
        &format!("stack = [\"rate_limit\",\n\"rate_limit\"]\n{TABLE}"),
        2,
        "stack[1]",
        &["again"],
    );
    refused(
        &format!("stack = [\"rate_limit\", 5]\n{TABLE}"),
        1,
        "stack[1]",
        &["`5`", "a string"],
    );
    refused(
        &format!("stack = [\"rate_limit\", \"ratelimit\"]\n{TABLE}"),
        1,
        "stack[1]",
        &["did you mean `rate_limit`?"],
    );
    refused(
        &format!("stack = \"rate_limit\"\n{TABLE}"),
        1,
        "stack",
        &["expected a list"],
    );
}

#[test]
fn all_problems_are_told_in_the_order_of_the_file() {
    let problems = bad(
        "sed = 1\nstart = \"soon\"\nstack = [\"token_budget\"]\n[rate_limit]\nquotas = [\"5\"]\nwait = \"0s\"\nkeys = 0\n\
         zebra = 1\n[token_budget]\nlimits = 4\n",
    );
    let places: Vec<String> = problems
        .iter()
        .map(|problem| format!("{} {:?}", problem.line, problem.place))
        .collect();
    let expected = [
        "1 Field(\"sed\")",
        "2 Field(\"start\")",
        "3 Field(\"stack\")",
        "5 Field(\"rate_limit.quotas[0]\")",
        "6 Field(\"rate_limit.wait\")",
        "7 Field(\"rate_limit.keys\")",
        "8 Field(\"rate_limit.zebra\")",
        "10 Field(\"token_budget.limits\")",
    ];
    assert_eq!(places, expected);
}

#[test]
fn what_is_no_toml_names_its_line() {
    refused(
        "seed = 1\nseed = 2",
        2,
        "seed",
        &["duplicate key", "`seed = 2`"],
    );
    refused(
        "[rate_limit]\nkeys = 1\nkeys = 2",
        3,
        "rate_limit.keys",
        &["duplicate key"],
    );
    refused(
        "\n[rate_limit]\nquotas = [5/minute]",
        3,
        "rate_limit.quotas[0]",
        &["`quotas = [5/minute]`"],
    );
    refused("[rate_limit]\nkeys", 2, "rate_limit.keys", &["TOML"]);
    refused("seed = 1\n[rate_limit", 2, "rate_limit", &["TOML"]);
    refused("seed = \"1\nstart = 2", 1, "seed", &["TOML"]);
    let problems = bad(b"seed = 1\n# \xff\n");
    assert_eq!(
        (problems[0].line, &problems[0].place),
        (2, &Place::Column(3))
    );
    assert_eq!(problems[0].found, "the byte 0xff");
    for deep in [
        "a = ".to_owned() + &"[".repeat(100_000),
        "[a".to_owned() + &".a".repeat(100_000) + "]",
    ] {
        assert_eq!(bad(&deep)[0].line, 1);
    }
    assert!(
        bad("a".repeat(100_000))
            .iter()
            .all(|problem| problem.to_string().len() < 500)
    );
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\[{1,2}(rate_limit|rate_limit.overrides|retry|circuit_breaker|retry.budget|x)\\]{1,2}",
        "(seed|attempts|base|budget|window|failure_rate|keys|wait|quotas|global|shadow|enabled|stack|start|vip|x|rate_limit.keys) ?= ?\
         (-?[0-9]{1,20}|\"[0-9a-z/ ]{0,8}\"|\\[(\"[0-9a-z/]{0,4}\",?){0,2}\\]|true|\\{\\}|1979-05-27|1.5|\\[|\")",
        "[ -~]{0,12}",
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Err(problems) = Policy::parse(&bytes) {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn any_policy_is_read_or_refused_with_line_and_place(lines in prop::collection::vec(line(), 0..8)) {
        let text = lines.join("\n");
        if let Err(problems) = Policy::parse(text.as_bytes()) {
            prop_assert!(!problems.is_empty());
            for problem in &problems {
                prop_assert!((1..=lines.len() + 1).contains(&problem.line), "{}", problem);
                match &problem.place {
                    Place::Field(path) => prop_assert!(!path.is_empty()),
                    Place::Column(column) => prop_assert!(*column >= 1),
                    Place::Variable(name) => prop_assert!(false, "{}", name),
                }
                prop_assert!(!problem.found.is_empty() && !problem.reason.is_empty());
            }
            prop_assert!(problems.is_sorted_by_key(|problem| problem.line));
        }
    }
}
