//! What a layer that measures tells of itself.

use buttress_core::Now;
use buttress_core::status::{Latency, LayerReport, Report, RequestsReport};

use crate::latency::Percentiles;
use crate::layer::MetricsHandle;

impl Report for MetricsHandle {
    fn report(&self, _: &Now) -> LayerReport {
        let seen = self.metrics();
        let ended = seen.ended.iter().filter(|(_, count)| *count > 0);
        let mut report = LayerReport::new("requests");
        report.requests = Some(RequestsReport {
            started: seen.requests,
            in_flight: seen.in_flight,
            ended: ended
                .map(|(ending, count)| (ending.as_str(), *count))
                .collect(),
            request_bytes: seen.request_bytes,
            response_bytes: seen.response_bytes,
            to_head_last_minute: seen.to_head_last_minute.into(),
            to_head: seen.to_head.into(),
            to_end_last_minute: seen.to_body_end_last_minute.into(),
            to_end: seen.to_body_end.into(),
        });
        report
    }
}

impl From<Percentiles> for Latency {
    fn from(percentiles: Percentiles) -> Self {
        Self {
            count: percentiles.count,
            mean: percentiles.mean,
            p50: percentiles.p50,
            p90: percentiles.p90,
            p95: percentiles.p95,
            p99: percentiles.p99,
            p99_9: percentiles.p99_9,
            max: percentiles.max,
        }
    }
}
