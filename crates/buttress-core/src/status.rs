//! What the handle of a layer tells of itself for a status page: plain values.

mod latency;
mod layer;
#[cfg(feature = "serde")]
mod seconds;

use std::fmt;
use std::sync::Arc;

use crate::time::Now;

pub use latency::Latency;
pub use layer::{
    BreakerReport, CircuitReport, Door, KeysReport, LayerReport, Places, QueueReport, QuotaReport,
    QuotaScope, RequestsReport, RetriesReport, TokensReport, Waiting,
};
#[cfg(feature = "serde")]
pub use seconds::as_seconds;

/// Tells how it stands: the handle of every layer does, and a policy of your own can.
///
/// ```
/// use buttress_core::Now;
/// use buttress_core::status::{LayerReport, Report};
///
/// /// Refuses everything while it is off.
/// struct Switch { on: bool, refused: u64 }
///
/// impl Report for Switch {
///     fn report(&self, _: &Now) -> LayerReport {
///         let mut report = LayerReport::new("switch");
///         report.mode = Some(if self.on { "on" } else { "off" });
///         report.refused = Some(self.refused);
///         report
///     }
/// }
/// ```
pub trait Report {
    /// How it stands. It is called when somebody looks, so it may take locks and go through tables.
    fn report(&self, now: &Now) -> LayerReport;

    /// What it can be told by hand.
    fn commands(&self) -> &'static [Command] {
        &[]
    }

    /// Does what it is told; false if that is none of its [`commands`](Self::commands), and then nothing
    /// changes.
    fn command(&self, command: Command) -> bool {
        let _ = command;
        false
    }
}

impl<R: Report + ?Sized> Report for Arc<R> {
    fn report(&self, now: &Now) -> LayerReport {
        (**self).report(now)
    }

    fn commands(&self) -> &'static [Command] {
        (**self).commands()
    }

    fn command(&self, command: Command) -> bool {
        (**self).command(command)
    }
}

/// What somebody who operates a stack can tell a layer by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Command {
    /// Take back what was said by hand, and start anew.
    Reset,
    /// Refuse every call.
    ForceOpen,
    /// Let every call through.
    ForceClosed,
}

impl Command {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Reset, Self::ForceOpen, Self::ForceClosed];

    /// The name by which it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::ForceOpen => "force_open",
            Self::ForceClosed => "force_closed",
        }
    }

    /// The command of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|command| command.as_str() == name)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Command {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Counts by name, in their order.
#[cfg(feature = "serde")]
fn map<S: serde::Serializer>(
    counts: &[(&'static str, u64)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.iter().map(|(name, count)| (name, count)))
}
