//! The published defaults of other breakers, with their rules at the edges.
//!
//! One rule is ours in all of them: what was admitted before a change of state counts nothing after it.
//! resilience4j, Polly, Finagle and Envoy count such late results; gobreaker does not.

use std::time::Duration;

use crate::open_time::MILLION;
use crate::settings::{Growth, Jitter, Recovery, Settings, Threshold};

const SECOND: Duration = Duration::from_secs(1);
const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl Settings {
    /// resilience4j's defaults: half of the last 100 calls failed, or all of them took longer than 60 s,
    /// looked at after every call once there are 100. Open for 60 s, and strictly after that for ten calls
    /// in all; when ten have ended they are judged by the same rates, so that a failed one alone does not
    /// reopen. (`CircuitBreakerConfig`, resilience4j 2.)
    #[must_use]
    pub fn resilience4j() -> Self {
        let mut settings = Self::failure_rate(0.5)
            .or_slow_call_rate(1.0, 60 * SECOND)
            .window(100)
            .minimum_calls(100)
            .open_for(60 * SECOND);
        settings.refuses_at_end = true;
        settings.recovery = Recovery::Trial { calls: 10 };
        settings
    }

    /// Polly's defaults: a tenth of the calls of the last 30 s failed, looked at after failures only, once
    /// there are 100. Open for 5 s, then one probe, which closes or reopens; a probe that hangs is followed
    /// by another after 5 s. (`CircuitBreakerStrategyOptions`, Polly 8.)
    #[must_use]
    pub fn polly() -> Self {
        let mut settings = Self::failure_rate(0.1)
            .window(30 * SECOND)
            .minimum_calls(100)
            .open_for(5 * SECOND)
            .probe_timeout(5 * SECOND);
        settings.judges_failures_only = true;
        settings
    }

    /// Finagle's defaults: five failures in a row, or fewer than 80 % of the calls of the last 30 s
    /// succeeded, looked at after failures only, once there are five. Open for 5 s, then one probe; each
    /// time it fails the interval doubles, up to 300 s, and half of it is drawn at random.
    /// (`FailureAccrualFactory`, Finagle.) Finagle weighs the calls of the window by age; here all weigh
    /// the same.
    #[must_use]
    pub fn finagle() -> Self {
        let mut settings = Self::consecutive_failures(5)
            .or_failure_rate(0.2)
            .window(30 * SECOND)
            .minimum_calls(5)
            .open_for(5 * SECOND)
            .open_growth(2.0)
            .open_max(300 * SECOND);
        settings.failure_rate = Some(Threshold {
            rate: 0.2,
            exclusive: true,
        });
        settings.judges_failures_only = true;
        settings.jitter = Jitter {
            millionths: MILLION / 2,
            spares_first: true,
        };
        settings
    }

    /// gobreaker's defaults: more than five failures in a row, so the sixth trips. Open for 60 s, and
    /// strictly after that for one probe, which closes or reopens. (`Settings`, gobreaker 2.)
    #[must_use]
    pub fn gobreaker() -> Self {
        let mut settings = Self::consecutive_failures(6).open_for(60 * SECOND);
        settings.refuses_at_end = true;
        settings
    }

    /// The consecutive-failure part of Envoy's outlier detection: five failures in a row eject for 30 s
    /// times the number of ejections, at most 300 s; a sweep every 10 s lets everything through again, and
    /// each sweep without an ejection takes one off that number. (`OutlierDetection`, Envoy.) The
    /// comparison with the success rates of other hosts needs other hosts, and is not here.
    #[must_use]
    pub fn envoy_outlier() -> Self {
        const SWEEP: u64 = 10 * NANOS_PER_SECOND;
        let mut settings = Self::consecutive_failures(5)
            .open_for(30 * SECOND)
            .open_max(300 * SECOND);
        settings.growth = Growth::Plus { relax_every: SWEEP };
        settings.recovery = Recovery::Swept { every: SWEEP };
        settings
    }
}
