//! The trace: what is asked, when, and what the upstream would answer.
//!
//! The whole trace is read and checked before anything is decided, so a bad line at its end costs no
//! half-written output.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::io::{self, BufRead};

use crate::error::{Problem, quoted};
use crate::line::{self, Line};

/// A time or a span of time in whole milliseconds, the resolution of the virtual clock.
pub type Milliseconds = u64;

/// A request's name in the output. `1` and `"1"` differ.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Id {
    /// An integer of any size, as its digits.
    Integer(Box<str>),
    /// A string.
    Text(Box<str>),
}

/// How urgent a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Priority {
    /// `critical`
    Critical,
    /// `high`
    High,
    /// `medium`, the default
    Medium,
    /// `low`
    Low,
}

/// The tokens of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens {
    /// What the caller reserves.
    pub estimate: u64,
    /// What the upstream says was used; `None` if it never says.
    pub used: Option<u64>,
}

/// Why there is no response at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportError {
    /// `connect`: the upstream was never reached.
    Connect,
    /// `reset`: the connection broke after the request was sent.
    Reset,
}

/// What the upstream does on one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// From the attempt to the response head or the transport error.
    pub latency: Milliseconds,
    /// The response's status, 100 to 599; without meaning when there is an `error`.
    pub status: u16,
    /// The `retry_after` that the upstream sends along.
    pub retry_after: Option<Milliseconds>,
    /// From the head to the end of the body.
    pub body: Milliseconds,
    /// A transport error in place of a response.
    pub error: Option<TransportError>,
    /// Whether the body breaks off at its end.
    pub body_error: bool,
}

impl Default for Attempt {
    fn default() -> Self {
        Self {
            latency: 0,
            status: 200,
            retry_after: None,
            body: 0,
            error: None,
            body_error: false,
        }
    }
}

/// One line of the trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The request's name in the output, unique in the trace.
    pub id: Id,
    /// When it arrives.
    pub at: Milliseconds,
    /// What limits are kept by.
    pub key: String,
    /// Its cost to a rate limit, at most 2^63-1.
    pub cost: u64,
    /// Its tokens, if it has any to reserve.
    pub tokens: Option<Tokens>,
    /// How urgent it is.
    pub priority: Priority,
    /// Whom fairness counts it for.
    pub tenant: String,
    /// How long after `at` the answer is worthless.
    pub deadline: Option<Milliseconds>,
    /// How long after `at` the caller goes away.
    pub cancel: Option<Milliseconds>,
    /// The method, for idempotency.
    pub method: String,
    /// What the upstream does on each attempt; the last one repeats. Never empty.
    pub service: Vec<Attempt>,
}

/// Why a trace could not be read.
#[derive(Debug)]
pub enum TraceError {
    /// A line is wrong.
    Bad(Problem),
    /// Reading failed.
    Unreadable {
        /// The line that could not be read, counted from 1.
        line: usize,
        /// What the system says.
        source: io::Error,
    },
}

impl fmt::Display for TraceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad(problem) => problem.fmt(formatter),
            Self::Unreadable { line, source } => {
                write!(formatter, "line {line}: cannot be read: {source}")
            }
        }
    }
}

impl std::error::Error for TraceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bad(_) => None,
            Self::Unreadable { source, .. } => Some(source),
        }
    }
}

/// Reads and checks a whole trace.
///
/// # Errors
///
/// The first line that is not UTF-8, not one JSON object, or breaks a rule of the format; or what the
/// reader says.
pub fn read_trace(mut input: impl BufRead) -> Result<Vec<Request>, TraceError> {
    let mut trace = Trace::default();
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        match input.read_until(b'\n', &mut bytes) {
            Ok(0) => break,
            Ok(_) => trace.push(line, &bytes).map_err(TraceError::Bad)?,
            Err(source) => return Err(TraceError::Unreadable { line, source }),
        }
    }
    Ok(trace.requests)
}

/// The requests so far, and what the next line is checked against.
#[derive(Default)]
struct Trace {
    requests: Vec<Request>,
    lines: HashMap<Id, usize>,
    latest: Option<(usize, Milliseconds)>,
}

impl Trace {
    fn push(&mut self, line: usize, bytes: &[u8]) -> Result<(), Problem> {
        let text = std::str::from_utf8(bytes).map_err(|error| not_unicode(line, bytes, &error))?;
        let text = text.trim_end_matches([' ', '\t', '\r', '\n']);
        if text.is_empty() {
            return Ok(());
        }
        let Line {
            id,
            at_text,
            mut request,
        } = line::parse(line, text)?;
        if let Some((earlier, at)) = self.latest.filter(|(_, at)| request.at < *at) {
            let at = crate::seconds::InSeconds::from_milliseconds(at);
            let reason = format!(
                "expected at least {at}, the `at` of line {earlier}: a trace is in order of `at`"
            );
            return Err(Problem::field(line, "at", quoted(at_text), reason));
        }
        self.latest = Some((line, request.at));
        request.id = self.name(line, id)?;
        self.requests.push(request);
        Ok(())
    }

    fn name(&mut self, line: usize, given: Option<Id>) -> Result<Id, Problem> {
        let default = given.is_none();
        let id = given.unwrap_or_else(|| Id::Integer((line - 1).to_string().into()));
        match self.lines.entry(id) {
            Entry::Vacant(entry) => {
                let id = entry.key().clone();
                entry.insert(line);
                Ok(id)
            }
            Entry::Occupied(entry) => {
                let id = quoted(&entry.key().to_string());
                let found = if default {
                    format!("the default, {id},")
                } else {
                    id
                };
                let reason = format!(
                    "expected an id that no earlier line has, and line {} has it",
                    entry.get()
                );
                Err(Problem::field(line, "id", found, reason))
            }
        }
    }
}

impl fmt::Display for Id {
    /// The id as JSON.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(digits) => formatter.write_str(digits),
            Self::Text(text) => formatter.write_str(&crate::decision::json_string(text)),
        }
    }
}

fn not_unicode(line: usize, bytes: &[u8], error: &std::str::Utf8Error) -> Problem {
    let position = error.valid_up_to();
    let found = match bytes.get(position) {
        Some(byte) => format!("the byte 0x{byte:02x}"),
        None => String::from("the end of the line"),
    };
    Problem::column(
        line,
        position + 1,
        found,
        "expected text that is Unicode, written in UTF-8",
    )
}
