//! The queue: the handle, and the admission.

use std::fmt;
use std::sync::Arc;

use buttress_core::time::{Instant, now};
use buttress_core::{Admission, Now, Permit, Policy, Reason, Rejection, Verdict, When};

use crate::blocked::Lines;
use crate::demand::{NoGate, QueueDemand};
use crate::drained::Drained;
use crate::free_places::FreePlaces;
use crate::gates::Gates;
use crate::limit::{Limit, Reading, Sample};
use crate::priority::Urgency;
use crate::settings::{Settings, SettingsError};
use crate::state::{Arrived, Door, Place, State, Step};
use crate::sync::Mutex;
use crate::ticket::QueueTicket;
use crate::wait::QueueWait;

/// A concurrency limit, and an ordered queue in front of it.
///
/// It is the admission behind [`PriorityQueueLayer`](crate::PriorityQueueLayer), the handle to look at it and
/// to change it while it works, and of use without tower:
///
/// ```
/// use buttress_priority_queue::{Priority, PriorityQueue, QueueDemand, Settings};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let queue = PriorityQueue::new(Settings::new(2))?;
/// let place = queue.acquire(QueueDemand::new(Priority::High)).await?;
/// assert_eq!(queue.status().in_flight, 1);
/// drop(place);
/// assert_eq!(queue.status().in_flight, 0);
/// # Ok(())
/// # }
/// ```
///
/// Clones share everything.
pub struct PriorityQueue<G: Policy = NoGate> {
    shared: Arc<Shared<G>>,
}

struct Shared<G: Policy> {
    gates: Gates<G>,
    /// Whether there is anything to ask, and so anybody who could call in between.
    gated: bool,
    free: FreePlaces,
    state: Mutex<State<G>>,
    epoch: Instant,
}

/// A queue at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStatus {
    /// How many requests may be in flight.
    pub limit: u32,
    /// How many are.
    pub in_flight: u32,
    /// How many wait, by effective level from 0, the least urgent.
    pub depth: Vec<usize>,
    /// How many may wait.
    pub capacity: usize,
    /// Whether nobody is let go for the time being.
    pub paused: bool,
    /// Whether newcomers are taken in.
    pub accepting: bool,
    /// Where the limit stands.
    pub reading: Reading,
}

impl QueueStatus {
    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.depth.iter().sum()
    }
}

impl PriorityQueue {
    /// A queue.
    ///
    /// # Errors
    ///
    /// If the settings make no sense: which one, and what it may be.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        Self::make(settings, NoGate, false)
    }
}

impl<G: Policy> PriorityQueue<G> {
    /// A queue that asks `gates` before it hands out a place: a policy, or a tuple of them.
    ///
    /// # Errors
    ///
    /// If the settings make no sense.
    pub fn after(settings: Settings, gates: G) -> Result<Self, SettingsError> {
        Self::make(settings, gates, true)
    }

    fn make(settings: Settings, gates: G, gated: bool) -> Result<Self, SettingsError> {
        settings.check()?;
        let shared = Shared {
            gates: Gates::new(gates),
            gated,
            free: FreePlaces::new(),
            state: Mutex::new(State::new(settings, gated)),
            epoch: now(),
        };
        let queue = Self {
            shared: Arc::new(shared),
        };
        queue.enter(&Now::new(), |_, _, _| ());
        Ok(queue)
    }

    /// Waits for a place. Dropping the future leaves the queue; dropping the permit gives the place back.
    ///
    /// # Errors
    ///
    /// Why there is none: the queue is full ([`Reason::QueueFull`]), the wait too long
    /// ([`Reason::QueueTimeout`]), the deadline past ([`Reason::Deadline`]), the queue closed
    /// ([`Reason::Overloaded`]), or what a gate says that waiting would not help with.
    pub async fn acquire(
        &self,
        demand: QueueDemand<G::Demand>,
    ) -> Result<Permit<QueueTicket<G>>, Rejection> {
        match self.admit(demand, &Now::new()) {
            Verdict::Now(answer) => answer,
            Verdict::Later(wait) => wait.await,
        }
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> QueueStatus {
        let state = self.shared.state.lock();
        QueueStatus {
            limit: state.limit,
            in_flight: self.shared.free.taken().unwrap_or(state.in_flight),
            depth: (0..state.settings.levels)
                .map(|level| state.queue.depth(level))
                .collect(),
            capacity: state.settings.capacity,
            paused: state.paused,
            accepting: state.door == Door::Open,
            reading: state.settings.limit.reading(),
        }
    }

    /// How many of an effective priority wait.
    #[must_use]
    pub fn depth(&self, urgency: impl Urgency) -> usize {
        self.shared.state.lock().queue.depth(urgency.level())
    }

    /// What it was told, with what an adaptive limit has learnt.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.shared.state.lock().settings.clone()
    }

    /// Puts other settings in force. Those who wait stay, in order of arrival; those whose capacity is gone
    /// stay too, and how long each waits at most was decided when it came. What is in flight counts in the
    /// partition of the same number.
    ///
    /// # Errors
    ///
    /// If the settings make no sense; then nothing changes.
    pub fn set(&self, settings: Settings) -> Result<(), SettingsError> {
        settings.check()?;
        self.enter(&Now::new(), |state, gates, step| {
            state.lines = Lines::default();
            state.queue.set_rules(settings.rules());
            state.by_partition.resize(settings.partitions.len(), 0);
            state.limit = settings.limit.get();
            state.settings = settings;
            state.is_counting = state.settings.is_counting() && !self.shared.gated;
            state.advance(gates, step, false);
        });
        Ok(())
    }

    /// Puts another limit in force, a number or an adaptive one. What is above a smaller one stays in flight.
    pub fn set_limit(&self, limit: impl Into<Limit>) {
        self.enter(&Now::new(), |state, gates, step| {
            state.settings.limit = limit.into();
            state.is_counting = state.settings.is_counting() && !self.shared.gated;
            state.set_limit(gates, state.settings.limit.get(), step);
        });
    }

    /// Lets nobody go until [`resume`](Self::resume). Newcomers wait, up to the capacity.
    pub fn pause(&self) {
        self.enter(&Now::new(), |state, _, _| state.paused = true);
    }

    /// Lets those go again who may.
    pub fn resume(&self) {
        self.enter(&Now::new(), |state, gates, step| {
            state.paused = false;
            state.advance(gates, step, false);
        });
    }

    /// Takes nobody in any more; the future is ready when all who wait and all in flight have gone. Dropping
    /// it changes nothing; [`open`](Self::open) takes it back.
    pub fn drain(&self) -> Drained<G> {
        self.enter(&Now::new(), |state, _, _| state.door = Door::Draining);
        Drained::new(self.clone())
    }

    /// Takes nobody in any more, and refuses all who wait. What is in flight goes on; [`drain`](Self::drain)
    /// waits for it.
    pub fn close(&self) {
        self.enter(&Now::new(), |state, gates, _| {
            state.door = Door::Closed;
            for id in state.queue.by_arrival() {
                state.refuse(id, Rejection::new(Reason::Overloaded, When::Unknown));
            }
            state.appoint(gates);
            state.tell_if_drained();
        });
    }

    /// Takes newcomers in again after [`drain`](Self::drain) or [`close`](Self::close).
    pub fn open(&self) {
        self.enter(&Now::new(), |state, _, _| state.door = Door::Open);
    }

    /// The gates that it asks.
    #[must_use]
    pub fn gates(&self) -> &G {
        &self.shared.gates.policy
    }

    pub(crate) fn epoch(&self) -> Instant {
        self.shared.epoch
    }

    /// Does something under the lock, and wakes whoever must know of it when the lock is dropped.
    #[inline]
    pub(crate) fn enter<R>(
        &self,
        now: &Now,
        decide: impl FnOnce(&mut State<G>, &Gates<G>, &Step<'_>) -> R,
    ) -> R {
        let Shared {
            gates,
            free,
            state,
            epoch,
            ..
        } = &*self.shared;
        let step = Step { now, epoch: *epoch };
        let busy = self.busy();
        let (result, wakers) = {
            let mut state = state.lock();
            if let Some(taken) = free.take_up() {
                state.in_flight = taken;
            }
            let result = decide(&mut state, gates, &step);
            if state.only_counts() {
                free.lay_down(state.in_flight, state.limit);
            }
            (result, state.wakers.take())
        };
        drop(busy);
        if let Some(wakers) = wakers {
            wakers.wake();
        }
        result
    }

    /// While it lives the gates call nobody: whoever has it looks for itself.
    pub(crate) fn busy(&self) -> Option<Busy<'_, G>> {
        self.shared.gated.then(|| {
            self.shared.gates.notifier.enter();
            Busy(self)
        })
    }

    #[inline]
    fn permit(
        &self,
        gates: Permit<G::Ticket>,
        place: Place,
        demand: Option<G::Demand>,
    ) -> Permit<QueueTicket<G>> {
        Permit::new(QueueTicket::new(self.clone(), demand, gates, place))
    }

    /// A place, without the lock, if nobody waits and nothing but the count decides.
    #[inline]
    fn take_free(&self, demand: &QueueDemand<G::Demand>, now: &Now) -> Option<Place> {
        if demand
            .deadline
            .is_some_and(|deadline| deadline <= now.get())
        {
            return None;
        }
        Some(Place {
            partition: demand.partition,
            in_flight: self.shared.free.take()?,
            since: None,
        })
    }

    #[inline]
    pub(crate) fn give_back(&self, place: Place, now: &Now) {
        if self.shared.free.give_back() {
            return;
        }
        self.enter(now, |state, gates, step| {
            state.give_back(gates, place, step);
        });
    }

    pub(crate) fn sample(&self, sample: &Sample, now: &Now) {
        self.enter(now, |state, gates, step| state.sample(gates, sample, step));
    }
}

pub(crate) struct Busy<'a, G: Policy>(&'a PriorityQueue<G>);

impl<G: Policy> Drop for Busy<'_, G> {
    fn drop(&mut self) {
        self.0.shared.gates.notifier.leave();
    }
}

impl<G: Policy> Admission for PriorityQueue<G> {
    type Demand = QueueDemand<G::Demand>;
    type Ticket = QueueTicket<G>;
    type Wait = QueueWait<G>;

    #[inline]
    fn admit(&self, demand: Self::Demand, now: &Now) -> Verdict<QueueTicket<G>, QueueWait<G>> {
        if let Some(place) = self.take_free(&demand, now) {
            return Verdict::Now(Ok(self.permit(Permit::exempt(), place, demand.gates)));
        }
        let arrived = self.enter(now, |state, gates, step| state.arrive(gates, demand, step));
        match arrived {
            Arrived::Granted(permit, place, demand) => {
                Verdict::Now(Ok(self.permit(permit, place, demand)))
            }
            Arrived::Refused(rejection) => Verdict::Now(Err(rejection)),
            Arrived::Waits(id) => Verdict::Later(QueueWait::new(self.clone(), id)),
        }
    }
}

// Derived, these would demand it of the gates.
impl<G: Policy> Clone for PriorityQueue<G> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<G: Policy> fmt::Debug for PriorityQueue<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status();
        f.debug_struct("PriorityQueue")
            .field("limit", &status.limit)
            .field("in_flight", &status.in_flight)
            .field("waiting", &status.waiting())
            .finish_non_exhaustive()
    }
}
