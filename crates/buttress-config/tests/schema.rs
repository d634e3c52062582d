//! The JSON Schema: what it refuses the reader refuses, and what the reader takes it takes.

#![cfg(feature = "schema")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use buttress_config::fields::{Kind, TABLES};
use buttress_config::{StackConfig, json_schema};
use serde_json::{Map, Value, json};

/// Whether a value is what a schema says: the words that ours uses, and no others. Patterns are looked at by
/// their type alone.
fn fits(schema: &Value, value: &Value) -> bool {
    let words = schema.as_object().unwrap();
    words.iter().all(|(word, says)| match word.as_str() {
        "$schema" | "title" | "description" | "default" | "pattern" | "format" => true,
        "type" => match says.as_str().unwrap() {
            "boolean" => value.is_boolean(),
            "integer" => value.is_u64() || value.is_i64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("{other}"),
        },
        "enum" => says.as_array().unwrap().contains(value),
        "const" => says == value,
        "minimum" => number(value) >= number(says),
        "exclusiveMinimum" => number(value) > number(says),
        "maximum" => number(value) <= number(says),
        _ => whole_fits(words, word, says, value),
    })
}

/// As above, for the words about what is in a list or a table, and about several schemas.
fn whole_fits(words: &Map<String, Value>, word: &str, says: &Value, value: &Value) -> bool {
    match word {
        "minItems" => value
            .as_array()
            .is_none_or(|list| list.len() as u64 >= says.as_u64().unwrap()),
        "uniqueItems" => value.as_array().is_none_or(|list| {
            let texts: std::collections::BTreeSet<_> = list.iter().map(Value::to_string).collect();
            texts.len() == list.len()
        }),
        "items" => value
            .as_array()
            .is_none_or(|list| list.iter().all(|item| fits(says, item))),
        "properties" => value.as_object().is_none_or(|table| {
            table
                .iter()
                .all(|(key, value)| says.get(key).is_none_or(|schema| fits(schema, value)))
        }),
        "additionalProperties" => value.as_object().is_none_or(|table| {
            let known = words.get("properties");
            table.iter().all(|(key, value)| {
                known.is_some_and(|known| known.get(key).is_some())
                    || says.as_object().is_some_and(|_| fits(says, value))
            })
        }),
        "required" => says
            .as_array()
            .unwrap()
            .iter()
            .all(|key| value.get(key.as_str().unwrap()).is_some()),
        "anyOf" => says
            .as_array()
            .unwrap()
            .iter()
            .any(|schema| fits(schema, value)),
        "allOf" => says
            .as_array()
            .unwrap()
            .iter()
            .all(|schema| fits(schema, value)),
        "oneOf" => {
            says.as_array()
                .unwrap()
                .iter()
                .filter(|schema| fits(schema, value))
                .count()
                == 1
        }
        other => panic!("the word {other} is not looked at"),
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

#[test]
fn every_example_and_default_of_every_field_fits_with_what_its_table_needs() {
    let schema = json_schema();
    for table in TABLES {
        for field in table.fields {
            for value in [Some(field.example), field.default].into_iter().flatten() {
                let needs = match table.name {
                    "rate_limit" => "quotas = ['1/s']",
                    "token_budget" => "limits = ['1/s']",
                    "circuit_breaker" => "consecutive_failures = 1\nslow_call = '1s'",
                    "priority_queue" => "concurrency = 1",
                    _ => "",
                };
                let mut text = format!("v = {value}");
                if !table.name.is_empty() {
                    text.push_str(&format!("\n[needs]\n{needs}"));
                }
                let mut read: toml::Table = toml::from_str(&text).unwrap();
                let value = serde_json::to_value(read.remove("v").unwrap()).unwrap();
                let mut document = json!({});
                match table.name {
                    "" => {
                        document[field.name] = value;
                        if matches!(field.kind, Kind::Stack) {
                            document["retry"] = json!({});
                            document["rate_limit"] = json!({ "quotas": ["1/s"] });
                        }
                    }
                    name => {
                        document[name] =
                            serde_json::to_value(read.remove("needs").unwrap()).unwrap();
                        document[name][field.name] = value;
                    }
                }
                assert!(fits(&schema, &document), "{document}");
                let read = serde_json::from_value::<StackConfig>(document.clone());
                assert!(read.is_ok(), "{document}: {read:?}");
            }
        }
    }
}

#[test]
fn what_it_refuses_the_reader_refuses() {
    let schema = json_schema();
    let refused = [
        json!([]),
        json!({"rate_limits": {}}),
        json!({"rate_limit": {}}),
        json!({"rate_limit": {"quotas": ["1/s"], "quota": 1}}),
        json!({"rate_limit": {"quotas": "1/s"}}),
        json!({"rate_limit": {"quotas": ["1/s"], "keys": 0}}),
        json!({"rate_limit": {"quotas": ["1/s"], "overrides": {"vip": []}}}),
        json!({"token_budget": {"limits": [5]}}),
        json!({"retry": {"attempts": 0}}),
        json!({"retry": {"budget": {"ratoi": 1}}}),
        json!({"retry": {"budget": "all"}}),
        json!({"retry": {"preset": "aws"}}),
        json!({"circuit_breaker": {}}),
        json!({"circuit_breaker": {"failure_rate": 0}}),
        json!({"circuit_breaker": {"failure_rate": 0.5, "window": 0}}),
        json!({"priority_queue": {"capacity": 5}}),
        json!({"priority_queue": {"concurrency": 5, "fair": "yes"}}),
        json!({"stack": ["retry", "retry"], "retry": {}}),
        json!({"seed": -1}),
    ];
    for document in refused {
        assert!(!fits(&schema, &document), "{document}");
        assert!(
            serde_json::from_value::<StackConfig>(document.clone()).is_err(),
            "{document}"
        );
    }
}

#[test]
fn a_schema_names_every_table_and_says_what_each_field_is_for() {
    let schema = json_schema();
    for table in TABLES {
        let properties = match table.name {
            "" => &schema["properties"],
            name => &schema["properties"][name]["properties"],
        };
        for field in table.fields {
            assert_eq!(
                properties[field.name]["description"], field.about,
                "{}",
                field.name
            );
        }
    }
}
