//! The configuration file.

use buttress::Quota;
use per_ip::{Config, ConfigError};
use proptest::prelude::*;

fn base() -> Config {
    Config::new(vec![Quota::per_minute(5)])
}

fn wrong(text: &str) -> ConfigError {
    base().read(text).expect_err("an error")
}

#[test]
fn the_file_wins_where_it_says_something() {
    assert_eq!(base().read("").unwrap(), base());

    let text = "quotas = [\"8/minute\"]";
    let config = base().read(text).unwrap();
    assert_eq!(config.chat, [Quota::per_minute(8)]);
    assert_eq!(config.search, base().search);

    let text =
        "[search]\ndefault = [\"1/hour\"]\n[search.keys]\n\"a key\" = [\"2/hour\", \"3/day\"]";
    let config = base().read(text).unwrap();
    assert_eq!(config.chat, base().chat);
    assert_eq!(config.search.default, [Quota::per_hour(1)]);
    assert_eq!(
        config.search.keys["a key"],
        [Quota::per_hour(2), Quota::per_day(3)]
    );
}

#[test]
fn an_error_names_line_and_field() {
    for (text, line, field, part) in [
        (
            "\nquotas = [\"5/minute\", \"5/fortnight\"]",
            2,
            "quotas[1]",
            "fortnight",
        ),
        (
            "quotas = [\n  \"5/minute\",\n  \"0/hour\",\n]",
            3,
            "quotas[1]",
            "zero",
        ),
        ("quotas = \"5/minute\"", 1, "quotas", "sequence"),
        ("quotas = [5]", 1, "quotas[0]", "a quota in quotes"),
        ("quotas = []", 1, "quotas", "give at least one"),
        (
            "\n\n[search]\ndefualt = [\"1/hour\"]",
            4,
            "search.defualt",
            "default",
        ),
        ("limits = 3", 1, "limits", "unknown field"),
        (
            "[search]\n[search.keys]\n\"a key\" = [\"1/hour\", \"x\"]",
            3,
            "search.keys.a key[1]",
            "\"x\"",
        ),
        (
            "[search.tiers.pro]\nquotas = [\"4/minute\"]\nkeys = [\"a\"]\nprice = 3",
            4,
            "search.tiers.pro.price",
            "unknown field",
        ),
        (
            "\n[search.tiers.pro]\nquotas = [\"4/minite\"]\nkeys = []",
            3,
            "search.tiers.pro.quotas[0]",
            "minite",
        ),
        (
            "[search]\n[search.keys]\nalice = []",
            3,
            "search.keys.alice",
            "give at least one",
        ),
    ] {
        let error = wrong(text);
        assert_eq!(error.line, Some(line), "{text:?}: {error}");
        assert_eq!(error.field.as_deref(), Some(field), "{text:?}: {error}");
        assert!(error.message.contains(part), "{text:?}: {error}");
        let shown = error.to_string();
        assert!(
            shown.starts_with(&format!("line {line}: `{field}`: ")),
            "{shown}"
        );
        assert!(!shown.contains('\n'), "{shown:?}");
    }
}

#[test]
fn a_table_whose_parts_do_not_go_together_is_an_error_that_says_why() {
    let tier =
        |name: &str| format!("[search.tiers.{name}]\nquotas = [\"1/hour\"]\nkeys = [\"a\"]\n");
    for (text, field, part) in [
        (
            tier("pro") + &tier("team"),
            "search.tiers",
            "the key `a` is in `pro` and in `team`",
        ),
        (tier("\"\""), "search.tiers", "not a name for a tier"),
        (
            "[search.tiers.pro]\nquotas = []\nkeys = []".into(),
            "search.tiers",
            "`pro` has no quota",
        ),
        ("[ban]\nafter = 0\nlength = \"1h\"".into(), "ban", "0"),
        (
            "[ban]\nafter = 3\nlength = \"an hour\"".into(),
            "ban",
            "length: ",
        ),
    ] {
        let error = wrong(&text);
        assert_eq!(error.field.as_deref(), Some(field), "{text:?}: {error}");
        assert!(error.line.is_some(), "{error}");
        assert!(error.message.contains(part), "{text:?}: {error}");
    }
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    for (text, line) in [
        ("quotas = [\"5/minute\"]\nsearch = {", 2),
        ("quotas = [\"5/minute\"]\n\nquotas = [\"6/minute\"]", 3),
        ("=", 1),
    ] {
        let error = wrong(text);
        assert_eq!(error.line, Some(line), "{text:?}: {error}");
        assert!(!error.message.is_empty(), "{text:?}");
    }
}

#[test]
fn more_quotas_than_a_decision_takes_are_an_error() {
    let sixteen = vec!["\"5/minute\""; 16].join(",");
    assert!(base().read(&format!("quotas = [{sixteen}]")).is_ok());
    let error = wrong(&format!("quotas = [{sixteen},\"5/minute\"]"));
    assert_eq!(error.field.as_deref(), Some("quotas"));
    assert!(
        error.message.contains("17") && error.message.contains("16"),
        "{error}"
    );
}

const VALID: &str = "quotas = [\"5/minute\", \"1200/day rolling\"]\n\n[search]\ndefault = [\"30/minute\"]\n\n\
                     [search.keys]\nalice = [\"1/second burst 5\"]\n\"b ob\" = [\"2k/90s\"]\n";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_panics(text in "\\PC{0,60}|[quotasserch\\[\\]\"=,./0-9\n ]{0,80}") {
        let _ = base().read(&text);
    }

    /// Wherever a byte of a valid file goes wrong, the error's place lies in the file.
    #[test]
    fn a_damaged_file_is_read_or_complained_about_with_a_line(
        at in 0..VALID.len(),
        gone in 0..4_usize,
        put in "[\\x00-\\x7f]{0,3}",
    ) {
        let end = (at + gone).min(VALID.len());
        let text = format!("{}{put}{}", &VALID[..at], &VALID[end..]);
        if let Err(error) = base().read(&text) {
            let lines = text.matches('\n').count() + 1;
            let line = error.line.expect("an error has a place");
            prop_assert!((1..=lines).contains(&line), "{error}");
            prop_assert!(!error.message.is_empty());
        }
    }
}
