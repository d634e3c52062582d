//! What a circuit is told, and what it tells.

use crate::state::State;
use crate::window::Tally;

/// How a call counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It ends a run of failures.
    Success,
    /// It counts for everything.
    Failure,
    /// The upstream refused this caller for asking too often: a failure for the rate and of a probe, which
    /// leaves a run of failures as it is.
    Throttled,
}

/// A call that came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// How it counts.
    pub kind: Kind,
    /// How long the head of the response took, in nanoseconds; 0 where nobody asks.
    pub waited: u64,
}

/// A refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// In how many nanoseconds the circuit lets a probe through; none if it depends on others.
    pub wait: Option<u128>,
}

/// What a circuit has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The state.
    pub state: State,
    /// How many failures came in a row.
    pub consecutive_failures: u32,
    /// What lies in the window.
    pub window: Tally,
    /// How many probes are out.
    pub probes_out: u32,
    /// In how many nanoseconds an open circuit lets a probe through.
    pub wait: Option<u128>,
    /// How often it tripped or opened again.
    pub opened: u64,
    /// How often it would have tripped in [`State::MetricsOnly`].
    pub would_have_opened: u64,
}
