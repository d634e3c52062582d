//! The table of fields is what the types read: no more, no less, with the same bounds and defaults.

use buttress_config::fields::{Field, Kind, TABLES, Table};
use buttress_config::{Problems, StackConfig};

/// The least that a table needs.
fn needed(table: &str) -> &'static [(&'static str, &'static str)] {
    match table {
        "rate_limit" => &[("quotas", "['1/second']")],
        "token_budget" => &[("limits", "['1/second']")],
        "circuit_breaker" => &[("consecutive_failures", "1"), ("slow_call", "'1s'")],
        "priority_queue" => &[("concurrency", "1")],
        _ => &[],
    }
}

fn with(table: &Table, field: &str, value: &str) -> String {
    if table.name.is_empty() {
        return format!("{field} = {value}\n[retry]\n[rate_limit]\nquotas = ['1/second']\n");
    }
    let mut text = format!("[{}]\n", table.name);
    for (name, value) in needed(table.name).iter().filter(|(name, _)| *name != field) {
        text.push_str(&format!("{name} = {value}\n"));
    }
    if field == "open_max" {
        // It is bounded by its neighbour too.
        text.push_str("open_for = '1ms'\n");
    }
    text.push_str(&format!("{field} = {value}\n"));
    text
}

fn read(table: &Table, field: &str, value: &str) -> Result<StackConfig, Problems> {
    StackConfig::from_toml(with(table, field, value))
}

fn each(mut look: impl FnMut(&Table, &Field)) {
    for table in TABLES {
        table.fields.iter().for_each(|field| look(table, field));
    }
}

#[test]
fn every_example_and_every_default_is_taken() {
    each(|table, field| {
        read(table, field.name, field.example)
            .unwrap_or_else(|error| panic!("{}: {error}", field.name));
        if let Some(default) = field.default {
            let read = read(table, field.name, default);
            let read = read.unwrap_or_else(|error| panic!("{}: {error}", field.name));
            let mut unsaid = StackConfig::from_toml(with(table, "enabled", "true"));
            if table.name.is_empty() {
                unsaid = StackConfig::from_toml(with(table, "seed", "1"));
            }
            // What only a replay looks at, and what a breaker leaves to be found out, is not held.
            if !matches!(field.name, "start" | "open_max") {
                assert_eq!(said(read), said(unsaid.unwrap()), "{}", field.name);
            }
        }
    });
}

/// What it says, whatever is said of the seed.
fn said(mut config: StackConfig) -> String {
    config.seed = None;
    format!("{config:?}")
}

#[test]
fn every_other_field_is_refused_and_the_known_ones_are_those_of_the_table() {
    for table in TABLES {
        let error = read(table, "no_such_field_anywhere", "1").unwrap_err();
        let reason = &error.iter().next().unwrap().reason;
        let mut known: Vec<&str> = reason.split('`').skip(1).step_by(2).collect();
        let mut fields: Vec<&str> = table.fields.iter().map(|field| field.name).collect();
        if table.name.is_empty() {
            fields.extend(
                TABLES
                    .iter()
                    .map(|table| table.name)
                    .filter(|name| !name.is_empty()),
            );
        }
        known.sort_unstable();
        fields.sort_unstable();
        assert_eq!(known, fields, "{}", table.name);
        for field in table.fields {
            if let Kind::TableOrNone(inner) = field.kind {
                let error = read(table, field.name, "{ no_such_field = 1 }").unwrap_err();
                let reason = &error.iter().next().unwrap().reason;
                let known: Vec<&str> = reason.split('`').skip(1).step_by(2).collect();
                let names: Vec<&str> = inner.iter().map(|field| field.name).collect();
                assert_eq!(known, names, "{}", field.name);
            }
        }
    }
}

/// Values that a field takes, and some that it does not.
type Values = (Vec<String>, Vec<String>);

fn numbers(field: &Field) -> Values {
    match field.kind {
        Kind::Flag => (vec!["true".into()], vec!["1".into(), "'true'".into()]),
        Kind::Whole { least, most } => {
            let above = u128::from(most) + 1;
            let below = i128::from(least) - 1;
            let big = match field.name {
                "keys" => most / 4096,
                "minimum_calls" => 100,
                _ => most,
            };
            (
                vec![least.to_string(), big.to_string()],
                vec![
                    above.to_string(),
                    below.to_string(),
                    "'5'".into(),
                    "1.5".into(),
                ],
            )
        }
        Kind::Number { least, most, above } => {
            let mut good = vec![format!("{least:?}"), format!("{most:?}")];
            let mut bad = vec!["-0.001".into(), "nan".into(), "'5'".into()];
            if above {
                bad.push(good.remove(0));
            }
            if most < f64::MAX {
                bad.push(format!("{:?}", most * 1.1));
            }
            (good, bad)
        }
        _ => texts(field),
    }
}

fn texts(field: &Field) -> Values {
    match field.kind {
        Kind::Flag | Kind::Whole { .. } | Kind::Number { .. } => numbers(field),
        Kind::Duration => (
            vec!["'1ms'".into(), "'1h30m'".into()],
            vec!["'0s'".into(), "5".into(), "'5'".into(), "'1us'".into()],
        ),
        Kind::Quotas => (
            vec!["['1k/s', '2/day rolling']".into()],
            vec!["['0/s']".into(), "'1/s'".into(), "[1]".into()],
        ),
        Kind::QuotasByKey => (
            vec!["{ a = ['1/s'], b = ['2/s'] }".into()],
            vec![
                "{ a = [] }".into(),
                "{ a = '1/s' }".into(),
                "['1/s']".into(),
            ],
        ),
        Kind::Methods => (
            vec!["['GET', 'X-Y']".into()],
            vec!["['get']".into(), "'GET'".into()],
        ),
        Kind::Stack => (
            vec!["['retry', 'rate_limit']".into()],
            vec!["['retry']".into(), "'retry'".into()],
        ),
        Kind::Time => (
            vec!["2026-03-01T00:00:00+01:00".into()],
            vec!["'noon'".into(), "0".into()],
        ),
        Kind::Choice(names) => (
            names.iter().map(|name| format!("'{name}'")).collect(),
            vec!["'no_such_name'".into(), "1".into()],
        ),
        Kind::CallsOrDuration { most } => (
            vec!["1".into(), most.to_string(), "'1s'".into()],
            vec!["0".into(), (most + 1).to_string(), "'0s'".into()],
        ),
        Kind::TableOrNone(_) => (
            vec!["'none'".into(), "{}".into()],
            vec!["'all'".into(), "1".into()],
        ),
    }
}

#[test]
fn every_bound_is_the_one_of_the_type() {
    each(|table, field| {
        let (good, bad) = numbers(field);
        for value in good {
            if let Err(error) = read(table, field.name, &value) {
                panic!("{}.{} = {value}: {error}", table.name, field.name);
            }
        }
        for value in bad {
            let error = match read(table, field.name, &value) {
                Ok(_) => panic!("{}.{} = {value} is taken", table.name, field.name),
                Err(error) => error,
            };
            let named = error.to_string();
            assert!(named.contains(field.name), "{named}");
        }
    });
}

#[test]
fn every_choice_of_the_types_is_in_the_table() {
    for (table, field) in [
        ("retry", "preset"),
        ("circuit_breaker", "preset"),
        ("retry", "jitter"),
    ] {
        let table = TABLES.iter().find(|known| known.name == table).unwrap();
        let error = read(table, field, "'no_such_name'").unwrap_err();
        let reason = &error.iter().next().unwrap().reason;
        let mut known: Vec<&str> = reason.split('`').skip(1).step_by(2).collect();
        known.retain(|name| *name != "no_such_name");
        known.sort_unstable();
        let field = table
            .fields
            .iter()
            .find(|known| known.name == field)
            .unwrap();
        let Kind::Choice(names) = field.kind else {
            panic!("{}", field.name);
        };
        let mut names = names.to_vec();
        names.sort_unstable();
        assert_eq!(known, names, "{reason}");
    }
}
