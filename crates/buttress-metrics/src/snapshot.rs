//! What a layer has seen, as a value.

use crate::ending::Ending;
use crate::latency::Percentiles;

/// What a [`MetricsLayer`](crate::MetricsLayer) has seen since it was built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestMetrics {
    /// The layer's name.
    pub name: String,
    /// How many requests have begun.
    pub requests: u64,
    /// How many of them have not ended.
    pub in_flight: u64,
    /// How the others ended: every ending and how many there were.
    pub ended: [(Ending, u64); Ending::COUNT],
    /// How many bytes the bodies of requests had, as far as their length was known at the head and a response
    /// came.
    pub request_bytes: u64,
    /// How many bytes of responses' bodies were read.
    pub response_bytes: u64,
    /// How many sets of labels have series of their own.
    pub label_sets: usize,
    /// How many requests were counted under `other` because there were too many.
    pub overflowed: u64,
    /// Time to the head of the response, since the start.
    pub to_head: Percentiles,
    /// The same, of those whose head came during the last minute (of 60 to 70 seconds).
    pub to_head_last_minute: Percentiles,
    /// Time to the end of the response's body, or to whatever else ended the request, since the start.
    pub to_body_end: Percentiles,
    /// The same, of those that ended during the last minute (of 60 to 70 seconds).
    pub to_body_end_last_minute: Percentiles,
}

impl RequestMetrics {
    /// How many requests ended so.
    #[must_use]
    pub fn count(&self, ending: Ending) -> u64 {
        self.ended[ending.index()].1
    }
}
