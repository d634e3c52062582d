//! The JSON Schema of a configuration, for editors that complete and check while a file is written.

use serde_json::{Map, Value, json};

use crate::fields::{Field, Kind, TABLES};
use crate::order::LayerName;

/// A duration as text: an integer and a unit, several in a row.
const DURATION: &str = r"^([0-9]+(ms|s|m|h|d))+$";

/// A quota as text, in its outline; the reader looks closer.
const QUOTA: &str = r"^[0-9]+[kM]?/\S+( burst [0-9]+[kM]?| rolling| calendar \S+)?$";

/// The JSON Schema (draft 2020-12) of a whole configuration, made of [`TABLES`].
///
/// What a schema cannot say (that a table's settings go together, that a quota's zone exists) it leaves to
/// the reader; what it refuses, the reader refuses too.
#[must_use]
pub fn json_schema() -> Value {
    let mut properties = Map::new();
    for table in TABLES {
        let fields = table
            .fields
            .iter()
            .map(|field| (field.name.to_owned(), schema_of(field)));
        if table.name.is_empty() {
            properties.extend(fields);
            continue;
        }
        let mut schema = json!({
            "type": "object",
            "description": table.about,
            "properties": fields.collect::<Map<_, _>>(),
            "additionalProperties": false,
        });
        let needs = match table.name {
            "rate_limit" => Some(("anyOf", vec!["quotas", "global"])),
            "token_budget" => Some(("anyOf", vec!["limits", "global"])),
            "priority_queue" => Some(("anyOf", vec!["concurrency"])),
            "circuit_breaker" => Some((
                "anyOf",
                vec![
                    "preset",
                    "consecutive_failures",
                    "failure_rate",
                    "slow_call_rate",
                ],
            )),
            _ => None,
        };
        if let Some((any, fields)) = needs {
            let required = fields.iter().map(|field| json!({ "required": [field] }));
            schema[any] = required.collect();
        }
        properties.insert(table.name.to_owned(), schema);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A stack of buttress layers",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn schema_of(field: &Field) -> Value {
    let mut schema = schema_of_kind(&field.kind);
    schema["description"] = field.about.into();
    let default = field.default.and_then(|default| {
        let document: toml::Table = toml::from_str(&format!("v = {default}")).ok()?;
        serde_json::to_value(document.get("v")?).ok()
    });
    if let Some(default) = default {
        schema["default"] = default;
    }
    schema
}

fn schema_of_kind(kind: &Kind) -> Value {
    match kind {
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Whole { least, most } => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::Number { least, most, above } => {
            let lower = match above {
                true => "exclusiveMinimum",
                false => "minimum",
            };
            let mut schema = json!({ "type": "number" });
            schema[lower] = json!(least);
            if *most < f64::MAX {
                schema["maximum"] = json!(most);
            }
            schema
        }
        Kind::Duration => json!({ "type": "string", "pattern": DURATION }),
        Kind::Quotas => quotas(),
        Kind::QuotasByKey => json!({
            "type": "object",
            "additionalProperties": { "allOf": [quotas(), { "minItems": 1 }] },
        }),
        Kind::Methods => json!({
            "type": "array",
            "items": { "type": "string", "pattern": "^[A-Z0-9!#$%&'*+.^_`|~-]+$" },
        }),
        Kind::Stack => {
            let names: Vec<&str> = LayerName::ORDER.iter().map(|layer| layer.name()).collect();
            json!({ "type": "array", "items": { "enum": names }, "uniqueItems": true })
        }
        Kind::Time => json!({ "type": "string", "format": "date-time" }),
        Kind::Choice(names) => json!({ "enum": names }),
        Kind::CallsOrDuration { most } => json!({
            "oneOf": [
                { "type": "integer", "minimum": 1, "maximum": most },
                { "type": "string", "pattern": DURATION },
            ],
        }),
        Kind::TableOrNone(fields) => {
            let fields = fields
                .iter()
                .map(|field| (field.name.to_owned(), schema_of(field)));
            json!({
                "oneOf": [
                    { "const": "none" },
                    {
                        "type": "object",
                        "properties": fields.collect::<Map<_, _>>(),
                        "additionalProperties": false,
                    },
                ],
            })
        }
    }
}

fn quotas() -> Value {
    json!({ "type": "array", "items": { "type": "string", "pattern": QUOTA } })
}
