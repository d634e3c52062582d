//! The breaker: the handle, and the policy.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use buttress_core::time::{Instant, now};
use buttress_core::{
    Describe, KeyHash, LimitId, Now, Observe, Permit, Policy, PolicyId, Rejection, Seed, Standing,
};

use crate::cell::Cell;
use crate::keyed::Keyed;
use crate::metrics::{CircuitMetrics, Snapshot};
use crate::settings::Settings;
use crate::settings_error::SettingsError;
use crate::shared::Shared;
use crate::state::State;
use crate::ticket::CircuitTicket;
use crate::watch::Changes;

/// For how many keys a breaker keeps circuits by default.
pub const DEFAULT_KEYS: usize = 65_536;

/// What a call asks of a breaker: whose circuit it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitDemand {
    /// The key, or [`KeyHash::EVERYONE`] for the circuit that all share.
    pub key: KeyHash,
}

/// One circuit for all calls, or one per key.
///
/// It is the policy behind [`CircuitBreakerLayer`](crate::CircuitBreakerLayer), the handle to look at it
/// and to take it over by hand, and of use without tower:
///
/// ```
/// use buttress_circuit_breaker::{CircuitBreaker, CircuitDemand, Settings, State};
/// use buttress_core::{End, KeyHash, Now, Outcome, Policy};
///
/// let breaker = CircuitBreaker::new(Settings::consecutive_failures(2))?;
/// let all = CircuitDemand { key: KeyHash::EVERYONE };
/// for _ in 0..2 {
///     let permit = breaker.try_admit(&all, &Now::new()).unwrap();
///     permit.end(End::Settled(Outcome::Failure, None), &Now::new());
/// }
/// assert_eq!(breaker.state(), State::Open);
/// assert!(breaker.try_admit(&all, &Now::new()).unwrap_err().retry_after().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Clones share everything. Keys are hashed and not stored; two keys with one 64-bit hash would share a
/// circuit.
#[derive(Clone)]
pub struct CircuitBreaker {
    shared: Arc<Shared>,
    everyone: Arc<Cell>,
    keyed: Arc<Keyed>,
}

impl CircuitBreaker {
    /// A breaker.
    ///
    /// # Errors
    ///
    /// If the settings make no sense: which one, and what it may be.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        Self::builder(settings).build()
    }

    /// A breaker, with choices that concern the process rather than the circuits.
    #[must_use]
    pub fn builder(settings: Settings) -> CircuitBreakerBuilder {
        CircuitBreakerBuilder {
            settings,
            keys: DEFAULT_KEYS,
            seed: None,
            epoch: None,
        }
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> Settings {
        (*self.shared.current.lock().settings).clone()
    }

    /// Puts other settings in force. States stay; an open circuit stays open for as long as it was to be; a
    /// window that gets another shape is emptied.
    ///
    /// # Errors
    ///
    /// If the settings make no sense; then nothing changes.
    pub fn set(&self, settings: Settings) -> Result<(), SettingsError> {
        settings.check()?;
        let settings = Arc::new(settings);
        self.shared.current.lock().settings = Arc::clone(&settings);
        for cell in self.all() {
            cell.set(Arc::clone(&settings));
        }
        Ok(())
    }

    /// The state of the circuit that all calls without a key share.
    #[must_use]
    pub fn state(&self) -> State {
        self.everyone.state()
    }

    /// What the circuit has seen that all calls without a key share.
    #[must_use]
    pub fn metrics(&self) -> CircuitMetrics {
        CircuitMetrics::new(&self.everyone.seen(&Now::new()))
    }

    /// The whole breaker, for a status page. It looks at every circuit.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let cells = self.keyed.all();
        let count = |state| cells.iter().filter(|cell| cell.state() == state).count();
        Snapshot {
            everyone: self.metrics(),
            keys: cells.len(),
            open: count(State::Open) + count(State::ForcedOpen),
            half_open: count(State::HalfOpen),
            refused: self.shared.refused.load(Ordering::Relaxed),
            unwatched: self.keyed.unwatched(),
        }
    }

    /// The circuit of a key.
    pub fn key(&self, key: impl Hash) -> KeyCircuit {
        KeyCircuit {
            key: self.hash(key),
            breaker: self.clone(),
        }
    }

    /// Refuses every call, until [`reset`](Self::reset).
    pub fn force_open(&self) {
        self.tell(State::ForcedOpen);
    }

    /// Lets every call through and goes on counting, until [`reset`](Self::reset).
    pub fn force_closed(&self) {
        self.tell(State::ForcedClosed);
    }

    /// Lets every call through and looks at none, until [`reset`](Self::reset).
    pub fn disable(&self) {
        self.tell(State::Disabled);
    }

    /// Lets every call through, and counts how often a circuit would have tripped: to try settings out.
    pub fn metrics_only(&self) {
        self.tell(State::MetricsOnly);
    }

    /// Closes all circuits, empties their windows, and takes back what was said by hand.
    pub fn reset(&self) {
        self.tell(State::Closed);
    }

    /// The state changes of all circuits from now on.
    #[must_use]
    pub fn watch(&self) -> Changes {
        self.shared.journal.watch()
    }

    /// Tells an observer of the state changes of all circuits, outside every lock. Changes of different
    /// circuits, and changes that follow each other at once, may be told in another order than they
    /// happened; [`watch`](Self::watch) keeps the order.
    pub fn observe(&self, observer: impl Observe + Send + Sync + 'static) {
        self.shared.observe(Arc::new(observer));
    }

    /// The hash that this breaker keeps a key by.
    pub fn hash(&self, key: impl Hash) -> KeyHash {
        self.shared.seed.hash(key)
    }

    /// The seed that keys are hashed with.
    #[must_use]
    pub fn seed(&self) -> &Seed {
        &self.shared.seed
    }

    /// Who this breaker is in a rejection's [`LimitId`].
    #[must_use]
    pub fn id(&self) -> PolicyId {
        self.shared.id
    }

    fn tell(&self, state: State) {
        self.shared.current.lock().told = state;
        for cell in self.all() {
            cell.tell(state);
        }
    }

    fn all(&self) -> Vec<Arc<Cell>> {
        let mut all = self.keyed.all();
        all.push(Arc::clone(&self.everyone));
        all
    }

    fn get(&self, key: KeyHash) -> Option<Arc<Cell>> {
        match key {
            KeyHash::EVERYONE => Some(Arc::clone(&self.everyone)),
            key => self.keyed.get(key),
        }
    }

    fn get_or_make(&self, key: KeyHash, now: &Now) -> Option<Arc<Cell>> {
        match key {
            KeyHash::EVERYONE => Some(Arc::clone(&self.everyone)),
            key => self.keyed.get_or_make(key, &self.shared, now),
        }
    }
}

impl Policy for CircuitBreaker {
    type Demand = CircuitDemand;
    type Ticket = CircuitTicket;

    fn would_admit(&self, demand: &CircuitDemand, now: &Now) -> Result<(), Rejection> {
        match self.get(demand.key) {
            Some(cell) => cell.would_admit(now),
            None if self.shared.current.lock().told == State::ForcedOpen => {
                // A circuit that is made now refuses.
                Cell::new(demand.key, Arc::clone(&self.shared)).would_admit(now)
            }
            None => Ok(()),
        }
    }

    #[inline]
    fn try_admit(
        &self,
        demand: &CircuitDemand,
        now: &Now,
    ) -> Result<Permit<CircuitTicket>, Rejection> {
        if demand.key == KeyHash::EVERYONE {
            let word = self.everyone.admit(now)?;
            let cell = Arc::clone(&self.everyone);
            return Ok(Permit::new(CircuitTicket::new(cell, word, now)));
        }
        let Some(cell) = self.keyed.get_or_make(demand.key, &self.shared, now) else {
            return Ok(Permit::new(CircuitTicket::unwatched()));
        };
        let word = cell.admit(now)?;
        Ok(Permit::new(CircuitTicket::new(cell, word, now)))
    }

    fn touches(&self, demand: &CircuitDemand, limit: LimitId) -> bool {
        limit.policy == self.shared.id && limit.key == demand.key
    }

    fn limits(&self, demand: &CircuitDemand, each: &mut dyn FnMut(LimitId, LimitId)) {
        let limit = LimitId {
            policy: self.shared.id,
            key: demand.key,
            quota: 0,
        };
        each(limit, limit);
    }

    fn subscribe(&self, waker: &Waker) {
        self.shared.subscribe(waker);
    }
}

/// A breaker has no quotas.
impl Describe for CircuitBreaker {
    fn standings(&self, _: KeyHash, _: &Now, _: &mut dyn FnMut(Standing<'_>)) {}
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("settings", &self.shared.current.lock().settings)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// The circuit of one key.
#[derive(Clone, Debug)]
pub struct KeyCircuit {
    breaker: CircuitBreaker,
    key: KeyHash,
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

/// Builds a [`CircuitBreaker`].
#[derive(Clone, Debug)]
pub struct CircuitBreakerBuilder {
    settings: Settings,
    keys: usize,
    seed: Option<u64>,
    epoch: Option<Instant>,
}

impl CircuitBreakerBuilder {
    /// For how many keys circuits are kept; 65,536 if not said.
    ///
    /// The table grows up to this many, and then forgets closed circuits with no call in flight, those with
    /// the fewest failures first; never an open one. A key for which there is no room is let through
    /// unwatched, and counted in [`Snapshot::unwatched`].
    #[must_use]
    pub const fn keys(mut self, keys: usize) -> Self {
        self.keys = keys;
        self
    }

    /// Draws jitter and hashes keys with a fixed seed, so that runs repeat. For tests and replays.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// To which instant the slices of windows and sweeps are aligned; that of building if not said. What
    /// happens before counts as happening then.
    #[must_use]
    pub const fn epoch(mut self, epoch: Instant) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// Makes the breaker.
    ///
    /// # Errors
    ///
    /// If the settings make no sense: which one, and what it may be.
    pub fn build(self) -> Result<CircuitBreaker, SettingsError> {
        self.settings.check()?;
        let seed = self.seed.map_or_else(Seed::random, Seed::fixed);
        let epoch = self.epoch.unwrap_or_else(now);
        let shared = Arc::new(Shared::new(self.settings, seed, epoch));
        let everyone = Cell::new(KeyHash::EVERYONE, Arc::clone(&shared));
        Ok(CircuitBreaker {
            everyone: Arc::new(everyone),
            keyed: Arc::new(Keyed::new(self.keys)),
            shared,
        })
    }
}
