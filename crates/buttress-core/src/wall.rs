//! Civil time: what a calendar on the wall would say, driven by the same clock as everything else.
//!
//! A [`WallClock`] keeps one number: what Unix time it was at an instant of tokio's clock. Civil time is that
//! plus what has passed on tokio's clock since, so that `tokio::time::pause` and `advance` move it, and reading
//! it is an addition. The clock of the system is looked at once a minute, so that its adjustments are followed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::time::Instant;

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// How long the system's clock is not looked at.
const RETAKE_INTERVAL: u64 = 60_000_000_000;

/// The two clocks were read together if no more than this lies between the readings.
const TOGETHER: Duration = Duration::from_millis(1);

/// An instant of civil time: nanoseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixNanos(i128);

/// Civil time from tokio's clock. Clones are one clock.
///
/// ```
/// use std::time::Duration;
/// use buttress_core::time::now;
/// use buttress_core::wall::{UnixNanos, WallClock};
///
/// let start = now();
/// let clock = WallClock::fixed(start, UnixNanos::from_seconds(1_000_000_000));
/// let later = clock.at(start + Duration::from_secs(5));
/// assert_eq!(later, UnixNanos::from_seconds(1_000_000_005));
/// ```
#[derive(Clone, Debug)]
pub struct WallClock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Every other instant is counted from this one.
    base: Instant,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Fixed(UnixNanos),
    System(Followed),
}

/// What the system's clock said, and when to look at it again.
#[derive(Debug)]
struct Followed {
    /// The Unix time of the base in nanoseconds: the one number that an adjustment of the system's clock
    /// changes, so that no reader sees a mixture.
    base_unix: AtomicI64,
    /// In nanoseconds since the base.
    retake_at: AtomicU64,
}

/// Civil time for those who count nanoseconds from an epoch of their own.
#[derive(Clone, Debug)]
pub struct CivilTime {
    clock: Option<WallClock>,
    /// The epoch, in nanoseconds since the base of the clock.
    epoch: i128,
}

// === impl UnixNanos ===

impl UnixNanos {
    /// This many nanoseconds since the Unix epoch; before it, less than 0.
    #[must_use]
    pub const fn new(nanos: i128) -> Self {
        Self(nanos)
    }

    /// This many seconds since the Unix epoch.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds as i128 * NANOS_PER_SECOND)
    }

    /// The nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn get(self) -> i128 {
        self.0
    }

    /// The whole seconds since the Unix epoch, rounded down; what `i64` does not hold is its nearest.
    #[must_use]
    pub fn seconds(self) -> i64 {
        saturated(self.0.div_euclid(NANOS_PER_SECOND))
    }

    /// How long from this instant until `later`; zero if that is not later.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        let nanos = later.0.saturating_sub(self.0).max(0).unsigned_abs();
        let second = NANOS_PER_SECOND.unsigned_abs();
        match (u64::try_from(nanos), u64::try_from(nanos / second)) {
            (Ok(nanos), _) => Duration::from_nanos(nanos),
            (_, Ok(seconds)) => Duration::new(seconds, (nanos % 1_000_000_000) as u32),
            _ => Duration::MAX,
        }
    }
}

impl From<SystemTime> for UnixNanos {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self(nanos(since)),
            Err(before) => Self(-nanos(before.duration())),
        }
    }
}

// === impl WallClock ===

impl WallClock {
    /// The civil time of the system.
    ///
    /// The clock of the system is looked at now, and then about once a minute, by whoever asks for the time.
    /// Once tokio's clock was paused it is not looked at again: civil time then moves with tokio's clock alone.
    #[must_use]
    pub fn system() -> Self {
        let base = crate::time::now();
        Self(Arc::new(Inner {
            base,
            source: Source::System(Followed {
                base_unix: AtomicI64::new(saturated(system_time().0)),
                retake_at: AtomicU64::new(RETAKE_INTERVAL),
            }),
        }))
    }

    /// It is `unix` now, and goes on with tokio's clock; the clock of the system is never looked at.
    #[must_use]
    pub fn fixed_start(unix: UnixNanos) -> Self {
        Self::fixed(crate::time::now(), unix)
    }

    /// It is `unix` at `instant`, before and after which civil time goes with tokio's clock; the clock of the
    /// system is never looked at.
    #[must_use]
    pub fn fixed(instant: Instant, unix: UnixNanos) -> Self {
        Self(Arc::new(Inner {
            base: instant,
            source: Source::Fixed(unix),
        }))
    }

    /// What civil time it is at `now`.
    #[must_use]
    pub fn at(&self, now: Instant) -> UnixNanos {
        self.0.unix_after(self.0.since_base(now))
    }

    /// The instant at which it is `unix`, if the clock does not change; `None` if no instant can be that far
    /// away.
    #[must_use]
    pub fn instant_of(&self, unix: UnixNanos) -> Option<Instant> {
        let base = self.0.base_unix(0);
        match unix >= base {
            true => self.0.base.checked_add(base.until(unix)),
            false => self.0.base.checked_sub(unix.until(base)),
        }
    }

    /// The same clock for someone who counts nanoseconds since `epoch`.
    #[must_use]
    pub fn since(&self, epoch: Instant) -> CivilTime {
        CivilTime {
            epoch: self.0.since_base(epoch),
            clock: Some(self.clone()),
        }
    }
}

impl Default for WallClock {
    /// The civil time of the system.
    fn default() -> Self {
        Self::system()
    }
}

impl Inner {
    fn since_base(&self, instant: Instant) -> i128 {
        match instant.checked_duration_since(self.base) {
            Some(since) => nanos(since),
            None => -nanos(self.base.duration_since(instant)),
        }
    }

    #[inline]
    fn unix_after(&self, since_base: i128) -> UnixNanos {
        UnixNanos(self.base_unix(since_base).0.saturating_add(since_base))
    }

    #[inline]
    fn base_unix(&self, since_base: i128) -> UnixNanos {
        match &self.source {
            Source::Fixed(unix) => *unix,
            Source::System(followed) => {
                if since_base >= i128::from(followed.retake_at.load(Ordering::Relaxed)) {
                    followed.retake(self.base);
                }
                UnixNanos(i128::from(followed.base_unix.load(Ordering::Relaxed)))
            }
        }
    }
}

impl Followed {
    /// Looks at the system's clock again, unless another thread does, or it is not yet time: who asks for
    /// the civil time of a later instant does not make it later.
    #[cold]
    fn retake(&self, base: Instant) {
        let before = crate::time::now();
        let since_base = before.saturating_duration_since(base).as_nanos();
        let since_base = u64::try_from(since_base).unwrap_or(u64::MAX);
        let due = self.retake_at.load(Ordering::Relaxed);
        let next = since_base.saturating_add(RETAKE_INTERVAL);
        if since_base < due
            || self
                .retake_at
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        let unix = system_time();
        if were_read_together(before.into_std(), monotonic()) {
            self.base_unix
                .store(unix_of_base(unix, since_base), Ordering::Relaxed);
        }
    }
}

/// Whether nothing came between two readings: no delay of the thread, and no pause of tokio's clock, which is
/// then driven by a test, as civil time is to be.
fn were_read_together(tokio: std::time::Instant, machine: std::time::Instant) -> bool {
    let apart = machine
        .checked_duration_since(tokio)
        .unwrap_or_else(|| tokio.duration_since(machine));
    apart <= TOGETHER
}

/// The Unix time of the base, in nanoseconds, if it is `unix` this many nanoseconds later.
fn unix_of_base(unix: UnixNanos, since_base: u64) -> i64 {
    saturated(unix.0.saturating_sub(i128::from(since_base)))
}

fn nanos(length: Duration) -> i128 {
    i128::try_from(length.as_nanos()).unwrap_or(i128::MAX)
}

fn saturated(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

fn system_time() -> UnixNanos {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place where civil time is read"
    )]
    SystemTime::now().into()
}

/// The machine's own clock, with which tokio's is compared.
fn monotonic() -> std::time::Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "tells whether tokio's clock is the machine's or a test's"
    )]
    std::time::Instant::now()
}

// === impl CivilTime ===

impl CivilTime {
    /// For those whose epoch is the Unix epoch: no clock is needed.
    pub const UNIX: Self = Self {
        clock: None,
        epoch: 0,
    };

    /// What civil time it is this many nanoseconds after the epoch.
    #[inline]
    #[must_use]
    pub fn at(&self, nanos: u64) -> UnixNanos {
        let since_base = self.epoch.saturating_add(i128::from(nanos));
        match &self.clock {
            Some(clock) => clock.0.unix_after(since_base),
            None => UnixNanos(since_base),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn inner(clock: &WallClock) -> &Followed {
        match &clock.0.source {
            Source::System(followed) => followed,
            Source::Fixed(_) => panic!("the clock is fixed"),
        }
    }

    #[test]
    fn lengths_between_civil_times() {
        let (zero, end) = (UnixNanos::new(0), UnixNanos::new(i128::MAX));
        assert_eq!(zero.until(UnixNanos::from_seconds(2)), 2 * MINUTE / 60);
        assert_eq!(UnixNanos::from_seconds(2).until(zero), Duration::ZERO);
        assert_eq!(UnixNanos::new(i128::MIN).until(end), Duration::MAX);
        let far = UnixNanos::new(i128::from(u64::MAX) + 1);
        assert_eq!(zero.until(far).as_nanos(), 1 << 64);
        assert_eq!(UnixNanos::new(-1).seconds(), -1);
        assert_eq!(end.seconds(), i64::MAX);
        assert_eq!(UnixNanos::new(i128::MIN).seconds(), i64::MIN);
        let before = SystemTime::UNIX_EPOCH - Duration::from_nanos(1);
        assert_eq!(UnixNanos::from(before), UnixNanos::new(-1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_drives_civil_time() {
        let clock = WallClock::system();
        let first = clock.at(crate::time::now());
        let day = 1_440 * MINUTE;
        for days in 1..4 {
            tokio::time::advance(day).await;
            assert_eq!(first.until(clock.at(crate::time::now())), day * days);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_a_later_time_does_not_make_it_later() {
        let clock = WallClock::system();
        let _ = clock.at(crate::time::now() + 10 * MINUTE);
        let retake_at = inner(&clock).retake_at.load(Ordering::Relaxed);
        assert_eq!(retake_at, RETAKE_INTERVAL);
    }

    #[test]
    fn an_adjustment_of_the_system_is_followed_when_it_is_time() {
        let wrong = saturated(system_time().0) - 86_400_000_000_000;
        let retaken = |base: std::time::Instant| {
            let followed = Followed {
                base_unix: AtomicI64::new(wrong),
                retake_at: AtomicU64::new(RETAKE_INTERVAL),
            };
            followed.retake(Instant::from_std(base));
            let right = saturated(system_time().0);
            let off = right - followed.base_unix.load(Ordering::Relaxed);
            (off, followed.retake_at.load(Ordering::Relaxed))
        };
        let (off, retake_at) = retaken(monotonic());
        assert!(off >= 86_400_000_000_000);
        assert_eq!(retake_at, RETAKE_INTERVAL);
        // A thread that is held up between two readings takes nothing, so it may need another try.
        let adjusted = (0..100).any(|_| {
            let (off, retake_at) = retaken(monotonic() - MINUTE);
            assert!(retake_at >= 2 * RETAKE_INTERVAL);
            (60_000_000_000..70_000_000_000).contains(&off)
        });
        assert!(adjusted);
    }

    #[test]
    fn readings_that_lie_apart_are_not_taken() {
        let now = monotonic();
        assert!(were_read_together(now, now + TOGETHER));
        assert!(!were_read_together(now, now + 2 * TOGETHER));
        assert!(!were_read_together(now + 2 * TOGETHER, now));
        assert_eq!(unix_of_base(UnixNanos::from_seconds(10), 1), 9_999_999_999);
        assert_eq!(unix_of_base(UnixNanos::new(i128::MIN), 1), i64::MIN);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fixed_clock_goes_both_ways() {
        let clock = WallClock::fixed_start(UnixNanos::from_seconds(1_000));
        let start = crate::time::now();
        for seconds in [-5_i64, 0, 7] {
            let unix = UnixNanos::from_seconds(1_000 + seconds);
            let instant = clock.instant_of(unix).unwrap();
            assert_eq!(clock.at(instant), unix);
        }
        assert_eq!(clock.instant_of(UnixNanos::new(i128::MAX)), None);
        assert_eq!(clock.instant_of(UnixNanos::new(i128::MIN)), None);
        let civil = clock.since(start + MINUTE);
        assert_eq!(civil.at(5), UnixNanos::new(1_060_000_000_005));
        assert_eq!(CivilTime::UNIX.at(5), UnixNanos::new(5));
    }
}
