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
use crate::key_circuit::KeyCircuit;
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
    pub(crate) shared: Arc<Shared>,
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

    /// Puts other settings in force. States stay, an open circuit stays open for as long as it was to be, and
    /// open times go on growing from where they were. A window of calls keeps those that it has room for; a
    /// window that gets another shape is emptied.
    ///
    /// # Errors
    ///
    /// If the settings make no sense; then nothing changes.
    pub fn set(&self, settings: Settings) -> Result<(), SettingsError> {
        settings.check()?;
        self.shared.current.lock().settings = Arc::new(settings);
        for cell in self.all() {
            cell.set_as_all();
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
            cell.tell_as_all();
        }
    }

    fn all(&self) -> Vec<Arc<Cell>> {
        let mut all = self.keyed.all();
        all.push(Arc::clone(&self.everyone));
        all
    }

    /// The circuits of keys, and whose they are.
    pub(crate) fn of_keys(&self) -> Vec<(KeyHash, Arc<Cell>)> {
        let cells = self.keyed.all().into_iter();
        cells.map(|cell| (cell.key(), cell)).collect()
    }

    pub(crate) fn get(&self, key: KeyHash) -> Option<Arc<Cell>> {
        match key {
            KeyHash::EVERYONE => Some(Arc::clone(&self.everyone)),
            key => self.keyed.get(key),
        }
    }

    #[inline(never)]
    fn admit_key(&self, key: KeyHash, now: &Now) -> Result<Permit<CircuitTicket>, Rejection> {
        let Some(cell) = self.keyed.get_or_make(key, &self.shared, now) else {
            if self.shared.current.lock().told == State::ForcedOpen {
                // A circuit that would be made now refuses.
                Cell::new(key, Arc::clone(&self.shared)).admit(now)?;
            }
            self.keyed.count_unwatched();
            return Ok(Permit::exempt());
        };
        let word = cell.admit(now)?;
        Ok(Permit::new(CircuitTicket::new(cell, word, now)))
    }

    pub(crate) fn get_or_make(&self, key: KeyHash, now: &Now) -> Option<Arc<Cell>> {
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
        if demand.key != KeyHash::EVERYONE {
            return self.admit_key(demand.key, now);
        }
        let word = self.everyone.admit(now)?;
        let cell = Arc::clone(&self.everyone);
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
        // No lock may be held while the state is asked for.
        let settings = Arc::clone(&self.shared.current.lock().settings);
        f.debug_struct("CircuitBreaker")
            .field("settings", &settings)
            .field("state", &self.state())
            .finish_non_exhaustive()
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
