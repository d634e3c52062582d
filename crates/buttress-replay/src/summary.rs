//! The summary of a whole run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::decision::{Decision, Reason};
use crate::seconds::InSeconds;
use crate::trace::{Milliseconds, Request};

/// What a run came to: counted from its decisions, and told by whoever ran it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Requests in the trace.
    pub requests: usize,
    /// Requests of which an attempt reached the upstream.
    pub admitted: usize,
    /// Requests that did not end with the upstream's answer, by reason.
    pub refused: BTreeMap<Reason, usize>,
    /// Attempts after a request's first.
    pub retries: usize,
    /// Attempts that reached the upstream.
    pub upstream_calls: usize,
    /// The most attempts between their start and the end of their body.
    pub peak_in_flight: usize,
    /// The most requests that waited for a place at once.
    pub peak_queue: usize,
    /// How long admitted requests waited from their arrival to their first attempt; `None` without any.
    pub waits: Option<Waits>,
    /// Tokens that the upstream said were used.
    pub tokens_used: u128,
    /// Tokens that were reserved and given back.
    pub tokens_refunded: u128,
    /// From the first line's `at` to the last event.
    pub virtual_time: Milliseconds,
    /// How long the run took.
    pub real_time: Duration,
}

/// Percentiles of waits, by nearest rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// Half of all waits are at most this long.
    pub p50: Milliseconds,
    /// Nine tenths of all waits are at most this long.
    pub p90: Milliseconds,
    /// All but a hundredth of all waits are at most this long.
    pub p99: Milliseconds,
}

impl Waits {
    /// The percentiles of these waits, in any order; `None` without any.
    pub fn of(mut waits: Vec<Milliseconds>) -> Option<Self> {
        waits.sort_unstable();
        let rank = |percent: usize| {
            waits
                .get((waits.len() * percent).div_ceil(100).checked_sub(1)?)
                .copied()
        };
        Some(Self {
            p50: rank(50)?,
            p90: rank(90)?,
            p99: rank(99)?,
        })
    }
}

impl Summary {
    /// Counts what the decisions tell. Peaks, tokens and times are left at zero: only the run knows them.
    pub fn of(trace: &[Request], decisions: &[Decision]) -> Self {
        let mut summary = Self {
            requests: trace.len(),
            ..Self::default()
        };
        let mut waits = Vec::new();
        for (request, decision) in trace.iter().zip(decisions) {
            summary.admitted += usize::from(decision.admitted);
            summary.upstream_calls += decision.attempts.len();
            summary.retries += decision.attempts.len().saturating_sub(1);
            if let Some(reason) = decision.reason {
                *summary.refused.entry(reason).or_default() += 1;
            }
            waits.extend(
                decision
                    .attempts
                    .first()
                    .map(|first| first.saturating_sub(request.at)),
            );
        }
        summary.waits = Waits::of(waits);
        summary
    }
}

impl fmt::Display for Summary {
    /// One figure a line, aligned, each line ended.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row =
            |name: &str, value: &dyn fmt::Display| writeln!(formatter, "{name:<19} {value}");
        row("requests", &self.requests)?;
        row("admitted", &self.admitted)?;
        row("refused", &self.refused.values().sum::<usize>())?;
        for (reason, count) in &self.refused {
            row(&format!("  {}", reason.name()), count)?;
        }
        row("retries", &self.retries)?;
        row("upstream calls", &self.upstream_calls)?;
        row("peak in flight", &self.peak_in_flight)?;
        row("peak queue", &self.peak_queue)?;
        let seconds = |wait: Milliseconds| format!("{} s", InSeconds::from_milliseconds(wait));
        let wait = |pick: fn(&Waits) -> Milliseconds| {
            self.waits
                .as_ref()
                .map_or_else(|| String::from("none"), |waits| seconds(pick(waits)))
        };
        row("wait p50", &wait(|waits| waits.p50))?;
        row("wait p90", &wait(|waits| waits.p90))?;
        row("wait p99", &wait(|waits| waits.p99))?;
        row("tokens used", &self.tokens_used)?;
        row("tokens refunded", &self.tokens_refunded)?;
        row("virtual time", &seconds(self.virtual_time))?;
        row(
            "real time",
            &format!("{:.3} s", self.real_time.as_secs_f64()),
        )
    }
}
