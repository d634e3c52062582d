//! A circuit whose clock is a number.

use std::sync::Arc;
use std::time::Duration;

use buttress_circuit_breaker::algorithm::{Call, Circuit, Kind, Refused};
use buttress_circuit_breaker::{Settings, State};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MS;

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) struct Clocked {
    pub(crate) circuit: Circuit,
    pub(crate) now: u64,
}

impl Clocked {
    pub(crate) fn new(settings: Settings) -> Self {
        settings.check().unwrap();
        Self {
            circuit: Circuit::new(Arc::new(settings)),
            now: 0,
        }
    }

    pub(crate) fn at(&mut self, now: u64) -> &mut Self {
        self.now = now;
        self
    }

    pub(crate) fn admit(&mut self) -> Result<u32, Refused> {
        self.circuit.admit(self.now)
    }

    pub(crate) fn end(&mut self, generation: u32, kind: Kind, waited: u64) {
        let now = self.now;
        let call = Call { kind, waited };
        self.circuit.record(generation, call, || now, || 0);
    }

    /// A call that begins and ends now.
    pub(crate) fn call(&mut self, kind: Kind) -> &mut Self {
        let generation = self.admit().unwrap();
        self.end(generation, kind, 0);
        self
    }

    pub(crate) fn calls(&mut self, count: u32, kind: Kind) -> &mut Self {
        for _ in 0..count {
            self.call(kind);
        }
        self
    }

    pub(crate) fn slow(&mut self, waited: u64) -> &mut Self {
        let generation = self.admit().unwrap();
        self.end(generation, Kind::Success, waited);
        self
    }

    /// How long the circuit refuses for.
    pub(crate) fn wait(&mut self) -> u64 {
        let wait = self.admit().unwrap_err().wait.unwrap();
        u64::try_from(wait).unwrap()
    }

    pub(crate) fn state(&self) -> State {
        self.circuit.state()
    }
}
