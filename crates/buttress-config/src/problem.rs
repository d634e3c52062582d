//! What is wrong with a configuration, and where.

use std::fmt;

/// How much of an offending text an error repeats, in characters.
const SHOWN: usize = 60;

/// Where on its line a problem is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The path of a field, such as `service[1].latency`.
    Field(String),
    /// A column in bytes, from 1: the text broke off before a field could be named.
    Column(usize),
    /// The name of an environment variable.
    Variable(String),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, counted from 1; 0 where there are no lines: in JSON or YAML that another crate has read, and
    /// in environment variables.
    pub line: usize,
    /// Where on the line.
    pub place: Place,
    /// What stands there.
    pub found: String,
    /// What should stand there, as a clause that says "expected".
    pub reason: String,
}

impl Problem {
    /// A problem with the field at `path`. `found` is written as it is: see [`quoted`].
    pub fn field(
        line: usize,
        path: impl Into<String>,
        found: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            line,
            place: Place::Field(path.into()),
            found: found.into(),
            reason: reason.into(),
        }
    }

    /// A problem with an environment variable.
    pub fn variable(
        name: impl Into<String>,
        found: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            line: 0,
            place: Place::Variable(name.into()),
            found: found.into(),
            reason: reason.into(),
        }
    }

    /// A problem at a column, counted from 1.
    pub fn column(
        line: usize,
        column: usize,
        found: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            line,
            place: Place::Column(column),
            found: found.into(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(formatter, "line {}, ", self.line)?;
        }
        match &self.place {
            Place::Variable(name) => write!(formatter, "environment variable `{name}`")?,
            Place::Field(path) => write!(formatter, "field `{path}`")?,
            Place::Column(column) => write!(formatter, "column {column}")?,
        }
        write!(formatter, ": found {}: {}", self.found, self.reason)
    }
}

impl std::error::Error for Problem {}

/// All that is wrong with a configuration, at least one thing, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    /// One after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One problem a line.
impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            problem.fmt(formatter)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A piece of the input as an error shows it: in backticks, shortened, its control characters escaped.
pub fn quoted(text: &str) -> String {
    let mut shown = String::from("`");
    for character in text.chars().take(SHOWN) {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown.push('`');
    if text.chars().nth(SHOWN).is_some() {
        shown.push_str(" and more");
    }
    shown
}

/// A clause that offers the known names: the nearest one first where one is near.
pub fn expected_one_of(found: &str, known: &[&str]) -> String {
    let list = known
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    match nearest(found, known) {
        Some(name) => format!("did you mean `{name}`? expected one of {list}"),
        None if known.is_empty() => String::from("expected no field here"),
        None => format!("expected one of {list}"),
    }
}

/// The known name with the fewest edits to `found`, if those are few enough to be a slip.
fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    // A long name is no slip of a short one, and comparing it would cost the product of their lengths.
    if found.len() > SHOWN {
        return None;
    }
    let plain = found.to_lowercase().replace('-', "_");
    let scored = known.iter().map(|name| (edits(&plain, name), *name));
    let (distance, name) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1.max(name.len() / 3)).then_some(name)
}

/// The edit distance of two names: insertions, deletions and substitutions (Wagner and Fischer, 1974).
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, to) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}
