//! A concurrency limit without a queue.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use buttress_core::time::Instant;
use buttress_core::{
    End, KeyHash, LimitId, Now, Outcome, Permit, Policy, PolicyId, Reason, Rejection, Ticket, When,
};

use crate::limit::{Limit, Reading, Sample};
use crate::sync::{AtomicUsize, Mutex, Ordering};

/// So many at once; one more is refused.
///
/// It is the policy behind [`ConcurrencyLimitLayer`](crate::ConcurrencyLimitLayer). Nobody holds a place who
/// has no call in flight: neither an idle service nor one that was refused. Clones share everything.
#[derive(Clone)]
pub struct ConcurrencyLimit {
    shared: Arc<Shared>,
}

struct Shared {
    id: PolicyId,
    /// How many are in flight, times two, and one more if somebody wants to be woken. One word, so that of
    /// those who end and those who subscribe one always sees the other.
    word: AtomicUsize,
    limit: AtomicUsize,
    algorithm: Mutex<Limit>,
    subscribers: Mutex<Vec<Waker>>,
}

const SUBSCRIBED: usize = 1;
const ONE: usize = 2;

impl ConcurrencyLimit {
    /// So many at once: a number, or an adaptive limit.
    #[must_use]
    pub fn new(limit: impl Into<Limit>) -> Self {
        let limit = limit.into();
        Self {
            shared: Arc::new(Shared {
                id: PolicyId::unique(),
                word: AtomicUsize::new(0),
                limit: AtomicUsize::new(size(limit.get())),
                algorithm: Mutex::new(limit),
                subscribers: Mutex::new(Vec::new()),
            }),
        }
    }

    /// How many are in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.word.load(Ordering::SeqCst) / ONE
    }

    /// Where the limit stands.
    #[must_use]
    pub fn reading(&self) -> Reading {
        self.shared.algorithm.lock().reading()
    }

    /// Puts another limit in force. What is above a smaller one stays in flight.
    pub fn set_limit(&self, limit: impl Into<Limit>) {
        let limit = limit.into();
        self.change(|held| *held = limit);
        self.wake();
    }

    fn change(&self, change: impl FnOnce(&mut Limit)) {
        let mut algorithm = self.shared.algorithm.lock();
        change(&mut algorithm);
        // Under the lock, so that the limit in force is that of the last change.
        self.shared
            .limit
            .store(size(algorithm.get()), Ordering::SeqCst);
    }

    fn is_adaptive(&self) -> bool {
        self.shared.algorithm.lock().is_adaptive()
    }

    fn wake(&self) {
        let subscribers = {
            let mut held = self.shared.subscribers.lock();
            self.shared.word.fetch_and(!SUBSCRIBED, Ordering::SeqCst);
            std::mem::take(&mut *held)
        };
        subscribers.into_iter().for_each(Waker::wake);
    }

    fn rejection(&self) -> Rejection {
        Rejection::new(Reason::Overloaded, When::Unknown).by(LimitId {
            policy: self.shared.id,
            key: KeyHash::EVERYONE,
            quota: 0,
        })
    }
}

fn size(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// A place of a [`ConcurrencyLimit`].
#[derive(Debug)]
pub struct ConcurrencyTicket {
    limit: ConcurrencyLimit,
    in_flight: usize,
    /// When it was taken, if the limit is adaptive.
    since: Option<Instant>,
}

impl Policy for ConcurrencyLimit {
    type Demand = ();
    type Ticket = ConcurrencyTicket;

    fn would_admit(&self, (): &(), _: &Now) -> Result<(), Rejection> {
        match self.in_flight() < self.shared.limit.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err(self.rejection()),
        }
    }

    #[inline]
    fn try_admit(&self, (): &(), now: &Now) -> Result<Permit<ConcurrencyTicket>, Rejection> {
        let Shared { word, limit, .. } = &*self.shared;
        let taken = word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |word| {
            (word / ONE < limit.load(Ordering::SeqCst)).then_some(word + ONE)
        });
        match taken {
            Ok(word) => Ok(Permit::new(ConcurrencyTicket {
                limit: self.clone(),
                in_flight: word / ONE + 1,
                since: self.is_adaptive().then(|| now.get()),
            })),
            Err(_) => Err(self.rejection()),
        }
    }

    fn touches(&self, (): &(), limit: LimitId) -> bool {
        limit.policy == self.shared.id
    }

    fn limits(&self, (): &(), each: &mut dyn FnMut(LimitId, LimitId)) {
        if let Some(limit) = self.rejection().limit() {
            each(limit, limit);
        }
    }

    fn subscribe(&self, waker: &Waker) {
        let mut subscribers = self.shared.subscribers.lock();
        if !subscribers.iter().any(|held| held.will_wake(waker)) {
            subscribers.push(waker.clone());
        }
        self.shared.word.fetch_or(SUBSCRIBED, Ordering::SeqCst);
    }
}

impl ConcurrencyTicket {
    fn sample(&mut self, outcome: Outcome, now: &Now) {
        let Some(since) = self.since.take() else {
            return;
        };
        if let Some(dropped) = Sample::dropped(outcome) {
            let sample = Sample {
                took: now.get().saturating_duration_since(since),
                in_flight: u32::try_from(self.in_flight).unwrap_or(u32::MAX),
                dropped,
            };
            self.limit.change(|limit| limit.sample(&sample));
        }
    }
}

impl Ticket for ConcurrencyTicket {
    fn head(&mut self, outcome: Outcome, now: &Now) {
        self.sample(outcome, now);
    }

    #[inline]
    fn end(mut self, end: End, now: &Now) {
        if let End::Settled(outcome, _) = end {
            self.sample(outcome, now);
        }
        if self.limit.shared.word.fetch_sub(ONE, Ordering::SeqCst) & SUBSCRIBED != 0 {
            self.limit.wake();
        }
    }
}

impl fmt::Debug for ConcurrencyLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimit")
            .field("limit", &self.shared.limit.load(Ordering::SeqCst))
            .field("in_flight", &self.in_flight())
            .finish()
    }
}
