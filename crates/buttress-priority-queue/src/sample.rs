//! What a queue and a concurrency limit tell of themselves to whoever samples them.

use buttress_core::{Now, Policy, Quantity, Reading, Sample};

use crate::concurrency::ConcurrencyLimit;
use crate::handle::PriorityQueue;

/// The names of the default priorities, by level.
const PRIORITIES: [&str; 4] = ["low", "medium", "high", "critical"];

/// The most levels there are names for.
const LEVELS: [&str; 16] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15",
];

/// How many run, how many may, and how many wait by priority: `low` to `critical` in a queue of four levels,
/// else the level's number. Levels from 16 on are told together.
impl<G: Policy> Sample for PriorityQueue<G> {
    fn sample(&self, _: &Now, each: &mut dyn FnMut(Reading<'_>)) {
        let status = self.status();
        each(Reading::new(
            Quantity::InFlight,
            "",
            status.in_flight.into(),
        ));
        each(Reading::new(Quantity::Limit, "", status.limit.into()));
        let count = |depth: usize| u64::try_from(depth).unwrap_or(u64::MAX);
        let capacity = count(status.capacity);
        each(Reading::new(Quantity::Capacity, "", capacity));
        let names: &[&str] = match status.depth.len() {
            4 => &PRIORITIES,
            _ => &LEVELS,
        };
        for (name, depth) in names.iter().zip(&status.depth) {
            each(Reading::new(Quantity::Waiting, name, count(*depth)));
        }
        if let Some(rest @ [_, ..]) = status.depth.get(names.len()..) {
            let depth = count(rest.iter().sum());
            each(Reading::new(Quantity::Waiting, "others", depth));
        }
    }
}

/// How many run, and how many may.
impl Sample for ConcurrencyLimit {
    fn sample(&self, _: &Now, each: &mut dyn FnMut(Reading<'_>)) {
        let in_flight = u64::try_from(self.in_flight()).unwrap_or(u64::MAX);
        each(Reading::new(Quantity::InFlight, "", in_flight));
        each(Reading::new(
            Quantity::Limit,
            "",
            self.reading().limit.into(),
        ));
    }
}
