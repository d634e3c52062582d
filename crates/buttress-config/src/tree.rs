//! What a format of any kind says, before it is known what it means.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::text::toml_string;

/// As what the `toml` crate hands a date to those who do not know it.
const TOML_DATE: &str = "$__toml_private_datetime";

/// A value of any self-describing format.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    /// As if the field were missing.
    Nothing,
    Flag(bool),
    Whole(i128),
    Decimal(f64),
    Text(String),
    List(Vec<Self>),
    Table(BTreeMap<String, Self>),
}

impl Tree {
    /// The same as a document of TOML; nothing if it is no table.
    pub(crate) fn into_toml(self) -> Option<String> {
        let Self::Table(table) = self else {
            return None;
        };
        let mut document = String::new();
        for (key, value) in table {
            if value != Self::Nothing {
                document.push_str(&toml_string(&key));
                document.push_str(" = ");
                value.write(&mut document);
                document.push('\n');
            }
        }
        Some(document)
    }

    // How deep this goes is bounded by the reader of the format.
    fn write(&self, document: &mut String) {
        // Writing to a string cannot fail.
        let _ = match self {
            // A gap in a list is no text, no number and no table, so it is wrong wherever it stands.
            Self::Nothing => write!(document, "[[]]"),
            Self::Flag(flag) => write!(document, "{flag}"),
            Self::Whole(number) => write!(document, "{number}"),
            Self::Decimal(number) if number.is_nan() => write!(document, "nan"),
            Self::Decimal(number) => write!(document, "{number:?}"),
            Self::Text(text) => write!(document, "{}", toml_string(text)),
            Self::List(elements) => {
                document.push('[');
                for element in elements {
                    element.write(document);
                    document.push(',');
                }
                write!(document, "]")
            }
            Self::Table(table) => {
                let mut comma = "";
                document.push('{');
                for (key, value) in table {
                    if *value != Self::Nothing {
                        let _ = write!(document, "{comma}{}=", toml_string(key));
                        value.write(document);
                        comma = ",";
                    }
                }
                write!(document, "}}")
            }
        };
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table, a list, a text, a number, or true or false")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Nothing)
    }

    fn visit_none<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Tree, E> {
        Ok(Tree::Flag(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Whole(number.into()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Whole(number.into()))
    }

    fn visit_i128<E: de::Error>(self, number: i128) -> Result<Tree, E> {
        Ok(Tree::Whole(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Decimal(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(Tree::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut table = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, Tree>()? {
            if table.contains_key(&key) {
                // It is not named: a key of `overrides` can be a secret.
                return Err(de::Error::custom("a key stands twice; expected it once"));
            }
            table.insert(key, value);
        }
        match table.remove(TOML_DATE) {
            Some(date) => Ok(date),
            None => Ok(Tree::Table(table)),
        }
    }
}
