//! What a breaker tells of itself to whoever samples it.

use buttress_core::{Now, Quantity, Reading, Sample};

use crate::breaker::CircuitBreaker;
use crate::state::State;

/// 1 for the state of the circuit that all share and 0 for every other; how many keys have a circuit, and how
/// many of those are open and half-open. It looks at every circuit.
impl Sample for CircuitBreaker {
    fn sample(&self, _: &Now, each: &mut dyn FnMut(Reading<'_>)) {
        // Read once, so that exactly one of them is 1.
        let current = self.state();
        for state in State::ALL {
            let is = u64::from(state == current);
            each(Reading::new(Quantity::CircuitState, state.as_str(), is));
        }
        let snapshot = self.snapshot();
        let count = |keys: usize| u64::try_from(keys).unwrap_or(u64::MAX);
        each(Reading::new(Quantity::KeysLive, "", count(snapshot.keys)));
        let by_state = [
            (State::Open, snapshot.open),
            (State::HalfOpen, snapshot.half_open),
        ];
        for (state, keys) in by_state {
            let reading = Reading::new(Quantity::KeyCircuits, state.as_str(), count(keys));
            each(reading);
        }
    }
}
