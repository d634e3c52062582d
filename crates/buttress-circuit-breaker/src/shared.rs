//! What all circuits of a breaker share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use buttress_core::time::Instant;
use buttress_core::{Event, Now, Observe, PolicyId, Seed};

use crate::settings::Settings;
use crate::state::{Change, State};
use crate::sync::Mutex;
use crate::watch::Journal;

/// Hears of state changes.
pub(crate) type Observer = Arc<dyn Observe + Send + Sync>;

pub(crate) struct Shared {
    pub(crate) id: PolicyId,
    pub(crate) seed: Seed,
    /// When time zero was.
    epoch: Instant,
    pub(crate) current: Mutex<Current>,
    pub(crate) journal: Arc<Journal>,
    observers: Mutex<Vec<Observer>>,
    subscribers: Mutex<Vec<Waker>>,
    pub(crate) refused: AtomicU64,
    draws: AtomicU64,
}

/// What a circuit that is made now begins with.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub(crate) settings: Arc<Settings>,
    pub(crate) told: State,
}

impl Shared {
    pub(crate) fn new(settings: Settings, seed: Seed, epoch: Instant) -> Self {
        Self {
            id: PolicyId::unique(),
            seed,
            epoch,
            current: Mutex::new(Current {
                settings: Arc::new(settings),
                told: State::Closed,
            }),
            journal: Journal::new(),
            observers: Mutex::new(Vec::new()),
            subscribers: Mutex::new(Vec::new()),
            refused: AtomicU64::new(0),
            draws: AtomicU64::new(0),
        }
    }

    /// Nanoseconds since time zero.
    #[inline(never)]
    pub(crate) fn nanos(&self, now: &Now) -> u64 {
        let since = now.get().saturating_duration_since(self.epoch);
        let seconds = since.as_secs().saturating_mul(1_000_000_000);
        seconds.saturating_add(since.subsec_nanos().into())
    }

    /// A number that is uniform over all of 64 bits.
    pub(crate) fn draw(&self) -> u64 {
        let draw = self.draws.fetch_add(1, Ordering::Relaxed);
        self.seed.hash(draw).get()
    }

    pub(crate) fn observe(&self, observer: Observer) {
        self.observers.lock().push(observer);
    }

    pub(crate) fn subscribe(&self, waker: &Waker) {
        let mut subscribers = self.subscribers.lock();
        if !subscribers.iter().any(|held| held.will_wake(waker)) {
            subscribers.push(waker.clone());
        }
    }

    /// Tells those who watch of a change. No lock may be held.
    pub(crate) fn announce(&self, change: Change) {
        self.journal.wake();
        let observers = self.observers.lock().clone();
        for observer in observers {
            observer.event(Event::StateChanged {
                key: change.key,
                from: change.from.as_str(),
                to: change.to.as_str(),
            });
        }
    }

    /// Wakes those who wait for room. No lock may be held.
    pub(crate) fn announce_room(&self) {
        let subscribers = std::mem::take(&mut *self.subscribers.lock());
        for waker in subscribers {
            waker.wake();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.journal.close();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
