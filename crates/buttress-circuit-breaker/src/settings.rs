//! What a circuit does: a value.

use std::time::Duration;

use crate::open_time::{MILLION, in_millionths};
use crate::settings_error::{SettingsError, counted, rate, timed};
use crate::window::Tally;

/// The longest run of failures that can be asked for.
pub(crate) const MOST_IN_A_ROW: u32 = (1 << 29) - 1;

/// The longest window in calls. A circuit keeps two bits a call.
pub const MOST_CALLS: u32 = 1_000_000;

/// The longest open time without a word, if the open time is not longer itself.
const DEFAULT_OPEN_MAX: Duration = Duration::from_secs(600);

/// Over what the rates are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The last so many calls.
    Calls(u32),
    /// The last so much time, in ten slices.
    Time(Duration),
}

impl Window {
    pub(crate) const fn is_of_time(self) -> bool {
        matches!(self, Self::Time(_))
    }
}

impl From<u32> for Window {
    fn from(calls: u32) -> Self {
        Self::Calls(calls)
    }
}

impl From<Duration> for Window {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

/// A rate at which a circuit trips.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Threshold {
    pub(crate) rate: f64,
    /// Whether the rate itself is still fine.
    pub(crate) exclusive: bool,
}

impl Threshold {
    pub(crate) fn is_reached(self, rate: Option<f64>) -> bool {
        rate.is_some_and(|rate| rate > self.rate || (rate == self.rate && !self.exclusive))
    }
}

/// How open times grow while the circuit does not close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    /// By a factor, in millionths.
    Times(u64),
    /// By the open time itself; one step is taken back per so many nanoseconds without an opening.
    Plus { relax_every: u64 },
}

/// How open times are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Jitter {
    /// By what share a time may be shortened.
    pub(crate) millionths: u64,
    /// Whether the first time is exact.
    pub(crate) spares_first: bool,
}

/// What comes after the open time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// So many probes at once; one bad probe opens again, so many good ones in all close.
    Probes { at_once: u32, close_after: u32 },
    /// So many calls in all, which are then judged by the rates.
    Trial { calls: u32 },
    /// Everything is let through again, at the first multiple of so many nanoseconds.
    Swept { every: u64 },
}

/// What a circuit does.
///
/// It trips on [a run of failures](Self::consecutive_failures), [a rate of failures](Self::failure_rate) or
/// [of slow calls](Self::slow_call_rate), on any one of those that were given. Then it stays open for
/// [`open_for`](Self::open_for), lets [`probes`](Self::probes) through, and closes after
/// [`close_after`](Self::close_after) good ones.
///
/// ```
/// use std::time::Duration;
/// use buttress_circuit_breaker::Settings;
///
/// let settings = Settings::failure_rate(0.5)
///     .or_consecutive_failures(5)
///     .window(Duration::from_secs(20))
///     .minimum_calls(5)
///     .open_for(Duration::from_secs(60));
/// assert!(settings.check().is_ok());
/// ```
///
/// The words take any value; [`check`](Self::check) says whether the whole makes sense, and a breaker can
/// only be made of settings that do.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub(crate) in_a_row: Option<u32>,
    pub(crate) failure_rate: Option<Threshold>,
    pub(crate) slow_call_rate: Option<Threshold>,
    pub(crate) slow_call: Option<Duration>,
    pub(crate) window: Window,
    pub(crate) minimum_calls: u32,
    /// Whether the rates are looked at after failures only, not after every call.
    pub(crate) judges_failures_only: bool,
    pub(crate) open_for: Duration,
    pub(crate) growth: Growth,
    pub(crate) open_max: Option<Duration>,
    pub(crate) jitter: Jitter,
    /// Whether the last instant of the open time still refuses.
    pub(crate) refuses_at_end: bool,
    pub(crate) recovery: Recovery,
    pub(crate) probe_timeout: Option<Duration>,
}

impl Settings {
    /// The defaults, with nothing that trips.
    pub(crate) const fn nothing() -> Self {
        Self {
            in_a_row: None,
            failure_rate: None,
            slow_call_rate: None,
            slow_call: None,
            window: Window::Calls(100),
            minimum_calls: 10,
            judges_failures_only: false,
            open_for: Duration::from_secs(60),
            growth: Growth::Times(MILLION),
            open_max: None,
            jitter: Jitter {
                millionths: 0,
                spares_first: false,
            },
            refuses_at_end: false,
            recovery: Recovery::Probes {
                at_once: 1,
                close_after: 1,
            },
            probe_timeout: None,
        }
    }

    /// Trips at so many failures in a row.
    #[must_use]
    pub const fn consecutive_failures(count: u32) -> Self {
        Self::nothing().or_consecutive_failures(count)
    }

    /// Trips when this share of the calls in the window failed, or more of them: above 0, at most 1.
    #[must_use]
    pub const fn failure_rate(rate: f64) -> Self {
        Self::nothing().or_failure_rate(rate)
    }

    /// Trips when this share of the calls in the window, or more of them, took longer than `slow_call` to
    /// the head of their response.
    #[must_use]
    pub const fn slow_call_rate(rate: f64, slow_call: Duration) -> Self {
        Self::nothing().or_slow_call_rate(rate, slow_call)
    }

    /// Trips at so many failures in a row, too.
    #[must_use]
    pub const fn or_consecutive_failures(mut self, count: u32) -> Self {
        self.in_a_row = Some(count);
        self
    }

    /// Trips at a rate of failures, too.
    #[must_use]
    pub const fn or_failure_rate(mut self, rate: f64) -> Self {
        self.failure_rate = Some(Threshold {
            rate,
            exclusive: false,
        });
        self
    }

    /// Trips at a rate of slow calls, too.
    #[must_use]
    pub const fn or_slow_call_rate(mut self, rate: f64, slow_call: Duration) -> Self {
        self.slow_call_rate = Some(Threshold {
            rate,
            exclusive: false,
        });
        self.slow_call(slow_call)
    }

    /// From which time on a call is slow: strictly longer than this, from the breaker to the head of the
    /// response. A slow probe fails, and a caller who leaves after waiting that long counts as a failure.
    #[must_use]
    pub const fn slow_call(mut self, longer_than: Duration) -> Self {
        self.slow_call = Some(longer_than);
        self
    }

    /// Over what the rates are taken: a number of calls or a time. 100 calls without a word.
    #[must_use]
    pub fn window(mut self, window: impl Into<Window>) -> Self {
        self.window = window.into();
        self
    }

    /// Below how many calls in the window the rates say nothing; 10 without a word. More than a window of
    /// calls holds counts as all of it.
    #[must_use]
    pub const fn minimum_calls(mut self, calls: u32) -> Self {
        self.minimum_calls = calls;
        self
    }

    /// How long the circuit stays open; 60 s without a word.
    #[must_use]
    pub const fn open_for(mut self, time: Duration) -> Self {
        self.open_for = time;
        self
    }

    /// By what each further open time is longer while the circuit does not close: a factor from 1 to
    /// 1,000 with at most six decimals.
    #[must_use]
    pub fn open_growth(mut self, factor: f64) -> Self {
        self.growth = Growth::Times(in_millionths(factor));
        self
    }

    /// How long an open time may become; ten minutes without a word. It is never less than the first.
    #[must_use]
    pub const fn open_max(mut self, time: Duration) -> Self {
        self.open_max = Some(time);
        self
    }

    /// Shortens open times at random, by up to this share of them (0 to 1), so that many clients do not
    /// probe at once. The interval is clamped before the draw.
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = Jitter {
            millionths: in_millionths(share),
            spares_first: false,
        };
        self
    }

    /// How many probes may be out at once; 1 without a word.
    #[must_use]
    pub const fn probes(mut self, at_once: u32) -> Self {
        let close_after = match self.recovery {
            Recovery::Probes { close_after, .. } => close_after,
            _ => 1,
        };
        self.recovery = Recovery::Probes {
            at_once,
            close_after,
        };
        self
    }

    /// How many good probes close the circuit; 1 without a word.
    #[must_use]
    pub const fn close_after(mut self, successes: u32) -> Self {
        let at_once = match self.recovery {
            Recovery::Probes { at_once, .. } => at_once,
            _ => 1,
        };
        self.recovery = Recovery::Probes {
            at_once,
            close_after: successes,
        };
        self
    }

    /// After how long without an answer, counted from the last probe, probes that are still out are given
    /// up, and others let through in their place. Without a word a probe that hangs holds its place until
    /// a timeout of the stack ends it.
    #[must_use]
    pub const fn probe_timeout(mut self, time: Duration) -> Self {
        self.probe_timeout = Some(time);
        self
    }

    /// Whether the settings make sense.
    ///
    /// # Errors
    ///
    /// The first setting that does not, what it is, and what it may be.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.in_a_row.is_none() && self.failure_rate.is_none() && self.slow_call_rate.is_none() {
            return Err(SettingsError::new(
                "consecutive_failures",
                "is missing, and so are failure_rate and slow_call_rate; give at least one of them",
            ));
        }
        counted("consecutive_failures", self.in_a_row, MOST_IN_A_ROW)?;
        rate("failure_rate", self.failure_rate)?;
        rate("slow_call_rate", self.slow_call_rate)?;
        if self.slow_call_rate.is_some() && self.slow_call.is_none() {
            let problem =
                "is missing, but slow_call_rate needs it; say from which time on a call is slow";
            return Err(SettingsError::new("slow_call", problem));
        }
        timed("slow_call", self.slow_call)?;
        match self.window {
            Window::Calls(calls) => counted("window", Some(calls), MOST_CALLS)?,
            Window::Time(time) => timed("window", Some(time))?,
        }
        counted("minimum_calls", Some(self.minimum_calls), u32::MAX)?;
        timed("open_for", Some(self.open_for))?;
        timed("open_max", self.open_max)?;
        timed("probe_timeout", self.probe_timeout)?;
        if let Growth::Times(factor) = self.growth
            && !(MILLION..=1_000 * MILLION).contains(&factor)
        {
            let problem =
                "is no such factor; give a number from 1 to 1000 with at most six decimals";
            return Err(SettingsError::new("open_growth", problem));
        }
        if self.jitter.millionths > MILLION {
            let problem = "is no such share; give a number from 0 to 1 with at most six decimals";
            return Err(SettingsError::new("jitter", problem));
        }
        match self.recovery {
            Recovery::Probes {
                at_once,
                close_after,
            } => {
                counted("probes", Some(at_once), u32::MAX)?;
                counted("close_after", Some(close_after), u32::MAX)
            }
            Recovery::Trial { .. } | Recovery::Swept { .. } => Ok(()),
        }
    }

    /// From which time on a call is slow, if that is said.
    #[must_use]
    pub const fn slow(&self) -> Option<Duration> {
        self.slow_call
    }

    /// Trips at a rate of slow calls; from which time on a call is slow is said elsewhere.
    #[cfg(feature = "serde")]
    pub(crate) const fn on_slow_call_rate(mut self, rate: f64) -> Self {
        self.slow_call_rate = Some(Threshold {
            rate,
            exclusive: false,
        });
        self
    }

    pub(crate) fn longest_open(&self) -> Duration {
        self.open_max.unwrap_or(DEFAULT_OPEN_MAX).max(self.open_for)
    }

    /// Whether the run of failures is all that is looked at while the circuit is closed.
    pub(crate) const fn counts_runs_only(&self) -> bool {
        self.failure_rate.is_none() && self.slow_call_rate.is_none()
    }

    /// Whether a window with enough calls is over one of the rates.
    #[inline]
    pub(crate) fn is_over_a_rate(&self, window: &Tally) -> bool {
        // No rate is reached by nothing, and most windows have nothing: that spares the divisions.
        let over = |limit: Option<Threshold>, count, rate: fn(&Tally) -> Option<f64>| {
            count > 0 && limit.is_some_and(|limit| limit.is_reached(rate(window)))
        };
        over(self.failure_rate, window.failed, Tally::failure_rate)
            || over(self.slow_call_rate, window.slow, Tally::slow_call_rate)
    }

    /// From how many calls on the rates say something.
    pub(crate) fn enough_calls(&self) -> u64 {
        match self.window {
            Window::Calls(calls) => self.minimum_calls.min(calls).into(),
            Window::Time(_) => self.minimum_calls.into(),
        }
    }
}
