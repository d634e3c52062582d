//! The layer and its builder.

use std::fmt;
use std::time::Duration;

use buttress_core::{
    Admit, AdmitLayer, AsBoxError, AsError, AtHead, ByError, Observe, Observed, Path, Policy,
    Rejection, Seed, With,
};
use tower_layer::Layer;

use crate::ask::{
    ByCost, ByDeadline, ByOrder, ByPartition, ByPriority, ByTenant, QueueAsk, Unless,
};
use crate::demand::NoGate;
use crate::handle::PriorityQueue;
use crate::limit::Limit;
use crate::priority::{InOrder, Urgency};
use crate::settings::{Settings, SettingsError};

/// Limits how many requests are in flight, and lets the others wait in order.
///
/// Without more words all are of one priority and go in order of arrival, 100 may wait, and who finds no room
/// is answered with [`Error::Rejected`](buttress_core::Error::Rejected). Every word adds to that:
///
/// - the order: [`by`](Self::by), [`by_order`](Self::by_order), [`ageing`](Self::ageing),
///   [`tenant`](Self::tenant) and [`cost`](Self::cost), [`newest_first_after`](Self::newest_first_after);
/// - who waits, and for how long: [`capacity`](Self::capacity),
///   [`capacity_of`](Self::capacity_of), [`max_wait`](Self::max_wait), [`deadline`](Self::deadline),
///   [`unless`](Self::unless);
/// - who may use which places: [`reserve`](Self::reserve), [`partitions`](Self::partitions);
/// - what else must be free before somebody goes: [`after`](PriorityQueueLayer::after);
/// - what becomes of a rejection: [`as_box_error`](Self::as_box_error), [`on_reject`](Self::on_reject), and
///   with feature `http` `respond_http` and its relatives;
/// - who hears of it: [`observe`](Self::observe).
///
/// With feature `http` a place is held until the response's body has ended.
///
/// The state lives in the layer: all services that it makes, and all its clones, share one queue.
/// [`queue`](Self::queue) is the handle to look at it and to change it.
#[derive(Clone)]
pub struct PriorityQueueLayer<
    Q = QueueAsk,
    G: Policy = NoGate,
    A = PriorityQueue<G>,
    C = AtHead<ByError>,
    R = AsError,
> {
    pub(crate) queue: PriorityQueue<G>,
    pub(crate) ask: Q,
    pub(crate) admission: A,
    pub(crate) settle: C,
    pub(crate) on_reject: R,
}

/// A service behind a queue.
pub type Queued<S, Q = QueueAsk, A = PriorityQueue, C = AtHead<ByError>, R = AsError> =
    Admit<S, Q, A, C, R>;

/// A layer that has been told one word more: the ask reads `W` as before, and then `N`.
pub type Saying<W, N, B, G, A, C, R> = PriorityQueueLayer<QueueAsk<(W, N), B>, G, A, C, R>;

impl PriorityQueueLayer {
    /// Lets so many go at once: a number, or an adaptive limit such as [`Vegas`](crate::limit::Vegas).
    #[must_use]
    pub fn new(limit: impl Into<Limit>) -> Self {
        match Self::of(Settings::new(limit)) {
            Ok(layer) => layer,
            Err(error) => panic!("{error}"),
        }
    }

    /// A queue as the settings say.
    ///
    /// # Errors
    ///
    /// If the settings make no sense: which one, and what it may be.
    pub fn of(settings: Settings) -> Result<Self, SettingsError> {
        PriorityQueue::new(settings).map(Self::from)
    }
}

/// A layer on a queue that was built elsewhere, or that others use too.
impl From<PriorityQueue> for PriorityQueueLayer {
    fn from(queue: PriorityQueue) -> Self {
        Self {
            ask: QueueAsk {
                seed: Seed::random(),
                words: (),
                gates: (),
            },
            admission: queue.clone(),
            queue,
            settle: AtHead(ByError),
            on_reject: AsError,
        }
    }
}

impl<Q, G: Policy, A, C, R> PriorityQueueLayer<Q, G, A, C, R> {
    /// The queue, to look at it and to change it while it works.
    #[must_use]
    pub fn queue(&self) -> &PriorityQueue<G> {
        &self.queue
    }

    /// How many may wait; 100 if nothing is said. Who comes then pushes out the latest arrival of the lowest
    /// priority, if that is lower than its own, and is refused if not.
    ///
    /// # Panics
    ///
    /// If that is above 1,048,576.
    #[must_use]
    pub fn capacity(self, waiting: usize) -> Self {
        self.change(|settings| settings.capacity = waiting)
    }

    /// How many of this priority may wait, whatever room there is in all. Without it requests that are more
    /// urgent can push all others out, however old these are; where each priority has its part of the
    /// capacity, and [`ageing`](Self::ageing) is on, all of them move. What counts is the priority that a
    /// request came with.
    ///
    /// # Panics
    ///
    /// If that is above 1,048,576, or the priority none of the queue's.
    #[must_use]
    pub fn capacity_of(self, priority: impl Urgency, waiting: usize) -> Self {
        self.change(|settings| *settings = settings.clone().capacity_of(&priority, waiting))
    }

    /// How long one waits at most.
    ///
    /// # Panics
    ///
    /// If that is zero, or above 10^10 s.
    #[must_use]
    pub fn max_wait(self, time: Duration) -> Self {
        self.change(|settings| settings.max_wait = Some(time))
    }

    /// Lets a waiter rise one priority for every full `time` it has waited, up to the highest, so that the
    /// lowest always moves.
    ///
    /// # Panics
    ///
    /// If that is zero, or above 10^10 s.
    #[must_use]
    pub fn ageing(self, time: Duration) -> Self {
        self.change(|settings| settings.ageing = Some(time))
    }

    /// Whether tenants take turns inside a priority; [`tenant`](Self::tenant) says so too.
    #[must_use]
    pub fn fair(self, fair: bool) -> Self {
        self.change(|settings| settings.fair = fair)
    }

    /// Lets the latest arrival of a priority go first once the queue has not been empty for this long: what
    /// was just asked for is still worth answering, what has waited long may not be. Say how long one waits
    /// at most, too, as the oldest starve.
    ///
    /// # Panics
    ///
    /// If that is zero, or above 10^10 s.
    #[must_use]
    pub fn newest_first_after(self, time: Duration) -> Self {
        self.change(|settings| settings.newest_first_after = Some(time))
    }

    /// How many levels there are, if priorities are numbers; 4 if nothing is said.
    ///
    /// # Panics
    ///
    /// If that is 0, or above 64.
    #[must_use]
    pub fn levels(self, levels: u8) -> Self {
        self.change(|settings| settings.levels = levels)
    }

    /// Keeps a share of the places, rounded up, for requests of this priority or above. What counts is the
    /// priority that a request came with.
    ///
    /// # Panics
    ///
    /// If the share is not between 0 and 1, or the priority the lowest one or none of the queue's.
    #[must_use]
    pub fn reserve(self, share: f64, from: impl Urgency) -> Self {
        self.change(|settings| settings.reserve = Some((share, from.level())))
    }

    /// Answers a rejection with a boxed error, for stacks with tower's Buffer, Timeout or LoadShed.
    #[must_use]
    pub fn as_box_error(self) -> PriorityQueueLayer<Q, G, A, C, AsBoxError> {
        self.answer(AsBoxError)
    }

    /// Answers a rejection with what `f` makes of it: a response or an error of the inner service's types.
    #[must_use]
    pub fn on_reject<F, Res, E>(self, f: F) -> PriorityQueueLayer<Q, G, A, C, With<F>>
    where
        F: Fn(Rejection) -> Result<Res, E>,
    {
        self.answer(With(f))
    }

    /// Says how a call went, for adaptive limits and gates: any [`Classify`](buttress_core::Classify). Its
    /// permit then ends at the head; with feature `http` say `respond_http` instead.
    ///
    /// Without it that is [`ByError`], which needs an error that is a `std::error::Error`. Over boxed errors
    /// say [`ByBoxError`](buttress_core::ByBoxError), over any others [`ByResult`](buttress_core::ByResult).
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> PriorityQueueLayer<Q, G, A, AtHead<C2>, R> {
        self.settling(AtHead(classify))
    }

    /// Settles permits in another way.
    #[must_use]
    pub fn settling<C2>(self, settle: C2) -> PriorityQueueLayer<Q, G, A, C2, R> {
        PriorityQueueLayer {
            queue: self.queue,
            ask: self.ask,
            admission: self.admission,
            settle,
            on_reject: self.on_reject,
        }
    }

    /// Tells an observer what is admitted, refused, queued and settled.
    #[must_use]
    pub fn observe<O>(self, observer: O) -> PriorityQueueLayer<Q, G, Observed<A, O>, C, R>
    where
        O: Observe + Clone,
    {
        PriorityQueueLayer {
            queue: self.queue,
            ask: self.ask,
            admission: Observed::new(self.admission, observer),
            settle: self.settle,
            on_reject: self.on_reject,
        }
    }

    pub(crate) fn change(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.queue.settings();
        change(&mut settings);
        if let Err(error) = self.queue.set(settings) {
            panic!("{error}");
        }
        self
    }

    pub(crate) fn answer<R2>(self, on_reject: R2) -> PriorityQueueLayer<Q, G, A, C, R2> {
        PriorityQueueLayer {
            queue: self.queue,
            ask: self.ask,
            admission: self.admission,
            settle: self.settle,
            on_reject,
        }
    }

    fn asking<Q2>(self, ask: impl FnOnce(Q) -> Q2) -> PriorityQueueLayer<Q2, G, A, C, R> {
        PriorityQueueLayer {
            queue: self.queue,
            ask: ask(self.ask),
            admission: self.admission,
            settle: self.settle,
            on_reject: self.on_reject,
        }
    }
}

/// What is read from requests. Saying the same word again replaces what was said before, except for
/// deadlines, of which the earliest counts.
impl<W, B, G: Policy, A, C, R> PriorityQueueLayer<QueueAsk<W, B>, G, A, C, R> {
    /// How urgent a request is: a closure that returns a [`Priority`](crate::Priority) or a number
    /// (`|call: &Call| call.priority`), or a ready reader.
    #[must_use]
    pub fn by<P>(self, priority: P) -> Saying<W, ByPriority<P>, B, G, A, C, R> {
        self.word(ByPriority(priority))
    }

    /// How urgent a request is, as a value of any ordered type: the greater the more urgent. `values` are the
    /// levels.
    ///
    /// # Panics
    ///
    /// If there are no values, or more than 64.
    #[must_use]
    pub fn by_order<P: Ord, F>(
        self,
        values: impl IntoIterator<Item = P>,
        read: F,
    ) -> Saying<W, ByOrder<P, F>, B, G, A, C, R> {
        let order = InOrder::new(values, read);
        let levels = u8::try_from(order.levels()).unwrap_or(u8::MAX);
        self.levels(levels).word(ByPriority(order))
    }

    /// Whose a request is: a closure (`|call: &Call| Some(call.tenant)`), or a ready key. Inside a priority
    /// tenants take turns from then on. Requests of nobody are one tenant together.
    #[must_use]
    pub fn tenant<K>(self, tenant: K) -> Saying<W, ByTenant<K>, B, G, A, C, R> {
        self.fair(true).word(ByTenant(tenant))
    }

    /// What a turn costs its tenant, if not 1: a closure (`|call: &Call| call.tokens`).
    #[must_use]
    pub fn cost<F>(self, cost: F) -> Saying<W, ByCost<F>, B, G, A, C, R> {
        self.word(ByCost(cost))
    }

    /// From when on an answer is worthless: a closure, or a ready reader. Nothing starts at or after it.
    #[must_use]
    pub fn deadline<D>(self, deadline: D) -> Saying<W, ByDeadline<D>, B, G, A, C, R> {
        self.word(ByDeadline(deadline))
    }

    /// Divides the places among tenants or classes: each partition has at most its share of the limit,
    /// rounded up, and the closure says by its number, from 0, which a request is of. Shares may add up to
    /// more than 1 (`[1.0, 0.3]`: batches never have more than 30 %); the whole limit is never exceeded.
    /// What is not used of a share is not lent, as a place that was lent cannot be asked back.
    ///
    /// # Panics
    ///
    /// If a share is not above 0 and at most 1, or there are more than 64.
    #[must_use]
    pub fn partitions<F>(
        self,
        shares: impl IntoIterator<Item = f64>,
        partition: F,
    ) -> Saying<W, ByPartition<F>, B, G, A, C, R> {
        let shares = shares.into_iter().collect();
        self.change(|settings| settings.partitions = shares)
            .word(ByPartition(partition))
    }

    /// Which requests the queue, and its gates, do not concern: a closure, a ready exemption, or a tuple of
    /// them. They go straight to the inner service and take no place.
    #[must_use]
    pub fn unless<X>(self, exempt: X) -> Saying<W, Unless<X>, B, G, A, C, R> {
        self.word(Unless(exempt))
    }

    fn word<W2>(self, word: W2) -> Saying<W, W2, B, G, A, C, R> {
        self.asking(|ask| QueueAsk {
            seed: ask.seed,
            words: (ask.words, word),
            gates: ask.gates,
        })
    }
}

impl<S, Q, G, A, C, R> Layer<S> for PriorityQueueLayer<Q, G, A, C, R>
where
    Q: Clone,
    G: Policy,
    A: Clone,
    C: Clone,
    R: Clone,
{
    type Service = Queued<S, Q, A, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        let path = Path {
            ask: self.ask.clone(),
            admission: self.admission.clone(),
            settle: self.settle.clone(),
            on_reject: self.on_reject.clone(),
        };
        AdmitLayer::from_path(path).layer(inner)
    }
}

impl<Q, G: Policy, A, C, R> fmt::Debug for PriorityQueueLayer<Q, G, A, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PriorityQueueLayer")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}
