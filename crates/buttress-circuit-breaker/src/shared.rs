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
    subscribers: Mutex<Vec<Subscriber>>,
    next_waiter: AtomicU64,
    pub(crate) refused: AtomicU64,
    draws: AtomicU64,
}

/// Somebody who wants to be woken when there is room.
struct Subscriber {
    /// Who waits, if it will say when it does so no more.
    waiter: Option<u64>,
    waker: Waker,
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
            next_waiter: AtomicU64::new(1),
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
        let is_held = |held: &Subscriber| held.waiter.is_none() && held.waker.will_wake(waker);
        if !subscribers.iter().any(is_held) {
            let waker = waker.clone();
            subscribers.push(Subscriber {
                waiter: None,
                waker,
            });
        }
    }

    /// A name to wait under.
    pub(crate) fn waiter(&self) -> u64 {
        self.next_waiter.fetch_add(1, Ordering::Relaxed)
    }

    /// Wakes a waiter once when there is room, unless it waits no more.
    pub(crate) fn wait(&self, waiter: u64, waker: &Waker) {
        let waker = waker.clone();
        let mut subscribers = self.subscribers.lock();
        let held = subscribers
            .iter()
            .position(|held| held.waiter == Some(waiter));
        let gone = held.map(|place| subscribers.swap_remove(place));
        subscribers.push(Subscriber {
            waiter: Some(waiter),
            waker,
        });
        drop(subscribers);
        // A waker's drop is somebody else's code.
        drop(gone);
    }

    /// Forgets a waiter, so that those who came and went do not pile up while nothing changes.
    pub(crate) fn wait_no_more(&self, waiter: u64) {
        let mut subscribers = self.subscribers.lock();
        let held = subscribers
            .iter()
            .position(|held| held.waiter == Some(waiter));
        let gone = held.map(|place| subscribers.swap_remove(place));
        drop(subscribers);
        drop(gone);
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
        for subscriber in subscribers {
            subscriber.waker.wake();
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
