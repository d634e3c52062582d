//! The circuit of one key, as a handle.

use buttress_core::{KeyHash, Now};

use crate::breaker::CircuitBreaker;
use crate::metrics::CircuitMetrics;
use crate::state::State;

/// The circuit of one key.
#[derive(Clone, Debug)]
pub struct KeyCircuit {
    pub(crate) breaker: CircuitBreaker,
    pub(crate) key: KeyHash,
}

impl KeyCircuit {
    /// Its state; one that no call has made yet is as one that would be made now.
    #[must_use]
    pub fn state(&self) -> State {
        match self.breaker.get(self.key) {
            Some(cell) => cell.state(),
            None => self.breaker.shared.current.lock().told,
        }
    }

    /// What it has seen; none if no call has made it yet, or if it was forgotten.
    #[must_use]
    pub fn metrics(&self) -> Option<CircuitMetrics> {
        let cell = self.breaker.get(self.key)?;
        Some(CircuitMetrics::new(&cell.seen(&Now::new())))
    }

    /// Refuses every call of this key, until [`reset`](Self::reset). False if there is no room for it.
    pub fn force_open(&self) -> bool {
        self.tell(State::ForcedOpen)
    }

    /// Lets every call of this key through and goes on counting. False if there is no room for it.
    pub fn force_closed(&self) -> bool {
        self.tell(State::ForcedClosed)
    }

    /// Lets every call of this key through and looks at none. False if there is no room for it.
    pub fn disable(&self) -> bool {
        self.tell(State::Disabled)
    }

    /// Lets every call of this key through and counts how often it would have tripped. False if there is
    /// no room for it.
    pub fn metrics_only(&self) -> bool {
        self.tell(State::MetricsOnly)
    }

    /// Closes it, empties its window, and takes back what was said by hand.
    pub fn reset(&self) {
        self.tell(State::Closed);
    }

    fn tell(&self, state: State) -> bool {
        let cell = self.breaker.get_or_make(self.key, &Now::new());
        let found = cell.map(|cell| cell.tell(state));
        found.is_some()
    }
}
