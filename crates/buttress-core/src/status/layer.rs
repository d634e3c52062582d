//! What one layer tells.

use std::time::Duration;

use super::Latency;
use crate::key::KeyHash;

/// How one layer stands. What a layer does not have is empty, and left out by serde.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LayerReport {
    /// What it is: `rate_limit`, `token_budget`, `circuit_breaker`, `priority_queue`, `concurrency_limit`,
    /// `retry_budget`, `requests`, or the name of a kind of your own.
    pub kind: &'static str,
    /// How it deviates from plain enforcement, if it does: `shadow` if it only counts, `soft` if it spends
    /// what does not fit.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub mode: Option<&'static str>,
    /// How many requests it admitted.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub admitted: Option<u64>,
    /// How many it refused.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub refused: Option<u64>,
    /// How many wait for it.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub waiting: Option<u64>,
    /// The keys that it remembers something of.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub keys: Option<KeysReport>,
    /// Its quotas, in the order in which they were given.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Vec::is_empty"))]
    pub quotas: Vec<QuotaReport>,
    /// What was reserved and used, by dimension.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Vec::is_empty"))]
    pub tokens: Vec<TokensReport>,
    /// Its queue and the places behind it.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub queue: Option<QueueReport>,
    /// Its circuits.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub breaker: Option<BreakerReport>,
    /// Its retries.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub retries: Option<RetriesReport>,
    /// What it measured.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub requests: Option<RequestsReport>,
}

impl LayerReport {
    /// A report of a kind that says nothing else.
    #[must_use]
    pub fn new(kind: &'static str) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }
}

/// A bounded table of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct KeysReport {
    /// How many keys something is remembered of.
    pub live: u64,
    /// How many were forgotten before their time, for want of room.
    pub evicted: u64,
}

/// Whom a quota is kept for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
pub enum QuotaScope {
    /// For each key by itself.
    #[default]
    Key,
    /// For all keys together.
    All,
}

/// Where a quota stands.
///
/// One that is kept for each key stands somewhere else for every key, so `used` and `left` are told only
/// where there is but one account: of a quota for all keys, or where requests have no keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct QuotaReport {
    /// Its name: its own, `default` for an only one, else its text.
    pub name: String,
    /// How it is written in configurations.
    pub quota: String,
    /// Whom it is kept for.
    pub scope: QuotaScope,
    /// The tier of keys that it is for.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub tier: Option<String>,
    /// What it counts, if that is not requests: a dimension of a token budget.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub dimension: Option<&'static str>,
    /// How many units it holds at most.
    pub limit: u64,
    /// In how long that many come.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "period_seconds", serialize_with = "super::seconds::one")
    )]
    pub period: Duration,
    /// How many units are used.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub used: Option<u64>,
    /// How many whole units are left.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub left: Option<u64>,
    /// How many units it is below zero.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub debt: Option<u64>,
    /// In how long `left` next grows if nothing else comes; none if it is full.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "more_in_seconds",
            serialize_with = "super::seconds::maybe",
            skip_serializing_if = "Option::is_none"
        )
    )]
    pub more_in: Option<Duration>,
}

/// What a token budget has reserved and charged of one dimension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TokensReport {
    /// What is counted.
    pub dimension: &'static str,
    /// What running reservations hold.
    pub reserved: u64,
    /// What has been reserved altogether.
    pub granted: u64,
    /// What of it was given back.
    pub refunded: u64,
    /// What was used beyond what had been reserved.
    pub overshot: u64,
    /// What settled calls have used.
    pub used: u64,
}

/// Whether a queue takes newcomers in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
pub enum Door {
    /// It does.
    #[default]
    Open,
    /// It does not, and lets those in it come to their end.
    Draining,
    /// It does not, and has refused those who waited.
    Closed,
}

/// A queue, and the places that those who wait in it wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct QueueReport {
    /// How many may be in flight.
    pub limit: u64,
    /// The places.
    pub places: Places,
    /// How many may wait; none where nobody does.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub capacity: Option<u64>,
    /// Whether it takes newcomers in.
    pub door: Door,
    /// Whether nobody is let go for the time being.
    pub paused: bool,
    /// Who waits, the most urgent first.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Vec::is_empty"))]
    pub waiting: Vec<Waiting>,
}

/// Places for calls, by what becomes of them next. Together they are the greater of the limit and what is in
/// flight, or what is in flight once no newcomer is taken in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Places {
    /// Free.
    pub idle: u64,
    /// Taken, and free for the next when the call ends.
    pub busy: u64,
    /// Taken, and gone when the call ends: above a limit that fell, or in a queue that takes nobody in.
    pub draining: u64,
}

impl Places {
    /// The places of a limit. Without newcomers those that nobody waits for are idle no more, and drain.
    #[must_use]
    pub const fn new(limit: u64, in_flight: u64, takes_newcomers: bool) -> Self {
        if takes_newcomers {
            let draining = in_flight.saturating_sub(limit);
            Self {
                idle: limit.saturating_sub(in_flight),
                busy: in_flight - draining,
                draining,
            }
        } else {
            Self {
                idle: 0,
                busy: 0,
                draining: in_flight,
            }
        }
    }
}

/// How many wait of one priority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Waiting {
    /// The priority's name, or the number of its level.
    pub priority: String,
    /// How many wait.
    pub waiting: u64,
}

/// The circuits of a breaker.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BreakerReport {
    /// The circuit that all calls without a key share.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub everyone: CircuitReport,
    /// How many keys have a circuit.
    pub circuits: u64,
    /// How many of those are open, by themselves or by hand.
    pub open: u64,
    /// How many of those are half-open.
    pub half_open: u64,
    /// How many calls were let through unwatched, for want of room for their keys.
    pub unwatched: u64,
    /// The circuits of keys that are not closed, those with the most failures first; at most
    /// [`MOST`](Self::MOST).
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Vec::is_empty"))]
    pub not_closed: Vec<CircuitReport>,
}

impl BreakerReport {
    /// How many circuits of keys are told one by one.
    pub const MOST: usize = 32;
}

/// One circuit.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CircuitReport {
    /// Whose it is, hashed; none for the one that all calls without a key share.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "hash", skip_serializing_if = "Option::is_none")
    )]
    pub key: Option<KeyHash>,
    /// The state's name.
    pub state: &'static str,
    /// How many failures came in a row.
    pub consecutive_failures: u64,
    /// How many calls lie in the window.
    pub calls: u64,
    /// How many of them failed.
    pub failed: u64,
    /// How many of them were slow.
    pub slow: u64,
    /// How many probes are out.
    pub probes_out: u64,
    /// How often it tripped or opened again.
    pub opened: u64,
    /// In how long an open one lets a probe through.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "half_opens_in_seconds",
            serialize_with = "super::seconds::maybe",
            skip_serializing_if = "Option::is_none"
        )
    )]
    pub half_opens_in: Option<Duration>,
}

#[cfg(feature = "serde")]
fn hash<S: serde::Serializer>(key: &Option<KeyHash>, serializer: S) -> Result<S::Ok, S::Error> {
    match key {
        Some(key) => serializer.collect_str(key),
        None => serializer.serialize_none(),
    }
}

/// What a budget for retries allows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RetriesReport {
    /// How many it would allow now; none if it allows all.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub left: Option<f64>,
    /// How many it has allowed.
    pub allowed: u64,
    /// How many it has refused.
    pub refused: u64,
    /// How many run, for a rule that counts them.
    pub in_flight: u64,
}

/// What was measured around a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RequestsReport {
    /// How many have begun.
    pub started: u64,
    /// How many of them have not ended.
    pub in_flight: u64,
    /// How the others ended, with the names of metrics.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::map"))]
    pub ended: Vec<(&'static str, u64)>,
    /// Bytes of requests' bodies.
    pub request_bytes: u64,
    /// Bytes of responses' bodies.
    pub response_bytes: u64,
    /// Seconds to the head of the response, of those of the last minute.
    pub to_head_last_minute: Latency,
    /// Seconds to the head of the response, since the start.
    pub to_head: Latency,
    /// Seconds to the end of the response's body, of those of the last minute.
    pub to_end_last_minute: Latency,
    /// Seconds to the end of the response's body, since the start.
    pub to_end: Latency,
}
