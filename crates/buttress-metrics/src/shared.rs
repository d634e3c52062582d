//! What all clones of a layer share: the counts, and the series of all sets of labels.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use buttress_core::time::{Instant, now};
use metrics::{Counter, Gauge, Label};

use crate::ending::Ending;
use crate::latency::Latency;
#[cfg(feature = "http")]
use crate::names::OVERFLOW;
use crate::once_table::OnceTable;
use crate::series::{Context, Series};
#[cfg(feature = "http")]
use crate::sink::counter;
use crate::sink::gauge;
use crate::snapshot::RequestMetrics;

/// The methods that gauges tell apart.
pub(crate) const METHODS: [&str; 10] = [
    "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "_OTHER",
];

/// What stands for all sets of labels beyond the most there may be.
const OTHER: &str = "other";

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) context: Context,
    table: OnceTable<Series>,
    other: Series,
    active: [OnceLock<Gauge>; METHODS.len()],
    overflow: OnceLock<Counter>,
    started: AtomicU64,
    ended: [AtomicU64; Ending::COUNT],
    overflowed: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    to_end: Latency,
    to_head: Option<Latency>,
}

/// Where a request is counted.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In the series of its labels.
    Own(usize),
    /// With all that have no series of their own.
    Other,
    /// A call of gRPC by a name that was not seen before: anybody can make names up, so it gets a series only
    /// once the service knows it. Boxed, because it is seldom and every call is moved about.
    #[cfg(feature = "http")]
    Unproven(Box<http::Uri>),
}

impl Shared {
    pub(crate) fn new(context: Context, most: usize) -> Self {
        let start = now();
        let over_http = context.kind.family().to_head.is_some();
        // Without labels that tell requests apart, one series is all there is.
        let most = if over_http { most } else { 0 };
        Self {
            table: OnceTable::new(most),
            other: Series::new(context.kind, (OTHER, OTHER)),
            active: [const { OnceLock::new() }; METHODS.len()],
            overflow: OnceLock::new(),
            started: AtomicU64::new(0),
            ended: [const { AtomicU64::new(0) }; Ending::COUNT],
            overflowed: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            to_end: Latency::new(start),
            to_head: over_http.then(|| Latency::new(start)),
            context,
        }
    }

    /// The place of a set of labels, which gets a series if there is room for one.
    #[cfg(feature = "http")]
    pub(crate) fn place(&self, names: (&str, &str)) -> Place {
        let make = || Series::new(self.context.kind, names);
        match self
            .table
            .find_or_make(names, |series| series.is(names), make)
        {
            Some(place) => Place::Own(place),
            None => {
                self.overflowed();
                Place::Other
            }
        }
    }

    /// The place of a set of labels, if it has a series.
    #[cfg(feature = "http")]
    pub(crate) fn known(&self, names: (&str, &str)) -> Option<Place> {
        let place = self.table.find(names, |series| series.is(names));
        place.map(Place::Own)
    }

    #[cfg(feature = "http")]
    #[cold]
    fn overflowed(&self) {
        self.overflowed.fetch_add(1, Relaxed);
        let make = || {
            let labels = [self.context.label()];
            let made = |recorder: &dyn metrics::Recorder| counter(recorder, &OVERFLOW, &labels);
            self.context
                .sink
                .with(|recorder| self.overflow.get_or_init(|| made(recorder)))
        };
        if let Some(overflow) = self.overflow.get().or_else(make) {
            overflow.increment(1);
        }
    }

    /// A request begins. Whether its gauge was told: it falls only if it rose.
    #[inline]
    pub(crate) fn begin(&self, method: u8) -> bool {
        self.started.fetch_add(1, Relaxed);
        match self.active(method) {
            Some(active) => {
                active.increment(1.0);
                true
            }
            None => false,
        }
    }

    /// The head of a response has come.
    #[inline]
    pub(crate) fn head(&self, place: &Place, took: Duration, sent: u64, now: Instant) {
        if let Some(to_head) = &self.to_head {
            to_head.record(took, now);
            self.series(place)
                .head(&self.context, took.as_secs_f64(), sent);
        }
        if sent > 0 {
            self.sent.fetch_add(sent, Relaxed);
        }
    }

    #[cfg(feature = "http")]
    #[inline]
    pub(crate) fn received(&self, place: &Place, bytes: u64) {
        if bytes > 0 {
            self.received.fetch_add(bytes, Relaxed);
            self.series(place).received(&self.context, bytes);
        }
    }

    /// A request has ended.
    #[inline]
    pub(crate) fn end(&self, ended: &Ended<'_>, now: Instant) {
        let Ended {
            place,
            code,
            ending,
            took,
            ..
        } = *ended;
        self.ended[ending.index()].fetch_add(1, Relaxed);
        self.to_end.record(took, now);
        let series = self.series(place);
        series.end(&self.context, code, ending, took.as_secs_f64());
        if let Some(method) = ended.active
            && let Some(active) = self.active(method)
        {
            active.decrement(1.0);
        }
    }

    #[inline]
    fn series(&self, place: &Place) -> &Series {
        match place {
            Place::Own(place) => self.table.get(*place).unwrap_or(&self.other),
            _ => &self.other,
        }
    }

    /// What tells the requests of a place apart.
    #[cfg(feature = "tracing")]
    pub(crate) fn names(&self, place: &Place) -> (&str, &str) {
        let series = self.series(place);
        (&series.first, &series.second)
    }

    #[inline]
    fn active(&self, method: u8) -> Option<&Gauge> {
        let cell = self.active.get(usize::from(method))?;
        match cell.get() {
            Some(active) => Some(active),
            None => self.make_active(cell, method),
        }
    }

    #[cold]
    fn make_active<'a>(&self, cell: &'a OnceLock<Gauge>, method: u8) -> Option<&'a Gauge> {
        let name = &self.context.kind.family().active;
        self.context.sink.with(|recorder| {
            cell.get_or_init(|| {
                let mut labels = vec![self.context.label()];
                if name.labels.len() > 1 {
                    let method = METHODS[usize::from(method) % METHODS.len()];
                    labels.push(Label::from_static_parts("http.request.method", method));
                }
                gauge(recorder, name, &labels)
            })
        })
    }

    pub(crate) fn snapshot(&self) -> RequestMetrics {
        let now = now();
        // First those that ended, so that none seems to have ended that did not begin.
        let ended: [u64; Ending::COUNT] =
            std::array::from_fn(|index| self.ended[index].load(Relaxed));
        let started = self.started.load(Relaxed);
        let to_head = self.to_head.as_ref().unwrap_or(&self.to_end);
        RequestMetrics {
            name: self.context.layer.to_string(),
            requests: started,
            in_flight: started.saturating_sub(ended.iter().sum()),
            ended: Ending::ALL.map(|ending| (ending, ended[ending.index()])),
            request_bytes: self.sent.load(Relaxed),
            response_bytes: self.received.load(Relaxed),
            label_sets: self.table.len(),
            overflowed: self.overflowed.load(Relaxed),
            to_head: to_head.since_start(),
            to_head_last_minute: to_head.last_minute(now),
            to_body_end: self.to_end.since_start(),
            to_body_end_last_minute: self.to_end.last_minute(now),
        }
    }
}

/// What is told of a request that has ended.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) place: &'a Place,
    pub(crate) code: u8,
    pub(crate) ending: Ending,
    pub(crate) took: Duration,
    /// Whose gauge rose when it began.
    pub(crate) active: Option<u8>,
}
