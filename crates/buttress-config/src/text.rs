//! The text of a configuration: that of its file, and after it the values of environment variables, so that
//! every value has a place in one text, and an error can say where it came from.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Problem, quoted};

/// What a configuration is read from.
#[derive(Debug)]
pub(crate) struct Text {
    /// The file, and then the variables.
    pub(crate) whole: String,
    file: usize,
    has_lines: bool,
    variables: Vec<Variable>,
}

/// An environment variable that overrides a value.
#[derive(Debug)]
pub(crate) struct Variable {
    /// As errors may write it: the key of an override is left out, as it can be a secret.
    pub(crate) name: String,
    /// Where the value belongs.
    path: Vec<String>,
    /// What the variable says; none if that can be a secret.
    said: Option<String>,
    place: Range<usize>,
    /// A document of TOML in which the value stands at its place.
    document: String,
}

/// A variable before it has a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) name: String,
    pub(crate) path: Vec<String>,
    pub(crate) said: Option<String>,
    /// The value in TOML.
    pub(crate) value: String,
}

impl Text {
    /// A file of TOML, and variables.
    pub(crate) fn toml(file: &[u8], variables: Vec<Said>) -> Result<Self, Problem> {
        let text = std::str::from_utf8(file).map_err(|error| not_unicode(file, &error))?;
        Ok(Self::new(text.to_owned(), true, variables))
    }

    /// What was read by another crate, written as TOML, and variables.
    pub(crate) fn rendered(document: String, variables: Vec<Said>) -> Self {
        Self::new(document, false, variables)
    }

    fn new(mut whole: String, has_lines: bool, said: Vec<Said>) -> Self {
        let file = whole.len();
        let mut variables = Vec::with_capacity(said.len());
        for said in said {
            whole.push_str("\nv=");
            let start = whole.len();
            whole.push_str(&said.value);
            // The value stands at the same place in both texts, so that its spans are those of the whole.
            let mut document = " ".repeat(start - 2);
            document.push_str("v=");
            document.push_str(&said.value);
            variables.push(Variable {
                name: said.name,
                path: said.path,
                said: said.said,
                place: start..whole.len(),
                document,
            });
        }
        Self {
            whole,
            file,
            has_lines,
            variables,
        }
    }

    pub(crate) fn file(&self) -> &str {
        self.whole.get(..self.file).unwrap_or_default()
    }

    pub(crate) fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// The variable whose value stands at an offset.
    pub(crate) fn variable_at(&self, offset: usize) -> Option<&Variable> {
        let mut variables = self.variables.iter();
        variables.find(|variable| variable.place.contains(&offset))
    }

    /// The line of an offset, from 1; 0 if it is in no line of a file.
    pub(crate) fn line(&self, offset: usize) -> usize {
        if !self.has_lines || self.variable_at(offset).is_some() {
            return 0;
        }
        let before = self.whole.as_bytes().iter().take(offset);
        before.filter(|byte| **byte == b'\n').count() + 1
    }
}

impl Variable {
    /// What the variable says, as an error shows it.
    pub(crate) fn shown(&self) -> String {
        match &self.said {
            Some(said) => quoted(said),
            None => String::from("a value that is not shown, as it can hold a secret"),
        }
    }

    /// Puts the value where it belongs, in place of what is there.
    pub(crate) fn put_into<'t>(&'t self, root: &mut DeTable<'t>) {
        // What stands in this document was read before.
        let Ok(document) = DeTable::parse(&self.document) else {
            return;
        };
        let Some(value) = document.into_inner().remove("v") else {
            return;
        };
        put(root, &self.path, value, &self.place);
    }
}

fn put<'t>(
    table: &mut DeTable<'t>,
    path: &'t [String],
    value: Spanned<DeValue<'t>>,
    place: &Range<usize>,
) {
    let Some((key, rest)) = path.split_first() else {
        return;
    };
    let spanned = || Spanned::new(place.clone(), key.as_str().into());
    if rest.is_empty() {
        table.remove(key.as_str());
        table.insert(spanned(), value);
        return;
    }
    let held = table.get(key.as_str());
    if !held.is_some_and(|held| held.get_ref().is_table()) {
        table.remove(key.as_str());
        let empty = DeValue::Table(DeTable::new());
        table.insert(spanned(), Spanned::new(place.clone(), empty));
    }
    if let Some(DeValue::Table(inner)) = table.get_mut(key.as_str()).map(Spanned::get_mut) {
        put(inner, rest, value, place);
    }
}

/// A text in quotes, as JSON writes it.
pub(crate) fn json_string(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 2);
    written.push('"');
    for character in text.chars() {
        match character {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            '\u{8}' => written.push_str("\\b"),
            '\u{c}' => written.push_str("\\f"),
            '\0'..='\u{1f}' => written.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => written.push(character),
        }
    }
    written.push('"');
    written
}

/// A text in quotes, as TOML writes it: as JSON does, but for one character more that must be escaped.
pub(crate) fn toml_string(text: &str) -> String {
    json_string(text).replace('\u{7f}', "\\u007f")
}

fn not_unicode(bytes: &[u8], error: &std::str::Utf8Error) -> Problem {
    let position = error.valid_up_to();
    let before = bytes.get(..position).unwrap_or_default();
    let start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let found = format!(
        "the byte 0x{:02x}",
        bytes.get(position).copied().unwrap_or_default()
    );
    Problem::column(
        line,
        position - start + 1,
        found,
        "expected text that is Unicode, written in UTF-8",
    )
}
