//! What a circuit can be in, and that it changed.

use std::fmt;

use buttress_core::KeyHash;

/// The state of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
pub enum State {
    /// Calls go through and are watched.
    Closed,
    /// Calls are refused for a time. It ends with the first call after that, not by itself.
    Open,
    /// A few calls go through as probes.
    HalfOpen,
    /// Calls are refused until somebody says otherwise.
    ForcedOpen,
    /// Calls go through and are watched, and nothing trips.
    ForcedClosed,
    /// Calls go through, and nobody looks.
    Disabled,
    /// Calls go through and are watched; what would have tripped is counted.
    MetricsOnly,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Closed,
        Self::Open,
        Self::HalfOpen,
        Self::ForcedOpen,
        Self::ForcedClosed,
        Self::Disabled,
        Self::MetricsOnly,
    ];

    /// The name used in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics_only",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A circuit's change from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose circuit: [`KeyHash::EVERYONE`] if there is one for all.
    pub key: KeyHash,
    /// What it was.
    pub from: State,
    /// What it is now.
    pub to: State,
}
