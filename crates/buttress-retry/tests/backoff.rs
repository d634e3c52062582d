//! How long attempts wait.

#![cfg(not(buttress_loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use buttress_retry::{Backoff, Jitter};
use proptest::prelude::*;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn backoff(base: u64, max: u64, multiplier: f64, jitter: Jitter) -> Backoff {
    let backoff = Backoff::exponential(ms(base), ms(max)).unwrap();
    let backoff = backoff.with_multiplier(multiplier).unwrap();
    backoff.with_jitter(jitter).unwrap()
}

fn pauses(backoff: &Backoff, draws: &[u64]) -> Vec<u128> {
    let mut pauses = backoff.pauses();
    let millis = |draw: &u64| pauses.next(backoff, *draw).as_millis();
    draws.iter().map(millis).collect()
}

#[test]
fn without_jitter_it_grows_up_to_its_bound() {
    let doubling = backoff(500, 8_000, 2.0, Jitter::None);
    assert_eq!(
        pauses(&doubling, &[7; 7]),
        [500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]
    );
    let by_a_tenth = backoff(500, 8_000, 1.1, Jitter::None);
    assert_eq!(
        pauses(&by_a_tenth, &[0; 4]),
        [500, 550, 605, 666],
        "665.5 is rounded up, 550 is not"
    );
    let constant = backoff(250, 250, 1.0, Jitter::None);
    assert_eq!(pauses(&constant, &[0; 3]), [250; 3]);
}

#[test]
fn the_interval_is_clamped_before_the_draw() {
    let half = u64::MAX / 2;
    let full = backoff(500, 8_000, 2.0, Jitter::Full);
    assert_eq!(
        pauses(&full, &[half; 6]),
        [250, 500, 1_000, 2_000, 4_000, 4_000],
        "clamped after the draw the last would be 8000"
    );
    assert_eq!(pauses(&full, &[0; 3]), [0; 3]);
    assert_eq!(pauses(&full, &[u64::MAX; 2]), [500, 1_000]);
    let equal = backoff(500, 8_000, 2.0, Jitter::Equal);
    assert_eq!(pauses(&equal, &[0; 3]), [250, 500, 1_000]);
    let spread = backoff(1_000, 1_000, 1.0, Jitter::Spread(0.2));
    assert_eq!(pauses(&spread, &[0, half, u64::MAX]), [800, 1_000, 1_200]);
    let decorrelated = backoff(100, 1_000, 2.0, Jitter::Decorrelated);
    assert_eq!(
        pauses(&decorrelated, &[u64::MAX; 4]),
        [300, 900, 1_000, 1_000]
    );
    assert_eq!(pauses(&decorrelated, &[half; 3]), [200, 350, 550]);
}

#[test]
fn what_cannot_be_is_refused_with_the_field_and_the_fix() {
    let too_small = Backoff::exponential(ms(2), ms(1)).unwrap_err();
    assert_eq!(
        too_small.to_string(),
        "`base` is 2ms; expected at most `max`, which is 1ms"
    );
    for multiplier in [0.5, f64::NAN, f64::INFINITY, -2.0] {
        let error = Backoff::default().with_multiplier(multiplier).unwrap_err();
        assert_eq!(error.field(), "multiplier");
    }
    for share in [-0.1, 1.1, f64::NAN] {
        assert!(
            Backoff::default()
                .with_jitter(Jitter::Spread(share))
                .is_err()
        );
    }
    assert!(Backoff::exponential(ms(1), Duration::MAX).is_err());
}

fn any_jitter() -> impl Strategy<Value = Jitter> {
    prop_oneof![
        Just(Jitter::None),
        Just(Jitter::Full),
        Just(Jitter::Equal),
        Just(Jitter::Decorrelated),
        (0.0..=1.0).prop_map(Jitter::Spread),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Against the formulae, computed anew for every retry, with a millisecond to round up to.
    #[test]
    fn every_pause_lies_within_its_bounds(
        base in 1_u64..100_000,
        more in 0_u64..1_000_000,
        multiplier in 1.0_f64..5.0,
        jitter in any_jitter(),
        draws in prop::collection::vec(any::<u64>(), 1..40),
    ) {
        let max = base + more;
        let backoff = backoff(base, max, multiplier, jitter);
        let mut pauses = backoff.pauses();
        let mut previous = base as f64;
        for (n, draw) in draws.iter().enumerate() {
            let pause = pauses.next(&backoff, *draw).as_secs_f64() * 1e3;
            let n = i32::try_from(n).unwrap();
            let v = (base as f64 * multiplier.powi(n)).min(max as f64);
            let (low, high) = match jitter {
                Jitter::Full => (0.0, v),
                Jitter::Equal => (v / 2.0, v),
                Jitter::Decorrelated => (base as f64, (3.0 * previous).min(max as f64)),
                Jitter::Spread(share) => (v * (1.0 - share), v * (1.0 + share)),
                _ => (v, v),
            };
            prop_assert!(pause >= low - 0.001, "{pause} < {low}");
            prop_assert!(pause < high + 1.001, "{pause} > {high}");
            previous = pause;
        }
    }

    #[test]
    fn the_longest_pauses_do_not_overflow(draws in prop::collection::vec(any::<u64>(), 1..80)) {
        let longest = Duration::from_secs(10_000_000_000);
        for jitter in [Jitter::Full, Jitter::Decorrelated, Jitter::Spread(1.0)] {
            let backoff = Backoff::exponential(ms(1), longest).unwrap();
            let backoff = backoff.with_multiplier(1e9).unwrap().with_jitter(jitter).unwrap();
            let mut pauses = backoff.pauses();
            for draw in &draws {
                prop_assert!(pauses.next(&backoff, *draw) <= 2 * longest);
            }
        }
    }
}

/// At the bound, the old formula gives exactly the bound in two of three draws.
#[test]
fn decorrelated_pauses_do_not_pile_up_at_the_bound() {
    let backoff = backoff(100, 1_000, 2.0, Jitter::Decorrelated);
    let mut pauses = backoff.pauses();
    let mut at_bound = 0;
    let mut draw = 1_u64;
    for _ in 0..10_000 {
        draw = draw
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        at_bound += u32::from(pauses.next(&backoff, draw) == ms(1_000));
    }
    assert!(at_bound < 100, "{at_bound} of 10000 exactly at the bound");
}
