//! What driver, upstream and layers share: virtual time, what is to come, and what became of every request.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use buttress_core::time::{Instant, later, now};
use buttress_core::wall::{UnixNanos, WallClock};
use buttress_core::{BoxError, Rejection};
use jiff::Timestamp;
use parking_lot::Mutex;

use super::timeline::{Event, Timeline, What};
use super::upstream::{Call, Reply, Slot, Status};
use crate::decision::{Decision, Reason};
use crate::summary::Summary;
use crate::trace::{Milliseconds, Request};

/// Handle to the one world of a run.
pub(super) type World = Arc<Mutex<State>>;

#[derive(Debug)]
pub(super) struct State {
    pub(super) trace: Arc<[Request]>,
    pub(super) timeline: Timeline,
    pub(super) records: Vec<Record>,
    /// The request that is being polled: whatever a layer says, it says of this one.
    pub(super) polled: usize,
    /// What virtual time counts from.
    epoch: Instant,
    first: Milliseconds,
    last: Milliseconds,
    in_flight: usize,
    peak_in_flight: usize,
    waiting: usize,
    peak_waiting: usize,
    /// When waits for a place end, and how many do.
    ends: BTreeMap<Instant, usize>,
}

/// What became of a request so far.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) attempts: Vec<Milliseconds>,
    /// The upstream's answers that are awaited, one an attempt.
    pub(super) slots: Vec<Arc<Slot>>,
    pub(super) end: Option<End>,
    pub(super) left: Option<Left>,
    pub(super) shadowed: bool,
    /// When it leaves the queue, at the latest, while it waits there.
    queued: Option<Patience>,
    in_flight: usize,
    waits: bool,
}

/// How long somebody waits for a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// The end of the longest wait.
    pub(super) longest: Option<Instant>,
    pub(super) deadline: Option<Instant>,
}

impl Patience {
    fn ends(self) -> impl Iterator<Item = Instant> {
        self.longest.into_iter().chain(self.deadline)
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    at: Milliseconds,
    reason: Option<Reason>,
    status: Option<u16>,
    retry_after: Option<u128>,
}

/// What was left in the rate limit's scarcest quota.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    pub(super) remaining: u64,
    pub(super) limit: u64,
}

impl State {
    pub(super) fn new(trace: &[Request]) -> Self {
        let first = trace.first().map_or(0, |request| request.at);
        let arrival = |(index, request): (usize, &Request)| Event {
            at: request.at - first,
            request: index,
            what: What::Arrive,
        };
        let mut timeline = Timeline::default();
        trace
            .iter()
            .enumerate()
            .map(arrival)
            .for_each(|event| timeline.add(event));
        Self {
            trace: trace.into(),
            timeline,
            records: trace.iter().map(|_| Record::default()).collect(),
            polled: 0,
            epoch: now(),
            first,
            last: 0,
            in_flight: 0,
            peak_in_flight: 0,
            waiting: 0,
            peak_waiting: 0,
            ends: BTreeMap::new(),
        }
    }

    /// Virtual time since the first line's `at`.
    pub(super) fn now(&self) -> Milliseconds {
        let since = now().saturating_duration_since(self.epoch);
        Milliseconds::try_from(since.as_millis()).unwrap_or(Milliseconds::MAX)
    }

    /// What civil time it is, if it is `start` where `at` is 0.
    pub(super) fn wall_clock(&self, start: Timestamp) -> WallClock {
        let first = i128::from(self.first) * 1_000_000;
        WallClock::fixed(self.epoch, UnixNanos::new(start.as_nanosecond() + first))
    }

    /// The instant on tokio's clock.
    pub(super) fn instant(&self, at: Milliseconds) -> Instant {
        later(self.epoch, Duration::from_millis(at))
    }

    /// A request as it goes into the layers.
    pub(super) fn call(&self, request: usize) -> Call {
        let line = &self.trace[request];
        Call {
            request,
            key: line.key.as_str().into(),
            tenant: line.tenant.as_str().into(),
            priority: line.priority,
            cost: line.cost,
            estimate: line.tokens.map(|tokens| tokens.estimate),
            method: line.method.as_str().into(),
            deadline: self.deadline(request),
            arrived: self.instant(self.now()),
        }
    }

    /// A request comes to the queue.
    pub(super) fn enter_queue(&mut self, request: usize, patience: Patience) {
        self.leave_queue(request);
        for end in patience.ends() {
            *self.ends.entry(end).or_default() += 1;
        }
        self.records[request].queued = Some(patience);
    }

    /// A request does not wait in the queue, or no more.
    pub(super) fn leave_queue(&mut self, request: usize) {
        let queued = self.records[request].queued.take();
        for end in queued.into_iter().flat_map(Patience::ends) {
            if let Entry::Occupied(mut entry) = self.ends.entry(end) {
                *entry.get_mut() -= 1;
                if *entry.get() == 0 {
                    entry.remove();
                }
            }
        }
    }

    /// Whether a request waits in the queue.
    pub(super) fn waits_in_queue(&self, request: usize) -> bool {
        self.records[request].queued.is_some()
    }

    /// Whether what falls due for a request can be the end of a wait for a place: its own, or, as one who
    /// waits has the queue's timer for all, somebody else's.
    pub(super) fn ends_wait_in_queue(&self, request: usize) -> bool {
        self.records[request].queued.is_some() && self.ends.contains_key(&self.instant(self.now()))
    }

    /// Whether a request that waits for a place waits no longer than now, because of its deadline only.
    pub(super) fn leaves_queue_late(&self, request: usize) -> bool {
        let now = Some(self.instant(self.now()));
        let queued = self.records[request].queued;
        queued.is_some_and(|patience| patience.deadline == now && patience.longest != now)
    }

    /// The instant at which a request's answer becomes worthless.
    fn deadline(&self, request: usize) -> Option<Instant> {
        let line = self.trace.get(request)?;
        Some(self.instant(line.at - self.first + line.deadline?))
    }

    /// An instant that lies whole multiples of `step` away from the one at which `at` is 0, which itself
    /// may lie before all that the clock knows.
    pub(super) fn aligned(&self, step: Duration) -> Instant {
        let first = Duration::from_millis(self.first).as_nanos();
        let beyond = first % step.as_nanos().max(1);
        let beyond = Duration::from_nanos(u64::try_from(beyond).unwrap_or(0));
        self.epoch.checked_sub(beyond).unwrap_or(self.epoch)
    }

    /// Something has happened now.
    pub(super) fn touch(&mut self) {
        self.last = self.now();
    }

    pub(super) fn call_started(&mut self, request: usize) {
        self.records[request].in_flight += 1;
        self.in_flight += 1;
        self.peak_in_flight = self.peak_in_flight.max(self.in_flight);
    }

    pub(super) fn call_ended(&mut self, request: usize) {
        self.records[request].in_flight -= 1;
        self.in_flight -= 1;
    }

    /// Keeps count of those who wait in the layers: neither with the upstream, nor answered, nor between
    /// two attempts.
    pub(super) fn count_waiting(&mut self, request: usize, is_between_attempts: bool) {
        let record = &mut self.records[request];
        let waits = record.end.is_none() && record.in_flight == 0 && !is_between_attempts;
        match (std::mem::replace(&mut record.waits, waits), waits) {
            (false, true) => self.waiting += 1,
            (true, false) => self.waiting -= 1,
            _ => {}
        }
        self.peak_waiting = self.peak_waiting.max(self.waiting);
    }

    /// The caller has its answer.
    pub(super) fn answered(&mut self, request: usize, result: &Result<Reply, BoxError>) {
        let at = self.now();
        let end = match result {
            Ok(reply) => End {
                at,
                reason: None,
                status: reply.extensions().get::<Status>().map(|status| status.0),
                retry_after: None,
            },
            Err(error) => match Rejection::find(&**error) {
                Some(rejection) => End::refused(at, rejection),
                None => End {
                    at,
                    reason: None,
                    status: None,
                    retry_after: None,
                },
            },
        };
        self.records[request].end = Some(end);
    }

    /// The caller has gone away, with or without an answer.
    pub(super) fn left(&mut self, request: usize) {
        let at = self.now();
        self.records[request].end.get_or_insert(End {
            at,
            reason: Some(Reason::Cancelled),
            status: None,
            retry_after: None,
        });
    }

    /// The decisions and the summary of a run that is over.
    pub(super) fn finish(&mut self, shadow: bool) -> (Vec<Decision>, Summary) {
        let first = self.first;
        let records = std::mem::take(&mut self.records).into_iter();
        let decisions: Vec<_> = (records.zip(self.trace.iter()))
            .map(|(record, request)| record.decision(request, first, shadow))
            .collect();
        let mut summary = Summary::of(&self.trace, &decisions);
        summary.peak_in_flight = self.peak_in_flight;
        summary.peak_queue = self.peak_waiting;
        summary.virtual_time = self.last;
        (decisions, summary)
    }
}

impl Record {
    fn decision(self, request: &Request, first: Milliseconds, shadow: bool) -> Decision {
        let end = self
            .end
            .expect("the driver runs until every request has ended");
        Decision {
            id: request.id.clone(),
            key: request.key.clone(),
            admitted: !self.attempts.is_empty(),
            reason: end.reason,
            attempts: self.attempts.iter().map(|at| at + first).collect(),
            ended: end.at + first,
            status: end.status,
            retry_after: end.retry_after,
            remaining: self.left.map(|left| left.remaining),
            limit: self.left.map(|left| left.limit),
            shadow: shadow.then_some(self.shadowed),
        }
    }
}

impl End {
    fn refused(at: Milliseconds, rejection: &Rejection) -> Self {
        use buttress_core::Reason as Layer;
        let reason = match rejection.reason() {
            Layer::TokenBudget => Reason::TokenBudget,
            Layer::CircuitOpen => Reason::CircuitOpen,
            Layer::QueueFull => Reason::QueueFull,
            Layer::QueueTimeout => Reason::QueueTimeout,
            Layer::Deadline => Reason::Deadline,
            Layer::AttemptTimeout => Reason::AttemptTimeout,
            _ => Reason::RateLimit,
        };
        Self {
            at,
            reason: Some(reason),
            status: reason.status(),
            // Queues tell how fast they drain, which is a guess and no decision.
            retry_after: rejection
                .retry_after()
                .filter(|_| reason.tells_when())
                .map(|wait| wait.as_nanos()),
        }
    }
}
