//! The rolling quota beyond the entries that it keeps exactly.

use std::time::Duration;

use buttress_quota::Quota;
use buttress_quota::algorithm::{EXACT_ENTRIES, Log, MAX_ENTRIES, Rolling};

const SECOND: u64 = 1_000_000_000;

fn rolling(units: u64, period: u64) -> Rolling {
    Rolling::from_quota(&Quota::rolling(units, Duration::from_nanos(period)))
        .expect("it is a rolling quota")
}

#[test]
fn memory_is_bounded() {
    // As fast as the clock ticks in steps that fill the log before the first entry leaves, then steadily.
    let period = SECOND;
    let huge = rolling(Quota::MAX_UNITS, period);
    for step in [
        1,
        100,
        period / 8_000,
        period / 4_097,
        period / 4_096,
        period / 4_095,
    ] {
        let mut log = Log::new();
        let mut now = 0;
        let mut most = 0;
        for _ in 0..30_000 {
            huge.spend(&mut log, 1, now);
            most = most.max(log.entries());
            now += step;
        }
        assert!(most <= MAX_ENTRIES, "{most} entries at a step of {step}");
        // A change to an ever longer period keeps everything.
        let mut period = period;
        for _ in 0..4 {
            let (from, to) = (
                rolling(Quota::MAX_UNITS, period),
                rolling(Quota::MAX_UNITS, period * 2),
            );
            let spent = from.spent(&log, now);
            to.convert(&from, &mut log, now);
            assert_eq!(to.spent(&log, now), spent);
            period *= 2;
            for _ in 0..10_000 {
                now += step;
                to.spend(&mut log, 1, now);
                assert!(log.entries() <= MAX_ENTRIES);
            }
        }
    }
}

#[test]
fn memory_is_bounded_over_a_change_at_the_worst_moment() {
    let period = SECOND;
    let huge = rolling(Quota::MAX_UNITS, period);
    // First a burst that fills the exact part, then as sparsely as groups allow.
    let mut log = Log::new();
    for now in 0..EXACT_ENTRIES as u64 {
        huge.spend(&mut log, 1, now);
    }
    assert_eq!(log.entries(), EXACT_ENTRIES);
    let mut now = EXACT_ENTRIES as u64;
    while now < period - period / 4_096 {
        huge.spend(&mut log, 1, now);
        now += period / 4_096 + 1;
    }
    now -= period / 4_096;
    assert!(log.entries() > 8_180 && log.entries() <= MAX_ENTRIES);
    // Twice the period: all of them live on, while others come.
    let twice = rolling(Quota::MAX_UNITS, 2 * period);
    twice.convert(&huge, &mut log, now);
    while now < 2 * period {
        twice.spend(&mut log, 1, now);
        now += period / 2_048 + 1;
        assert!(log.entries() <= MAX_ENTRIES, "{}", log.entries());
    }
}

#[test]
fn a_refund_finds_the_group_that_its_moment_has_joined() {
    let huge = rolling(Quota::MAX_UNITS, SECOND);
    let mut log = Log::new();
    let exact = EXACT_ENTRIES as u64;
    for now in 0..exact + 100 {
        huge.spend(&mut log, 2, now);
    }
    assert_eq!(log.entries(), EXACT_ENTRIES);
    let now = exact + 200;
    huge.refund_at(&mut log, 2, exact + 50, now);
    assert_eq!(huge.spent(&log, now), 2 * (exact + 99));
    // The group is as late as its last member, the entry before it is not.
    assert_eq!(huge.spent(&log, SECOND + exact - 2), 2 * 100);
    assert_eq!(huge.spent(&log, SECOND + exact + 98), 2 * 100);
    assert_eq!(huge.spent(&log, SECOND + exact + 99), 0);
}
