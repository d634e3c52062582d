//! When an attempt takes long.

use std::time::Duration;

use buttress_core::time::Instant;

/// After how long an attempt gets company.
#[derive(Clone, Debug)]
pub struct Delay(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Fixed(Duration),
    #[cfg(feature = "hdrhistogram")]
    Percentile(std::sync::Arc<latencies::Latencies>),
}

impl Delay {
    pub(crate) const fn fixed(delay: Duration) -> Self {
        Self(Kind::Fixed(delay))
    }

    #[cfg(feature = "hdrhistogram")]
    pub(crate) fn percentile(quantile: f64) -> Self {
        Self(Kind::Percentile(latencies::Latencies::new(quantile).into()))
    }

    /// The delay at the moment; none while too little is known.
    #[must_use]
    pub fn get(&self) -> Option<Duration> {
        match &self.0 {
            Kind::Fixed(delay) => Some(*delay),
            #[cfg(feature = "hdrhistogram")]
            Kind::Percentile(latencies) => latencies.delay(),
        }
    }

    /// Whether it wants to know how long answers take.
    pub(crate) const fn learns(&self) -> bool {
        !matches!(self.0, Kind::Fixed(_))
    }

    /// An answer has come to what started then.
    pub(crate) fn learn(&self, started: Instant) {
        match &self.0 {
            Kind::Fixed(_) => {
                let _ = started;
            }
            #[cfg(feature = "hdrhistogram")]
            Kind::Percentile(latencies) => {
                let now = buttress_core::time::now();
                latencies.learn(now - started, now);
            }
        }
    }
}

#[cfg(feature = "hdrhistogram")]
mod latencies {
    use std::fmt;
    use std::mem;
    use std::time::Duration;

    use buttress_core::time::Instant;
    use hdrhistogram::Histogram;

    use crate::sync::{AtomicU64, Mutex, Ordering};

    /// How long latencies are collected before the next collection starts.
    const WINDOW: Duration = Duration::from_secs(30);

    /// With fewer a percentile is a guess.
    const ENOUGH: u64 = 100;

    /// The percentile is read anew after so many answers.
    const READ_EVERY: u32 = 32;

    const LONGEST_MICROS: u64 = 3_600_000_000;

    const UNKNOWN: u64 = u64::MAX;

    /// The latencies of the last window, and of the running one.
    pub(super) struct Latencies {
        quantile: f64,
        /// In microseconds. Calls read this and take no lock.
        delay: AtomicU64,
        windows: Mutex<Windows>,
    }

    struct Windows {
        running: Histogram<u64>,
        last: Histogram<u64>,
        since: Option<Instant>,
        unread: u32,
    }

    impl Latencies {
        pub(super) fn new(quantile: f64) -> Self {
            let empty = || {
                Histogram::new_with_bounds(1, LONGEST_MICROS, 2)
                    .expect("these bounds are within those of the crate")
            };
            Self {
                quantile,
                delay: AtomicU64::new(UNKNOWN),
                windows: Mutex::new(Windows {
                    running: empty(),
                    last: empty(),
                    since: None,
                    unread: 0,
                }),
            }
        }

        pub(super) fn delay(&self) -> Option<Duration> {
            match self.delay.load(Ordering::Relaxed) {
                UNKNOWN => None,
                micros => Some(Duration::from_micros(micros)),
            }
        }

        pub(super) fn learn(&self, latency: Duration, now: Instant) {
            let micros = u64::try_from(latency.as_micros()).unwrap_or(UNKNOWN);
            let mut windows = self.windows.lock();
            let is_new = windows.turn(now);
            windows
                .running
                .saturating_record(micros.min(LONGEST_MICROS));
            windows.unread += 1;
            if is_new || windows.unread >= READ_EVERY {
                windows.unread = 0;
                let delay = windows.at(self.quantile).unwrap_or(UNKNOWN);
                self.delay.store(delay, Ordering::Relaxed);
            }
        }
    }

    impl Windows {
        /// Starts another window if this one is over; what is older than the last is forgotten.
        fn turn(&mut self, now: Instant) -> bool {
            let age = now.saturating_duration_since(*self.since.get_or_insert(now));
            if age < WINDOW {
                return false;
            }
            mem::swap(&mut self.running, &mut self.last);
            self.running.reset();
            if age >= 2 * WINDOW {
                self.last.reset();
            }
            self.since = Some(now);
            true
        }

        /// From the last window, which is whole, if it knows enough.
        fn at(&self, quantile: f64) -> Option<u64> {
            let mut windows = [&self.last, &self.running].into_iter();
            let known = windows.find(|window| window.len() >= ENOUGH)?;
            Some(known.value_at_quantile(quantile))
        }
    }

    impl fmt::Debug for Latencies {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Latencies")
                .field("quantile", &self.quantile)
                .field("delay", &self.delay())
                .finish_non_exhaustive()
        }
    }
}
