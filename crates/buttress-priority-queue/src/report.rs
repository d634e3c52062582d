//! What a queue and a concurrency limit tell of themselves for a status.

use buttress_core::status::{self, LayerReport, Places, QueueReport, Report, Waiting};
use buttress_core::{Now, Policy};

use crate::concurrency::ConcurrencyLimit;
use crate::handle::PriorityQueue;
use crate::priority::Priority;
use crate::state::Door;

/// Its places, and who waits for them by priority: `critical` to `low` in a queue of four levels, else the
/// level's number.
impl<G: Policy> Report for PriorityQueue<G> {
    fn report(&self, now: &Now) -> LayerReport {
        let status = self.status();
        let door = self.enter(now, |state, _, _| state.door);
        let named = status.depth.len() == Priority::ALL.len();
        let waiting = status.depth.iter().enumerate().rev();
        let waiting = waiting.map(|(level, depth)| Waiting {
            priority: match Priority::ALL.get(level).filter(|_| named) {
                Some(priority) => priority.to_string(),
                None => level.to_string(),
            },
            waiting: count(*depth),
        });
        let mut report = LayerReport::new("priority_queue");
        report.waiting = Some(count(status.waiting()));
        report.queue = Some(QueueReport {
            limit: status.limit.into(),
            places: Places::new(
                status.limit.into(),
                status.in_flight.into(),
                status.accepting,
            ),
            capacity: Some(count(status.capacity)),
            door: match door {
                Door::Open => status::Door::Open,
                Door::Draining => status::Door::Draining,
                Door::Closed => status::Door::Closed,
            },
            paused: status.paused,
            waiting: waiting.collect(),
        });
        report
    }
}

/// Its places.
impl Report for ConcurrencyLimit {
    fn report(&self, _: &Now) -> LayerReport {
        let limit = self.reading().limit.into();
        let mut report = LayerReport::new("concurrency_limit");
        report.queue = Some(QueueReport {
            limit,
            places: Places::new(limit, count(self.in_flight()), true),
            ..QueueReport::default()
        });
        report
    }
}

fn count(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}
