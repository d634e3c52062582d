//! What a load came to.

use std::time::Duration;

use buttress_priority_queue::Priority;

use crate::load::{Ended, PATIENCE};

/// The first seconds are not counted: nobody waits yet.
const WARM_UP: Duration = Duration::from_secs(2);

/// One stack under one load.
#[derive(Clone, Debug)]
pub(crate) struct Level {
    pub(crate) stack: &'static str,
    /// How often the capacity was offered.
    pub(crate) times: u32,
    /// Served a second, over what can be.
    pub(crate) goodput: f64,
    /// By priority, the least urgent first.
    pub(crate) classes: Vec<Class>,
    /// How long critical requests take when nothing else is there: the slowest but one in a hundred.
    pub(crate) unloaded: Duration,
}

/// What came of the requests of a priority.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Class {
    /// Served a second.
    pub(crate) goodput: f64,
    /// Of those that were asked for.
    pub(crate) share: f64,
    /// How long the served took.
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Level {
    pub(crate) fn new(
        stack: &'static str,
        times: u32,
        capacity: f64,
        unloaded: &[Duration],
        ended: &[Ended],
        time: Duration,
    ) -> Self {
        let window = (time - WARM_UP).as_secs_f64();
        let class = |priority| {
            let mine = ended.iter().filter(|ended| ended.priority == priority);
            // Those who could have been answered before the end.
            let begun = |ended: &&Ended| (WARM_UP..time).contains(&(ended.at - ended.took));
            let asked: Vec<_> = mine.clone().filter(begun).collect();
            let served = asked.iter().filter(|ended| ended.served).count();
            let counted = mine.filter(|ended| ended.served && (WARM_UP..time).contains(&ended.at));
            let took: Vec<_> = counted.map(|ended| ended.took).collect();
            Class {
                goodput: took.len() as f64 / window,
                share: served as f64 / asked.len().max(1) as f64,
                p50: percentile(&took, 50),
                p99: percentile(&took, 99),
            }
        };
        let classes: Vec<_> = Priority::ALL.into_iter().map(class).collect();
        Self {
            stack,
            times,
            goodput: classes.iter().map(|class| class.goodput).sum::<f64>() / capacity,
            classes,
            unloaded: percentile(unloaded, 99),
        }
    }

    pub(crate) fn class(&self, priority: Priority) -> &Class {
        let place = Priority::ALL.iter().position(|other| *other == priority);
        &self.classes[place.expect("all are there")]
    }
}

/// The callers' patience if there are none.
fn percentile(took: &[Duration], percent: usize) -> Duration {
    let mut took = took.to_vec();
    took.sort_unstable();
    let place = (took.len() * percent).div_ceil(100).max(1) - 1;
    took.get(place).copied().unwrap_or(PATIENCE)
}
