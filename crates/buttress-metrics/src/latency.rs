//! How long things took, over the last minute and since the start, without anybody waiting for anybody.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::time::Duration;

use buttress_core::time::Instant;
use hdrhistogram::Histogram;

use crate::buckets::{BUCKETS, bounds, bucket};

/// How long an epoch is, in seconds.
const EPOCH: u64 = 10;

/// How many whole epochs the last minute has.
const MINUTE: u64 = 6;

/// How many marks are kept: one for every epoch of the last minute, the one that runs, and the one that is
/// being overwritten.
const MARKS: usize = 8;

/// Counts since the start, and what they were when the latest epochs began.
///
/// To record is to add one to a bucket. The last minute is the difference between the counts of now and those
/// that were marked a minute ago, so that nothing is counted twice or lost, and no slot has ever to be emptied
/// while somebody adds to it. The first who records in an epoch marks the counts; nobody waits for that.
pub(crate) struct Latency {
    start: Instant,
    /// The latest epoch that somebody recorded in, from 1.
    epoch: AtomicU64,
    counts: Counts,
    /// In nanoseconds.
    sum: AtomicU64,
    greatest: AtomicU64,
    marks: [Mark; MARKS],
}

type Counts = Box<[AtomicU64]>;

/// What the counts were when an epoch began.
struct Mark {
    /// 0 while there is none, or it is being written.
    epoch: AtomicU64,
    sum: AtomicU64,
    counts: Counts,
}

fn counts() -> Counts {
    (0..BUCKETS).map(|_| AtomicU64::new(0)).collect()
}

impl Latency {
    pub(crate) fn new(start: Instant) -> Self {
        let mark = |index| Mark {
            // When the first epoch began, nothing had been counted.
            epoch: AtomicU64::new(u64::from(index == 1)),
            sum: AtomicU64::new(0),
            counts: counts(),
        };
        Self {
            start,
            epoch: AtomicU64::new(1),
            counts: counts(),
            sum: AtomicU64::new(0),
            greatest: AtomicU64::new(0),
            marks: std::array::from_fn(mark),
        }
    }

    fn epoch_of(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_secs() / EPOCH + 1
    }

    #[inline]
    pub(crate) fn record(&self, took: Duration, now: Instant) {
        let epoch = self.epoch_of(now);
        let latest = self.epoch.load(Relaxed);
        if epoch > latest {
            self.mark(latest, epoch);
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)].fetch_add(1, Relaxed);
        self.sum.fetch_add(nanos, Relaxed);
        if nanos > self.greatest.load(Relaxed) {
            self.greatest.fetch_max(nanos, Relaxed);
        }
    }

    #[cold]
    fn mark(&self, latest: u64, epoch: u64) {
        let ours = self.epoch.compare_exchange(latest, epoch, AcqRel, Relaxed);
        if ours.is_err() {
            return;
        }
        let mark = &self.marks[slot(epoch)];
        mark.epoch.store(0, Release);
        for (marked, count) in mark.counts.iter().zip(&self.counts) {
            marked.store(count.load(Relaxed), Relaxed);
        }
        mark.sum.store(self.sum.load(Relaxed), Relaxed);
        mark.epoch.store(epoch, Release);
    }

    /// Since the start.
    pub(crate) fn since_start(&self) -> Percentiles {
        let counted = read(&self.counts);
        let greatest = self.greatest.load(Relaxed);
        percentiles(&counted, self.sum.load(Relaxed), greatest)
    }

    /// Over the last minute: whole epochs, so over up to ten seconds more.
    pub(crate) fn last_minute(&self, now: Instant) -> Percentiles {
        let first = self.epoch_of(now).saturating_sub(MINUTE).max(1);
        let Some((mut then, sum)) = self.marked_since(first) else {
            // Nobody recorded since.
            return Percentiles::default();
        };
        for (then, now) in then.iter_mut().zip(&self.counts) {
            *then = now.load(Relaxed).saturating_sub(*then);
        }
        let last = then.iter().rposition(|count| *count > 0);
        let greatest = self.greatest.load(Relaxed);
        let greatest = last.map_or(0, |last| bounds(last).1.min(greatest));
        percentiles(&then, self.sum.load(Relaxed).saturating_sub(sum), greatest)
    }

    /// The counts of when an epoch began. An epoch in which nobody recorded has no mark; the next one's has
    /// the same counts.
    fn marked_since(&self, first: u64) -> Option<(Vec<u64>, u64)> {
        let epoch_of = |mark: &&Mark| mark.epoch.load(Acquire);
        let in_time = |mark: &&Mark| epoch_of(mark) >= first;
        let mark = self.marks.iter().filter(in_time).min_by_key(epoch_of)?;
        let epoch = epoch_of(&mark);
        let (counted, sum) = (read(&mark.counts), mark.sum.load(Relaxed));
        // Overwritten meanwhile: that takes eighty seconds in which we did nothing.
        (epoch != 0 && epoch_of(&mark) == epoch).then_some((counted, sum))
    }
}

fn slot(epoch: u64) -> usize {
    usize::try_from(epoch).unwrap_or(0) % MARKS
}

fn read(counts: &Counts) -> Vec<u64> {
    counts.iter().map(|count| count.load(Relaxed)).collect()
}

/// How long things took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Percentiles {
    /// How many there were.
    pub count: u64,
    /// On average.
    pub mean: Duration,
    /// Half took no longer.
    pub p50: Duration,
    /// 90 % took no longer.
    pub p90: Duration,
    /// 95 % took no longer.
    pub p95: Duration,
    /// 99 % took no longer.
    pub p99: Duration,
    /// 99.9 % took no longer.
    pub p99_9: Duration,
    /// The longest; exact since the start, and over the last minute at most 3.2 % more than it was.
    pub max: Duration,
}

fn percentiles(counts: &[u64], sum: u64, greatest: u64) -> Percentiles {
    let count: u64 = counts.iter().sum();
    // Three digits are more than the buckets have.
    let Ok(mut histogram) = Histogram::<u64>::new(3) else {
        return Percentiles::default();
    };
    for (index, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let (least, most) = bounds(index);
        let middle = least + (most - least) / 2;
        // It grows to whatever is recorded.
        let _ = histogram.record_n(middle, count);
    }
    let at = |quantile| Duration::from_nanos(histogram.value_at_quantile(quantile).min(greatest));
    Percentiles {
        count,
        mean: Duration::from_nanos(sum.checked_div(count).unwrap_or(0)),
        p50: at(0.5),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        p99_9: at(0.999),
        max: Duration::from_nanos(greatest),
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Latency").field(&self.since_start()).finish()
    }
}
