//! One line of the trace: a JSON object whose every field is known, of the right type and in range.
//!
//! Values are kept as their text until their field is known, so that numbers are read as decimals and an
//! error can show what was written.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{Problem, expected_one_of, quoted};
use crate::seconds::parse_seconds;
use crate::trace::{Attempt, Id, Milliseconds, Priority, Request, Tokens, TransportError};

/// The largest cost, and the largest number of tokens.
const LARGEST_COUNT: u64 = i64::MAX.unsigned_abs();

const REQUEST: &[&str] = &[
    "at", "id", "key", "cost", "tokens", "priority", "tenant", "deadline", "cancel", "method",
    "service",
];
const TOKENS: &[&str] = &["estimate", "used"];
const ATTEMPT: &[&str] = &[
    "latency",
    "status",
    "retry_after",
    "body",
    "error",
    "body_error",
];

/// A line that is right in itself; whether it fits behind those before it is not known here.
pub(crate) struct Line<'a> {
    /// The id, if the line gives one.
    pub(crate) id: Option<Id>,
    /// `at` as it was written.
    pub(crate) at_text: &'a str,
    /// The request, whose `id` is not yet the final one.
    pub(crate) request: Request,
}

/// Reads one line that is not blank.
pub(crate) fn parse(line: usize, text: &str) -> Result<Line<'_>, Problem> {
    let object = Object::read(line, "", text, REQUEST)?;
    let at = object.required("at", "expected the seconds at which the request arrives")?;
    let request = Request {
        id: Id::Integer("0".into()),
        at: at.seconds()?,
        key: object.string("key")?.unwrap_or_default(),
        cost: object.count("cost")?.unwrap_or(1),
        tokens: object
            .get("tokens")
            .map(|value| tokens(&value))
            .transpose()?,
        priority: object
            .one_of("priority", PRIORITIES)?
            .unwrap_or(Priority::Medium),
        tenant: object.string("tenant")?.unwrap_or_default(),
        deadline: object.seconds("deadline")?,
        cancel: object.seconds("cancel")?,
        method: object
            .string("method")?
            .unwrap_or_else(|| String::from("GET")),
        service: match object.get("service") {
            Some(value) => service(&value)?,
            None => vec![Attempt::default()],
        },
    };
    let id = object.get("id").map(|value| value.id()).transpose()?;
    Ok(Line {
        id,
        at_text: at.text,
        request,
    })
}

const PRIORITIES: &[(&str, Priority)] = &[
    ("critical", Priority::Critical),
    ("high", Priority::High),
    ("medium", Priority::Medium),
    ("low", Priority::Low),
];

const ERRORS: &[(&str, TransportError)] = &[
    ("connect", TransportError::Connect),
    ("reset", TransportError::Reset),
];

fn tokens(value: &Value<'_>) -> Result<Tokens, Problem> {
    let path = value.path();
    let object = Object::read(value.line, &path, value.text, TOKENS)?;
    let estimate = object.required("estimate", "expected the tokens to reserve")?;
    Ok(Tokens {
        estimate: estimate.count()?,
        used: object.count("used")?,
    })
}

fn service(value: &Value<'_>) -> Result<Vec<Attempt>, Problem> {
    let elements: Vec<&RawValue> = match value.text.starts_with('[') {
        true => serde_json::from_str(value.text).map_err(|_| value.wrong("expected a list"))?,
        false => return Err(value.wrong("expected a list with an object for each attempt")),
    };
    if elements.is_empty() {
        return Err(
            value.wrong("expected at least one attempt: leave `service` out for an immediate 200")
        );
    }
    let path = value.path();
    let attempts = elements.iter().enumerate();
    attempts
        .map(|(index, element)| attempt(value.line, &path, index, element.get()))
        .collect()
}

fn attempt(line: usize, path: &str, index: usize, text: &str) -> Result<Attempt, Problem> {
    let path = format!("{path}[{index}]");
    let object = Object::read(line, &path, text, ATTEMPT)?;
    let default = Attempt::default();
    Ok(Attempt {
        latency: object.seconds("latency")?.unwrap_or(default.latency),
        status: object
            .get("status")
            .map(|value| value.status())
            .transpose()?
            .unwrap_or(default.status),
        retry_after: object.seconds("retry_after")?,
        body: object.seconds("body")?.unwrap_or(default.body),
        error: object.one_of("error", ERRORS)?,
        body_error: object
            .get("body_error")
            .map(|value| value.boolean())
            .transpose()?
            .unwrap_or(default.body_error),
    })
}

/// A JSON object with known fields only, each at most once.
struct Object<'a> {
    line: usize,
    path: &'a str,
    fields: Vec<(String, &'a RawValue)>,
}

impl<'a> Object<'a> {
    fn read(line: usize, path: &'a str, text: &'a str, known: &[&str]) -> Result<Self, Problem> {
        let mut key = None;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let read = deserializer.deserialize_map(Fields { key: &mut key });
        let fields = read
            .and_then(|fields| deserializer.end().map(|()| fields))
            .map_err(|error| broken(line, path, text, key.as_deref(), &error))?;
        let object = Self { line, path, fields };
        for (index, (name, value)) in object.fields.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let reason = expected_one_of(name, known);
                return Err(Problem::field(
                    line,
                    object.path_of(name),
                    "an unknown field",
                    reason,
                ));
            }
            if object.fields[..index]
                .iter()
                .any(|(earlier, _)| earlier == name)
            {
                let found = format!("{} after an earlier value", quoted(value.get()));
                return Err(Problem::field(
                    line,
                    object.path_of(name),
                    found,
                    "expected the field once",
                ));
            }
        }
        Ok(object)
    }

    fn path_of(&self, name: &str) -> String {
        join(self.path, name)
    }

    /// The field's value; a null is a field that is not there.
    fn get(&self, name: &'static str) -> Option<Value<'a>> {
        let (_, raw) = self.fields.iter().find(|(field, _)| field == name)?;
        let text = raw.get();
        (text != "null").then_some(Value {
            line: self.line,
            parent: self.path,
            name,
            text,
        })
    }

    fn required(&self, name: &'static str, reason: &str) -> Result<Value<'a>, Problem> {
        self.get(name).ok_or_else(|| {
            let null = self.fields.iter().any(|(field, _)| field == name);
            let found = if null { "`null`" } else { "nothing" };
            Problem::field(self.line, self.path_of(name), found, reason)
        })
    }

    fn string(&self, name: &'static str) -> Result<Option<String>, Problem> {
        self.get(name).map(|value| value.string()).transpose()
    }

    fn seconds(&self, name: &'static str) -> Result<Option<Milliseconds>, Problem> {
        self.get(name).map(|value| value.seconds()).transpose()
    }

    fn count(&self, name: &'static str) -> Result<Option<u64>, Problem> {
        self.get(name).map(|value| value.count()).transpose()
    }

    fn one_of<T: Copy>(
        &self,
        name: &'static str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let word = value.string()?;
        match words.iter().find(|(known, _)| *known == word) {
            Some((_, meaning)) => Ok(Some(*meaning)),
            None => {
                let known: Vec<&str> = words.iter().map(|(known, _)| *known).collect();
                Err(value.wrong(&expected_one_of(&word, &known)))
            }
        }
    }
}

/// A value that is still text.
struct Value<'a> {
    line: usize,
    parent: &'a str,
    name: &'static str,
    text: &'a str,
}

impl<'a> Value<'a> {
    fn path(&self) -> String {
        join(self.parent, self.name)
    }

    fn wrong(&self, reason: &str) -> Problem {
        Problem::field(self.line, self.path(), quoted(self.text), reason)
    }

    fn seconds(&self) -> Result<Milliseconds, Problem> {
        parse_seconds(self.text).map_err(|error| self.wrong(&error.to_string()))
    }

    fn string(&self) -> Result<String, Problem> {
        if !self.text.starts_with('"') {
            return Err(self.wrong("expected a string"));
        }
        serde_json::from_str(self.text).map_err(|_| {
            self.wrong("expected text that is Unicode: half of a surrogate pair is none")
        })
    }

    fn boolean(&self) -> Result<bool, Problem> {
        match self.text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.wrong("expected true or false")),
        }
    }

    /// The digits of a whole number. A sign is only good before a zero.
    fn integer(&self, wanted: &str) -> Result<&str, Problem> {
        match self.text {
            "-0" => Ok("0"),
            text if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(text),
            text if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
                Err(self.wrong(&format!(
                    "expected {wanted}, at least 0 and written `5`, not `5.0`"
                )))
            }
            _ => Err(self.wrong(&format!("expected {wanted}"))),
        }
    }

    fn count(&self) -> Result<u64, Problem> {
        let digits = self.integer("a whole number")?;
        let count = digits.parse().ok().filter(|count| *count <= LARGEST_COUNT);
        count.ok_or_else(|| self.wrong(&format!("expected at most {LARGEST_COUNT}")))
    }

    fn status(&self) -> Result<u16, Problem> {
        let digits = self.integer("a status, a whole number")?;
        let status = digits
            .parse()
            .ok()
            .filter(|status| (100..=599).contains(status));
        status.ok_or_else(|| self.wrong("expected a status from 100 to 599"))
    }

    fn id(&self) -> Result<Id, Problem> {
        if self.text.starts_with('"') {
            return Ok(Id::Text(self.string()?.into()));
        }
        Ok(Id::Integer(
            self.integer("a string or a whole number")?.into(),
        ))
    }
}

/// Collects an object's fields and remembers which one it is at, for the error.
struct Fields<'k> {
    key: &'k mut Option<String>,
}

impl<'a> Visitor<'a> for Fields<'_> {
    type Value = Vec<(String, &'a RawValue)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            *self.key = Some(name.clone());
            let value = map.next_value()?;
            *self.key = None;
            fields.push((name, value));
        }
        Ok(fields)
    }
}

/// A text that is no object.
fn broken(
    line: usize,
    path: &str,
    text: &str,
    key: Option<&str>,
    error: &serde_json::Error,
) -> Problem {
    if !text.starts_with('{') && !path.is_empty() {
        return Problem::field(line, path, quoted(text), "expected an object");
    }
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let place = if path.is_empty() {
        format!(" at column {}", error.column())
    } else {
        String::new()
    };
    let reason = format!("expected one JSON object a line, but{place}: {message}");
    match key {
        Some(name) => Problem::field(line, join(path, name), quoted(text), reason),
        None if path.is_empty() => Problem::column(line, error.column(), quoted(text), reason),
        None => Problem::field(line, path, quoted(text), reason),
    }
}

fn join(path: &str, name: &str) -> String {
    // Only as much of a hostile name as an error should repeat.
    let mut shown: String = name.chars().take(60).flat_map(char::escape_debug).collect();
    if !path.is_empty() {
        shown.insert(0, '.');
        shown.insert_str(0, path);
    }
    shown
}
