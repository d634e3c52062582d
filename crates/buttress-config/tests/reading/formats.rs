//! One configuration in several formats.

use buttress_config::{Environment, LayerName, StackConfig};
use serde::de::IntoDeserializer;
use serde::de::value::MapDeserializer;

use crate::WHOLE;

fn as_json() -> String {
    let table: toml::Table = toml::from_str(WHOLE).unwrap();
    serde_json::to_string(&table).unwrap()
}

#[test]
fn toml_and_json_say_the_same() {
    let config = StackConfig::from_toml(WHOLE).unwrap();
    assert_eq!(config.stack, LayerName::ORDER);
    assert_eq!(config.seed, Some(1));
    assert!(config.warnings().is_empty(), "{:?}", config.warnings());
    let json: StackConfig = serde_json::from_str(&as_json()).unwrap();
    assert_eq!(json, config);
    let through_serde: StackConfig = toml::from_str(WHOLE).unwrap();
    assert_eq!(through_serde, config);
    let value: serde_json::Value = serde_json::from_str(&as_json()).unwrap();
    assert_eq!(
        StackConfig::from_format_and(value, &Environment::empty()).unwrap(),
        config
    );
}

/// YAML's readers hand out borrowed and owned text, whole numbers as they are, and null for what is empty:
/// so does this.
#[test]
fn what_a_reader_of_yaml_hands_out_says_the_same_as_toml() {
    #[derive(Clone)]
    enum Node {
        Text(&'static str),
        Number(u64),
        Null,
        List(Vec<Node>),
        Map(Vec<(&'static str, Node)>),
    }

    impl<'de> IntoDeserializer<'de, serde::de::value::Error> for Node {
        type Deserializer = Self;

        fn into_deserializer(self) -> Self {
            self
        }
    }

    impl<'de> serde::Deserializer<'de> for Node {
        type Error = serde::de::value::Error;

        fn deserialize_any<V: serde::de::Visitor<'de>>(
            self,
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            match self {
                Self::Text(text) => visitor.visit_borrowed_str(text),
                Self::Number(number) => visitor.visit_u64(number),
                Self::Null => visitor.visit_unit(),
                Self::List(list) => {
                    visitor.visit_seq(serde::de::value::SeqDeserializer::new(list.into_iter()))
                }
                Self::Map(map) => visitor.visit_map(MapDeserializer::new(map.into_iter())),
            }
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
        }
    }

    use serde::Deserialize as _;
    let yaml = Node::Map(vec![
        ("seed", Node::Number(7)),
        ("stack", Node::Null),
        (
            "rate_limit",
            Node::Map(vec![
                ("quotas", Node::List(vec![Node::Text("5/minute")])),
                ("wait", Node::Null),
                ("keys", Node::Number(10)),
            ]),
        ),
    ]);
    let toml = "seed = 7\n[rate_limit]\nquotas = ['5/minute']\nkeys = 10";
    assert_eq!(
        StackConfig::deserialize(yaml).unwrap(),
        StackConfig::from_toml(toml).unwrap()
    );
}

#[test]
fn an_unquoted_time_is_one_in_every_way_that_toml_is_read() {
    let text = "start = 2026-03-01T00:00:00Z";
    let config = StackConfig::from_toml(text).unwrap();
    assert!(config.start.is_some());
    assert_eq!(toml::from_str::<StackConfig>(text).unwrap(), config);
    let json = serde_json::from_str::<StackConfig>(r#"{"start": "2026-03-01T00:00:00Z"}"#);
    assert_eq!(json.unwrap(), config);
}

#[test]
fn errors_of_another_format_name_field_value_and_fix_but_no_line() {
    let cases = [
        (
            r#"{"rate_limit": {"quota": ["5/minute"]}}"#,
            "did you mean `quotas`?",
        ),
        (r#"{"rate_limits": {}}"#, "did you mean `rate_limit`?"),
        (
            r#"{"rate_limit": {"quotas": ["5/fortnight"]}}"#,
            "field `rate_limit.quotas[0]`",
        ),
        (
            r#"{"seed": -1}"#,
            "field `seed`: found `-1`: expected a whole number",
        ),
        (
            r#"{"retry": {"deadline": 5}}"#,
            "field `retry.deadline`: found `5`",
        ),
        (
            r#"{"retry": {"attempts": 2.0}}"#,
            "field `retry.attempts`: found `2.0`",
        ),
        (
            r#"{"retry": {"methods": ["GET", null]}}"#,
            "field `retry.methods[1]`",
        ),
        (r#"{"seed": 1, "seed": 1}"#, "a key stands twice"),
        ("[]", "expected a table"),
        ("7", "expected a table"),
    ];
    for (json, expected) in cases {
        let error = serde_json::from_str::<StackConfig>(json)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{json}: {error}");
        assert!(!error.starts_with("line"), "{error}");
    }
}

#[test]
fn a_disabled_table_may_be_left_out_of_the_order_and_keeps_its_place_in_it() {
    let text = "stack = ['rate_limit', 'retry']\n[retry]\nenabled = false\n[rate_limit]\nquotas = ['1/s']\n[priority_queue]\nconcurrency = 1\nenabled = false";
    let config = StackConfig::from_toml(text).unwrap();
    assert_eq!(config.stack, [LayerName::RateLimit, LayerName::Retry]);
    assert!(!config.is_enabled(LayerName::Retry));
    assert!(!config.is_enabled(LayerName::TokenBudget));
}
