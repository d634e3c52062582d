//! What a status page shows of a breaker.

use std::time::Duration;

use buttress_core::duration;

use crate::call::Seen;
use crate::state::State;

/// What one circuit has seen.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CircuitMetrics {
    /// Its state.
    pub state: State,
    /// How many failures came in a row.
    pub consecutive_failures: u32,
    /// How many calls lie in the window.
    pub calls: u64,
    /// How many of them failed.
    pub failed: u64,
    /// How many of them were slow.
    pub slow: u64,
    /// The share that failed, from 0 to 1; none without calls.
    pub failure_rate: Option<f64>,
    /// The share that was slow, from 0 to 1; none without calls.
    pub slow_call_rate: Option<f64>,
    /// How many probes are out.
    pub probes_out: u32,
    /// In how long an open circuit lets a probe through.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub retry_after: Option<Duration>,
    /// How often it tripped or opened again.
    pub opened: u64,
    /// How often it would have tripped while it was told to count only.
    pub would_have_opened: u64,
}

impl CircuitMetrics {
    pub(crate) fn new(seen: &Seen) -> Self {
        Self {
            state: seen.state,
            consecutive_failures: seen.consecutive_failures,
            calls: seen.window.calls,
            failed: seen.window.failed,
            slow: seen.window.slow,
            failure_rate: seen.window.failure_rate(),
            slow_call_rate: seen.window.slow_call_rate(),
            probes_out: seen.probes_out,
            retry_after: seen.wait.map(duration::from_nanos),
            opened: seen.opened,
            would_have_opened: seen.would_have_opened,
        }
    }
}

/// What a status page shows of a breaker.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Snapshot {
    /// The circuit that all calls without a key share.
    pub everyone: CircuitMetrics,
    /// How many keys have a circuit.
    pub keys: usize,
    /// How many of those are open.
    pub open: usize,
    /// How many of those are half-open.
    pub half_open: usize,
    /// How many calls were refused.
    pub refused: u64,
    /// How many calls were let through unwatched, because the table was full of circuits that must not be
    /// forgotten.
    pub unwatched: u64,
}
