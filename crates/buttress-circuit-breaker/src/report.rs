//! What a breaker tells of itself for a status, and what it can be told from there.

use std::cmp::Reverse;

use buttress_core::status::{BreakerReport, CircuitReport, Command, LayerReport, Report};
use buttress_core::{KeyHash, Now};

use crate::breaker::CircuitBreaker;
use crate::metrics::CircuitMetrics;
use crate::state::State;

/// The state of the circuit that all share, how many keys have one, and those of keys that are not closed. It
/// looks at every circuit. A command concerns all circuits.
impl Report for CircuitBreaker {
    fn report(&self, now: &Now) -> LayerReport {
        let snapshot = self.snapshot();
        let count = |keys: usize| u64::try_from(keys).unwrap_or(u64::MAX);
        let mut not_closed: Vec<_> = self
            .of_keys()
            .into_iter()
            .map(|(key, cell)| circuit(Some(key), &CircuitMetrics::new(&cell.seen(now))))
            .filter(|circuit| circuit.state != State::Closed.as_str())
            .collect();
        not_closed.sort_by_key(|circuit| Reverse((circuit.opened, circuit.failed)));
        not_closed.truncate(BreakerReport::MOST);
        let mut report = LayerReport::new("circuit_breaker");
        report.refused = Some(snapshot.refused);
        report.breaker = Some(BreakerReport {
            everyone: circuit(None, &snapshot.everyone),
            circuits: count(snapshot.keys),
            open: count(snapshot.open),
            half_open: count(snapshot.half_open),
            unwatched: snapshot.unwatched,
            not_closed,
        });
        report
    }

    fn commands(&self) -> &'static [Command] {
        &[Command::Reset, Command::ForceOpen, Command::ForceClosed]
    }

    fn command(&self, command: Command) -> bool {
        match command {
            Command::Reset => self.reset(),
            Command::ForceOpen => self.force_open(),
            Command::ForceClosed => self.force_closed(),
            _ => return false,
        }
        true
    }
}

fn circuit(key: Option<KeyHash>, seen: &CircuitMetrics) -> CircuitReport {
    CircuitReport {
        key,
        state: seen.state.as_str(),
        consecutive_failures: seen.consecutive_failures.into(),
        calls: seen.calls,
        failed: seen.failed,
        slow: seen.slow,
        probes_out: seen.probes_out.into(),
        opened: seen.opened,
        half_opens_in: seen.retry_after,
    }
}
