//! What became of a request, and the line that says so.

use std::fmt;
use std::io::{self, Write};

use crate::seconds::InSeconds;
use crate::trace::{Id, Milliseconds};

/// Why the last answer was not the upstream's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A rate limit refused.
    RateLimit,
    /// A token budget refused.
    TokenBudget,
    /// A circuit breaker was open.
    CircuitOpen,
    /// The queue had no room.
    QueueFull,
    /// The queue's longest wait ran out.
    QueueTimeout,
    /// The answer would come too late.
    Deadline,
    /// An attempt took too long, and none was left.
    AttemptTimeout,
    /// The caller left before the head.
    Cancelled,
}

impl Reason {
    /// The name in the output.
    pub fn name(self) -> &'static str {
        match self {
            Self::RateLimit => "rate_limit",
            Self::TokenBudget => "token_budget",
            Self::CircuitOpen => "circuit_open",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::Deadline => "deadline",
            Self::AttemptTimeout => "attempt_timeout",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether such a refusal tells when to come back.
    pub fn tells_when(self) -> bool {
        matches!(
            self,
            Self::RateLimit | Self::TokenBudget | Self::CircuitOpen
        )
    }

    /// The status that the caller sees; `None` when there is no caller left to see one.
    pub fn status(self) -> Option<u16> {
        match self {
            Self::RateLimit | Self::TokenBudget => Some(429),
            Self::CircuitOpen | Self::QueueFull | Self::QueueTimeout => Some(503),
            Self::Deadline | Self::AttemptTimeout => Some(504),
            Self::Cancelled => None,
        }
    }
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The request's name.
    pub id: Id,
    /// The request's key.
    pub key: String,
    /// Whether any attempt reached the upstream.
    pub admitted: bool,
    /// Why the last answer was not the upstream's; `None` when it was.
    pub reason: Option<Reason>,
    /// When attempts reached the upstream.
    pub attempts: Vec<Milliseconds>,
    /// When the caller had the head, or was refused, or left.
    pub ended: Milliseconds,
    /// What the caller saw; `None` for a transport error or a caller who left.
    pub status: Option<u16>,
    /// When to come back, in nanoseconds from `ended`; `None` if unknown or never.
    pub retry_after: Option<u128>,
    /// The whole units left in the rate limit's scarcest quota.
    pub remaining: Option<u64>,
    /// That quota's capacity.
    pub limit: Option<u64>,
    /// Whether it would have been refused; `None` unless the limit is in shadow.
    pub shadow: Option<bool>,
}

impl Decision {
    /// Writes the decision as one line of JSON, every field in the order of the format.
    ///
    /// # Errors
    ///
    /// What the writer says.
    pub fn write_line(&self, output: &mut impl Write) -> io::Result<()> {
        write!(
            output,
            "{{\"id\":{},\"key\":{}",
            self.id,
            json_string(&self.key)
        )?;
        write!(output, ",\"admitted\":{},\"reason\":", self.admitted)?;
        match self.reason {
            Some(reason) => write!(output, "\"{}\"", reason.name())?,
            None => output.write_all(b"null")?,
        }
        output.write_all(b",\"attempts\":[")?;
        for (index, at) in self.attempts.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(output, "{comma}{}", InSeconds::from_milliseconds(*at))?;
        }
        write!(
            output,
            "],\"ended\":{}",
            InSeconds::from_milliseconds(self.ended)
        )?;
        write!(output, ",\"status\":{}", OrNull(self.status))?;
        write!(
            output,
            ",\"retry_after\":{}",
            OrNull(self.retry_after.map(InSeconds::from_nanoseconds))
        )?;
        write!(
            output,
            ",\"remaining\":{},\"limit\":{}",
            OrNull(self.remaining),
            OrNull(self.limit)
        )?;
        if let Some(shadow) = self.shadow {
            write!(output, ",\"shadow\":{shadow}")?;
        }
        output.write_all(b"}\n")
    }
}

struct OrNull<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for OrNull<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(formatter),
            None => formatter.write_str("null"),
        }
    }
}

/// A string as JSON writes it.
pub(crate) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
