//! A TOML document that remembers where everything stands, so that an error of a layer's own configuration
//! type can name a line and a field.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error, ValueDeserializer};

use crate::problem::{Problem, expected_one_of, quoted};
use crate::text::{Text, json_string};

/// How many problems of one table are reported. Each costs another reading of the table.
const REPORTED: usize = 20;

/// A parsed configuration: a file, and what environment variables put into it.
pub(crate) struct Document<'t> {
    text: &'t Text,
    root: DeTable<'t>,
}

/// A step from a table or a list to what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// Something that has a place in the document.
struct Entry {
    path: Vec<Step>,
    span: Range<usize>,
}

impl<'t> Document<'t> {
    /// Reads the file as TOML, whatever it says, and then the variables.
    pub(crate) fn parse(text: &'t Text) -> Result<Self, Problem> {
        let (root, errors) = DeTable::parse_recoverable(text.file());
        let mut document = Self {
            text,
            root: root.into_inner(),
        };
        // Later errors are often only echoes of the first.
        if let Some(error) = errors.first() {
            return Err(document.syntax(error));
        }
        for variable in text.variables() {
            variable.put_into(&mut document.root);
        }
        Ok(document)
    }

    /// The keys and values of the top level.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Spanned<DeValue<'t>>)> {
        self.root
            .iter()
            .map(|(key, value)| (key.get_ref().as_ref(), value))
    }

    /// The value of a key of the top level.
    pub(crate) fn get(&self, key: &str) -> Option<&Spanned<DeValue<'t>>> {
        self.root.get(key)
    }

    /// A problem with the value that the keys lead to.
    pub(crate) fn problem_at(&self, keys: &[&str], reason: &str) -> Problem {
        let steps: Vec<Step> = keys.iter().map(|key| Step::Key((*key).into())).collect();
        let entries = self.flatten();
        let entry = entries.iter().rfind(|entry| entry.path == steps);
        let span = entry.map_or(0..0, |entry| entry.span.clone());
        self.at(&span, written(&steps), self.found(&span), reason)
    }

    /// The line, from 1, on which the value that the keys lead to stands; the first line if there is none.
    pub(crate) fn line_of(&self, keys: &[&str]) -> usize {
        let keys: Vec<Step> = keys
            .iter()
            .map(|key| Step::Key((*key).to_owned()))
            .collect();
        let entries = self.flatten();
        entries
            .iter()
            .rfind(|entry| entry.path == keys)
            .map_or(1, |entry| self.line(entry.span.start))
    }

    /// A problem with what stands at a place: in a line of the file, or in a variable.
    fn at(
        &self,
        span: &Range<usize>,
        path: impl Into<String>,
        found: impl Into<String>,
        reason: impl Into<String>,
    ) -> Problem {
        match self.text.variable_at(span.start) {
            Some(variable) => Problem::variable(&variable.name, found, reason),
            None => Problem::field(self.line(span.start), path, found, reason),
        }
    }

    /// What stands at a place, as an error shows it.
    fn found(&self, span: &Range<usize>) -> String {
        match self.text.variable_at(span.start) {
            Some(variable) => variable.shown(),
            None => quoted(self.text.whole.get(span.clone()).unwrap_or_default()),
        }
    }

    /// A problem with the value of a key of the top level, or with an element of it.
    pub(crate) fn problem(
        &self,
        path: &str,
        value: &Spanned<DeValue<'_>>,
        reason: impl Into<String>,
    ) -> Problem {
        self.at(&value.span(), path, self.found(&value.span()), reason)
    }

    /// A problem with a key of the top level that has no business there.
    pub(crate) fn unknown(&self, key: &str, reason: impl Into<String>) -> Problem {
        let span = self
            .root
            .get_key_value(key)
            .map_or(0..0, |(key, _)| key.span());
        self.at(&span, shown(key), "an unknown key", reason)
    }

    /// Reads a table of the top level as a layer's configuration, or says what is wrong with it.
    pub(crate) fn table<T: DeserializeOwned>(&self, name: &str) -> Result<T, Vec<Problem>> {
        let mut problems = Vec::new();
        let Some(value) = self.get(name) else {
            return Err(problems);
        };
        if !value.get_ref().is_table() {
            return Err(vec![self.problem(
                name,
                value,
                format!("expected a table, `[{name}]`"),
            )]);
        }
        let mut rest = value.clone();
        while problems.len() < REPORTED {
            let error = match T::deserialize(ValueDeserializer::from(rest.clone())) {
                Ok(config) if problems.is_empty() => return Ok(config),
                Ok(_) => break,
                Err(error) => error,
            };
            let entry = error
                .span()
                .and_then(|span| self.locate(&span))
                .unwrap_or_else(|| Entry {
                    path: vec![Step::Key(name.to_owned())],
                    span: value.span(),
                });
            // What is said of the table as a whole may only follow from what was taken out of it.
            let field = match entry.path.get(1) {
                Some(Step::Key(field)) => Some(field.clone()),
                _ if problems.is_empty() => None,
                _ => break,
            };
            problems.push(match self.told_of_field(name, &entry, error.message()) {
                Some(problem) => problem,
                None => self.explain(&entry, error.message()),
            });
            let DeValue::Table(table) = rest.get_mut() else {
                break;
            };
            if field
                .and_then(|field| table.remove(field.as_str()))
                .is_none()
            {
                break;
            }
        }
        Err(problems)
    }

    /// What a configuration says of one of its fields after it has read them all: its name, what is wrong
    /// with it, and after a semicolon the fix.
    fn told_of_field(&self, table: &str, entry: &Entry, message: &str) -> Option<Problem> {
        if entry.path.len() != 1 {
            return None;
        }
        let message = message.trim_start_matches('`');
        let end = message.find(|c: char| !c.is_ascii_lowercase() && c != '_')?;
        let (field, rest) = message.split_at(end);
        let rest = rest.trim_start_matches(['`', ':', ' ']);
        let (wrong, fix) = rest.split_once("; ")?;
        let keys = [table, field].map(|key| Step::Key(key.to_owned()));
        let entries = self.flatten();
        let Some(entry) = entries.iter().rfind(|entry| entry.path == keys) else {
            let reason = format!("expected a value, as `{field}` {wrong}; {fix}");
            let path = format!("{table}.{field}");
            return Some(self.at(&entry.span, path, "nothing", reason));
        };
        let reason = match fix.starts_with("expected ") {
            true => fix.to_owned(),
            false => format!("expected another value, as this {wrong}; {fix}"),
        };
        let found = self.found(&entry.span);
        Some(self.at(&entry.span, written(&entry.path), found, reason))
    }

    fn line(&self, offset: usize) -> usize {
        self.text.line(offset)
    }

    /// Every key and value with its path. A key comes before its value and has the same path.
    fn flatten(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        flatten_table(&self.root, &mut Vec::new(), &mut entries);
        entries
    }

    /// The smallest thing that encloses the span.
    fn locate(&self, span: &Range<usize>) -> Option<Entry> {
        let encloses = |entry: &Entry| entry.span.start <= span.start && span.end <= entry.span.end;
        let enclosing = self.flatten().into_iter().filter(encloses);
        // Of equals the deepest: a table made by a dotted key has the span of that key.
        enclosing.min_by_key(|entry| (entry.span.len(), usize::MAX - entry.path.len()))
    }

    /// Puts what the deserializer says into the words of a problem.
    fn explain(&self, entry: &Entry, message: &str) -> Problem {
        let path = written(&entry.path);
        if let Some(rest) = message.strip_prefix("unknown field `") {
            let (unknown, known) = rest.rsplit_once("`, expected ").unwrap_or((rest, ""));
            let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
            let reason = expected_one_of(unknown, &known);
            return self.at(&entry.span, path, "an unknown key", reason);
        }
        if let Some(field) = message.strip_prefix("missing field `") {
            let field = field.trim_end_matches('`');
            let path = format!("{path}.{field}");
            return self.at(&entry.span, path, "nothing", "expected a value");
        }
        let reason = match message.split_once(", expected ") {
            Some((start, expected)) if start.starts_with("invalid ") => plain(expected),
            Some((start, expected)) if start.starts_with("found ") => plain(expected),
            _ => message.to_owned(),
        };
        self.at(&entry.span, path, self.found(&entry.span), reason)
    }

    /// A problem of the TOML itself.
    fn syntax(&self, error: &Error) -> Problem {
        let span = error.span().unwrap_or(0..0);
        let lines_before = self.text.whole.get(..span.start).unwrap_or_default();
        let start = lines_before.rfind('\n').map_or(0, |newline| newline + 1);
        let line_text = self
            .text
            .file()
            .get(start..)
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default();
        let reason = format!("expected TOML, but: {}", error.message());
        let found = quoted(line_text.trim());
        let field = match self.locate(&span) {
            Some(entry) => written(&entry.path),
            None => self.guessed_field(start, line_text),
        };
        if field.is_empty() {
            return Problem::column(self.line(span.start), span.start - start + 1, found, reason);
        }
        Problem::field(self.line(span.start), field, found, reason)
    }

    /// The field that a line is about which did not make it into the document.
    fn guessed_field(&self, start: usize, line: &str) -> String {
        let key = line.split(['=', '#']).next().unwrap_or_default().trim();
        if key.starts_with('[') {
            return short(key.trim_matches(['[', ']']));
        }
        let tables = self
            .root
            .iter()
            .filter(|(name, value)| value.get_ref().is_table() && name.span().start < start);
        match tables.max_by_key(|(name, _)| name.span().start) {
            Some((table, _)) if !key.is_empty() => {
                format!("{}.{}", shown(table.get_ref()), short(key))
            }
            Some((table, _)) => shown(table.get_ref()),
            None => short(key),
        }
    }
}

fn flatten_table(table: &DeTable<'_>, path: &mut Vec<Step>, entries: &mut Vec<Entry>) {
    for (key, value) in table.iter() {
        path.push(Step::Key(key.get_ref().to_string()));
        entries.push(Entry {
            path: path.clone(),
            span: key.span(),
        });
        flatten_value(value, path, entries);
        path.pop();
    }
}

// The parser bounds how deep a document goes, and with it this recursion.
fn flatten_value(value: &Spanned<DeValue<'_>>, path: &mut Vec<Step>, entries: &mut Vec<Entry>) {
    entries.push(Entry {
        path: path.clone(),
        span: value.span(),
    });
    match value.get_ref() {
        DeValue::Table(table) => flatten_table(table, path, entries),
        DeValue::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                path.push(Step::Index(index));
                flatten_value(element, path, entries);
                path.pop();
            }
        }
        _ => {}
    }
}

/// The words of the deserializer in those of TOML.
fn plain(expected: &str) -> String {
    match expected {
        "a sequence" => String::from("expected a list"),
        "a map" => String::from("expected a table"),
        "a boolean" => String::from("expected true or false"),
        "u64" | "u32" | "u16" | "usize" => {
            String::from("expected a whole number of at least 0, not too large")
        }
        "f64" => String::from("expected a number"),
        other => format!("expected {other}"),
    }
}

fn written(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Index(index) => text.push_str(&format!("[{index}]")),
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&shown(key));
            }
        }
    }
    text
}

/// A key as TOML would write it, shortened.
fn shown(key: &str) -> String {
    let short = short(key);
    let bare = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    if !short.is_empty() && short.chars().all(bare) {
        short
    } else {
        json_string(&short)
    }
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}
