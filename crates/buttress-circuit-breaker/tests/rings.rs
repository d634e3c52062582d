//! The rings against models that keep every call.

#![cfg(not(buttress_loom))]

use buttress_circuit_breaker::algorithm::{CallRing, Mark, Tally, TimeRing};
use proptest::prelude::*;

fn mark() -> impl Strategy<Value = Mark> {
    (any::<bool>(), any::<bool>()).prop_map(|(failed, slow)| Mark { failed, slow })
}

fn tally<'m>(marks: impl Iterator<Item = &'m Mark>) -> Tally {
    let mut tally = Tally::default();
    for mark in marks {
        tally.calls += 1;
        tally.failed += u64::from(mark.failed);
        tally.slow += u64::from(mark.slow);
    }
    tally
}

#[derive(Clone, Debug)]
enum Step {
    Record(Mark),
    Wait(u64),
    Clear,
}

fn step(longest: u64) -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => mark().prop_map(Step::Record),
        4 => (0..longest).prop_map(Step::Wait),
        1 => (0..longest * 1_000_000).prop_map(Step::Wait),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    #[test]
    fn a_window_of_calls_is_the_last_so_many(
        capacity in 1_u32..200,
        steps in prop::collection::vec(step(1), 0..800),
    ) {
        let mut ring = CallRing::new(capacity);
        let mut all = Vec::new();
        for step in steps {
            match step {
                Step::Record(mark) => {
                    ring.record(mark);
                    all.push(mark);
                }
                Step::Clear => {
                    ring.clear();
                    all.clear();
                }
                Step::Wait(_) => {}
            }
            let last = all.iter().rev().take(capacity as usize);
            prop_assert_eq!(ring.tally(), tally(last));
        }
    }

    #[test]
    fn a_window_of_time_is_ten_aligned_slices_with_the_running_one(
        slice in 1_u64..50,
        steps in prop::collection::vec(step(120), 0..300),
    ) {
        let mut ring = TimeRing::new(slice * 10);
        let mut all: Vec<(u64, Mark)> = Vec::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Record(mark) => {
                    ring.record(mark, now);
                    all.push((now, mark));
                }
                Step::Wait(time) => now += time,
                Step::Clear => {
                    ring.clear();
                    all.clear();
                }
            }
            let first = (now / slice).saturating_sub(9);
            let inside = all.iter().filter(|(at, _)| at / slice >= first);
            prop_assert_eq!(ring.tally(now), tally(inside.map(|(_, mark)| mark)));
        }
    }
}

/// Trap 10: a gap of any length is cleared in a number of steps that does not grow with it.
#[test]
fn trap_10_an_idle_gap_of_centuries_is_cleared_at_once() {
    let mut ring = TimeRing::new(10);
    let failed = Mark {
        failed: true,
        slow: false,
    };
    for now in [0, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
        ring.record(failed, now);
    }
    assert_eq!(ring.tally(u64::MAX).calls, 2);
}

#[test]
fn a_time_before_the_running_slice_counts_as_in_it() {
    let mut ring = TimeRing::new(100);
    ring.record(Mark::default(), 95);
    ring.record(Mark::default(), 3);
    assert_eq!(ring.tally(95).calls, 2);
    assert_eq!(ring.tally(189).calls, 2);
    assert_eq!(ring.tally(190).calls, 0);
}
