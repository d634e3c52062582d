//! The adaptive limits against their published formulae, and where they come to rest.

#![cfg(not(buttress_loom))]

use std::time::Duration;

use buttress_priority_queue::limit::{Aimd, Gradient2, Limit, Sample, Vegas};
use proptest::prelude::*;

fn sample(millis: u64, in_flight: u32) -> Sample {
    Sample {
        took: Duration::from_millis(millis),
        in_flight,
        dropped: false,
    }
}

const DROPPED: Sample = Sample {
    took: Duration::ZERO,
    in_flight: 100,
    dropped: true,
};

#[test]
fn aimd_adds_one_while_it_is_used_and_takes_a_tenth_when_it_is_refused() {
    let mut limit = Aimd::default();
    assert_eq!(limit.get(), 20);
    limit.sample(&sample(1, 9));
    assert_eq!(limit.get(), 20, "less than half was used");
    limit.sample(&sample(1, 10));
    assert_eq!(limit.get(), 21);
    limit.sample(&sample(5_001, 10));
    assert_eq!(limit.get(), 20, "18.9 rounded down, and at least 20");
    for _ in 0..1_000 {
        limit.sample(&sample(5_000, 200));
    }
    assert_eq!(limit.get(), 200);
    limit.sample(&DROPPED);
    assert_eq!(limit.get(), 180);
}

#[test]
fn vegas_keeps_the_queue_at_the_upstream_between_its_bounds() {
    let mut limit = Vegas::default();
    assert_eq!(limit.get(), 20);
    limit.sample(&sample(100, 20));
    assert_eq!(limit.unloaded(), Some(Duration::from_millis(100)));
    limit.sample(&sample(100, 20));
    assert_eq!(limit.get(), 26, "nothing queues: plus 6 log10 L");
    limit.sample(&sample(106, 26));
    assert_eq!(limit.get(), 27, "2 of 26 queue: plus log10 L");
    limit.sample(&sample(118, 27));
    assert_eq!(limit.get(), 27, "5 of 27 queue: just right");
    limit.sample(&sample(140, 27));
    assert_eq!(limit.get(), 26, "8 of 27 queue: minus log10 L");
    limit.sample(&sample(140, 12));
    assert_eq!(limit.get(), 26, "less than half was used");
    limit.sample(&DROPPED);
    assert_eq!(limit.get(), 25);
}

#[test]
fn vegas_measures_the_least_latency_anew() {
    let mut limit = Vegas::up_to(20, 20);
    limit.sample(&sample(10, 1));
    for _ in 0..600 {
        limit.sample(&sample(50, 1));
    }
    assert_eq!(limit.unloaded(), Some(Duration::from_millis(50)));
}

#[test]
fn gradient2_follows_the_long_term_latency() {
    let mut limit = Gradient2::between(1, 20, 200);
    limit.sample(&sample(100, 20));
    assert_eq!(limit.get(), 20, "0.8 * 20 + 0.2 * 24 = 20.8");
    limit.sample(&sample(100, 20));
    assert_eq!(limit.get(), 21, "21.6");
    // The average is 133.3 ms of three: the gradient of 200 ms is 1.5 * 133.3 / 200 = 1.
    limit.sample(&sample(200, 20));
    assert_eq!(limit.get(), 22);
    // Of four it is 350 ms: 1.5 * 350 / 1000 = 0.525, so 22.4 * 0.905 + 0.8 = 21.07.
    limit.sample(&sample(1_000, 22));
    assert_eq!(limit.get(), 21);
    limit.sample(&DROPPED);
    assert_eq!(limit.get(), 18, "21.07 * 0.9");
    limit.sample(&sample(1_000, 1));
    assert_eq!(limit.get(), 18, "less than half was used");
}

/// An upstream that serves so many at once, in so many milliseconds; more of them wait there.
fn upstream(limit: &mut Limit, capacity: u32, calls: u32) {
    for _ in 0..calls {
        let in_flight = limit.get();
        let took = 100 * u64::from(in_flight.max(capacity)) / u64::from(capacity);
        limit.sample(&sample(took, in_flight));
    }
}

#[test]
fn against_an_upstream_that_queues_the_limits_come_to_rest_near_its_capacity() {
    let mut vegas = Limit::from(Vegas::up_to(1_000, 5));
    // Before the least latency is measured anew.
    upstream(&mut vegas, 50, 200);
    assert!((50..=65).contains(&vegas.get()), "{vegas:?}");
    let mut gradient = Limit::from(Gradient2::between(1, 5, 1_000));
    upstream(&mut gradient, 50, 60);
    assert!((50..=120).contains(&gradient.get()), "{gradient:?}");
}

proptest! {
    #[test]
    fn whatever_comes_limits_stay_within_their_bounds(
        samples in prop::collection::vec((0..100_000_u64, 0..2_000_u32, any::<bool>()), 0..300),
        (min, initial, max) in (0..50_u32, 0..500_u32, 0..500_u32),
    ) {
        let limits = [
            (Limit::from(Aimd::between(min, initial, max)), min.max(1)),
            (Limit::from(Gradient2::between(min, initial, max)), min.max(1)),
            (Limit::from(Vegas::up_to(max, initial)), 1),
        ];
        for (mut limit, least) in limits {
            let most = max.max(least).max(1);
            for (micros, in_flight, dropped) in &samples {
                let took = Duration::from_micros(*micros);
                limit.sample(&Sample { took, in_flight: *in_flight, dropped: *dropped });
                prop_assert!((least..=most).contains(&limit.get()), "{limit:?}");
            }
        }
    }
}
