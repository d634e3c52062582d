//! The rolling quota against brute force over every window.

use std::time::Duration;

use buttress_quota::Quota;
use buttress_quota::algorithm::{Log, MAX_ENTRIES, Rolling, Verdict};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
const MILLISECOND: u64 = 1_000_000;

fn rolling(units: u64, period: u64) -> Rolling {
    Rolling::from_quota(&Quota::rolling(units, Duration::from_nanos(period)))
        .expect("it is a rolling quota")
}

fn admit(rolling: &Rolling, log: &mut Log, cost: u64, now: u64) -> Verdict {
    let verdict = rolling.check(log, cost, now);
    if verdict == Verdict::Fits(()) {
        rolling.spend(log, cost, now);
    }
    verdict
}

/// All that was ever admitted.
#[derive(Default)]
struct History(Vec<(u64, u64)>);

impl History {
    /// What was admitted in `(now - period, now]`.
    fn spent(&self, period: u64, now: u64) -> u64 {
        self.0
            .iter()
            .filter(|(time, _)| *time <= now && now - time < period)
            .map(|(_, cost)| cost)
            .sum()
    }

    fn verdict(&self, units: u64, period: u64, cost: u64, now: u64) -> Verdict {
        let fits = |now| self.spent(period, now) + cost <= units;
        if cost == 0 || fits(now) {
            return Verdict::Fits(());
        }
        // Nothing changes but at the instants at which something comes back.
        let instants = self
            .0
            .iter()
            .map(|(time, _)| time + period)
            .filter(|time| *time > now);
        match instants.filter(|time| fits(*time)).min() {
            Some(time) => Verdict::After(Duration::from_nanos(time - now)),
            None => Verdict::Never,
        }
    }

    /// No stretch of one period holds more than the units.
    fn is_never_over(&self, units: u64, period: u64) -> bool {
        let (mut first, mut sum) = (0, 0);
        self.0.iter().all(|(time, cost)| {
            sum += cost;
            while time - self.0[first].0 >= period {
                sum -= self.0[first].1;
                first += 1;
            }
            sum <= units
        })
    }
}

#[test]
fn two_a_second() {
    let two = rolling(2, SECOND);
    let mut log = Log::new();
    assert_eq!(admit(&two, &mut log, 1, 0), Verdict::Fits(()));
    assert_eq!(two.remaining(&log, 0), 1);
    assert_eq!(
        admit(&two, &mut log, 1, 500 * MILLISECOND),
        Verdict::Fits(())
    );
    assert_eq!(admit(&two, &mut log, 1, SECOND), Verdict::Fits(()));
    let refused = Verdict::After(Duration::from_millis(1));
    assert_eq!(admit(&two, &mut log, 1, 1_499 * MILLISECOND), refused);
    assert_eq!(
        two.until_more(&log, 1_499 * MILLISECOND),
        Some(Duration::from_millis(1))
    );
    assert_eq!(
        admit(&two, &mut log, 1, 1_500 * MILLISECOND),
        Verdict::Fits(())
    );
    assert_eq!(two.debt(&log, 1_500 * MILLISECOND), SECOND);
    assert!(two.is_idle(&log, 2_500 * MILLISECOND));
    assert_eq!(two.until_more(&log, 2_500 * MILLISECOND), None);
    assert_eq!(log.entries(), 2);
}

#[test]
fn a_cost_above_the_units_never_fits_and_none_costs_nothing() {
    let two = rolling(2, SECOND);
    let mut log = two.owing(2, 5);
    assert_eq!(two.check(&log, 3, 5), Verdict::Never);
    assert_eq!(two.check(&log, 0, 5), Verdict::Fits(()));
    two.spend(&mut log, 0, 5);
    assert_eq!((two.spent(&log, 5), log.entries()), (2, 1));
}

#[test]
fn one_instant_is_one_entry_and_a_clock_that_goes_back_forgives_nothing() {
    let many = rolling(1_000_000, SECOND);
    let mut log = Log::new();
    for _ in 0..100_000 {
        many.spend(&mut log, 2, SECOND);
    }
    assert_eq!((log.entries(), many.spent(&log, SECOND)), (1, 200_000));
    many.spend(&mut log, 5, 0);
    assert_eq!((log.entries(), many.spent(&log, 0)), (1, 200_005));
    assert_eq!(many.debt(&log, 0), 2 * SECOND);
    assert_eq!(many.spent(&log, 2 * SECOND - 1), 200_005);
    assert_eq!(many.spent(&log, 2 * SECOND), 0);
}

#[test]
fn the_extremes_do_not_overflow() {
    let largest = Quota::rolling(Quota::MAX_UNITS, Quota::MAX_PERIOD);
    let largest = Rolling::from_quota(&largest).unwrap();
    let mut log = Log::new();
    for now in [0, 1, 10_000_000_000_000_000_000, u64::MAX, 3] {
        for cost in [Quota::MAX_UNITS, u64::MAX, u64::MAX, 1] {
            largest.spend(&mut log, cost, now);
            let _ = largest.check(&log, Quota::MAX_UNITS, now);
            assert_eq!(largest.remaining(&log, now), 0);
            assert!(largest.until_more(&log, now).is_some());
            assert!(largest.debt(&log, now) > 0);
        }
    }
    largest.refund(&mut log, u64::MAX, 3);
    assert_eq!((largest.spent(&log, 3), log.entries()), (0, 0));
}

#[test]
fn a_refund_takes_the_youngest_or_what_was_spent_then() {
    let ten = rolling(10, SECOND);
    let mut log = Log::new();
    for (cost, now) in [(3, 0), (2, 100), (4, 200)] {
        ten.spend(&mut log, cost, now);
    }
    ten.refund(&mut log, 0, 200);
    assert_eq!(ten.spent(&log, 200), 9);
    let mut youngest = log.clone();
    ten.refund(&mut youngest, 5, 200);
    assert_eq!((ten.spent(&youngest, 200), youngest.entries()), (4, 2));
    assert_eq!(ten.spent(&youngest, SECOND), 1);
    ten.refund(&mut youngest, 1, 200);
    assert_eq!((ten.spent(&youngest, 200), youngest.entries()), (3, 1));
    ten.refund(&mut youngest, 99, 200);
    assert!(ten.is_idle(&youngest, 200));

    ten.refund_at(&mut log, 1, 0, 200);
    assert_eq!((ten.spent(&log, 200), log.entries()), (8, 3));
    ten.refund_at(&mut log, 9, 100, 200);
    assert_eq!((ten.spent(&log, 200), log.entries()), (6, 2));
    assert_eq!(ten.spent(&log, SECOND), 4);
    // The moment has left the window, or nothing is left of it, or it never was.
    ten.refund_at(&mut log, 2, 0, SECOND);
    ten.refund_at(&mut log, 2, 100, 200);
    ten.refund_at(&mut log, 2, 199, SECOND);
    ten.refund_at(&mut log, 2, 201, SECOND);
    assert_eq!(ten.spent(&log, SECOND), 4);
}

#[test]
fn a_change_keeps_the_instants() {
    let (ten, four, longer) = (
        rolling(10, SECOND),
        rolling(4, SECOND),
        rolling(10, 2 * SECOND),
    );
    let mut log = Log::new();
    for now in 0..8 {
        ten.spend(&mut log, 1, now);
    }
    let mut fewer = log.clone();
    four.convert(&ten, &mut fewer, 8);
    assert_eq!(four.remaining(&fewer, 8), 0);
    assert_eq!(
        four.check(&fewer, 1, 8),
        Verdict::After(Duration::from_nanos(SECOND + 4 - 8))
    );
    assert_eq!(
        four.until_more(&fewer, 8),
        Some(Duration::from_nanos(SECOND + 4 - 8))
    );
    longer.convert(&ten, &mut log, 8);
    assert_eq!(longer.spent(&log, SECOND + 3), 8);
    assert_eq!(longer.spent(&log, 2 * SECOND + 3), 4);
}

fn arrivals(gap: u64, cost: u64, count: usize) -> impl Strategy<Value = Vec<(u64, u64)>> {
    let gap = prop_oneof![4 => 0..gap, 1 => Just(0), 1 => 0..gap * 20];
    prop::collection::vec((gap, 0..cost), 1..count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn neither_more_nor_fewer_in_any_window(units in 1..12_u64, period in 1..60_u64, start: u32, arrivals in arrivals(8, 5, 150)) {
        let quota = rolling(units, period);
        let (mut log, mut history, mut now) = (Log::new(), History::default(), u64::from(start));
        for (gap, cost) in arrivals {
            now += gap;
            let expected = history.verdict(units, period, cost, now);
            let expected = if cost > units { Verdict::Never } else { expected };
            prop_assert_eq!(admit(&quota, &mut log, cost, now), expected);
            if expected == Verdict::Fits(()) && cost > 0 {
                history.0.push((now, cost));
            }
            if let Verdict::After(wait) = expected {
                let wait = u64::try_from(wait.as_nanos()).unwrap();
                prop_assert_eq!(quota.check(&log, cost, now + wait), Verdict::Fits(()));
                prop_assert_eq!(quota.check(&log, cost, now + wait - 1), Verdict::After(Duration::from_nanos(1)));
            }
            let spent = history.spent(period, now);
            prop_assert_eq!(quota.spent(&log, now), spent);
            prop_assert_eq!(quota.remaining(&log, now), units - spent);
            match quota.until_more(&log, now) {
                None => prop_assert_eq!(spent, 0),
                Some(wait) => {
                    let wait = u64::try_from(wait.as_nanos()).unwrap();
                    prop_assert!(history.spent(period, now + wait) < spent);
                    prop_assert_eq!(history.spent(period, now + wait - 1), spent);
                }
            }
        }
        prop_assert!(history.is_never_over(units, period));
        // Every window, wherever it ends.
        for end in u64::from(start)..=now + period {
            prop_assert!(history.spent(period, end) <= units);
        }
    }

    #[test]
    fn refunds_and_changes_agree_with_a_list(changes in prop::collection::vec((0..6_u64, 0..6_u8, 0..6_u64, 1..40_u64), 1..120)) {
        let (mut log, mut list, mut now, mut period) = (Log::new(), Vec::<(u64, u64)>::new(), 0, 20);
        for (gap, kind, cost, other) in changes {
            now += gap;
            let quota = rolling(Quota::MAX_UNITS, period);
            list.retain(|(time, _)| now - time < period);
            match kind {
                0 => {
                    quota.refund(&mut log, cost, now);
                    let mut left = cost;
                    for (_, units) in list.iter_mut().rev() {
                        let taken = left.min(*units);
                        *units -= taken;
                        left -= taken;
                    }
                }
                1 => {
                    let at = now.saturating_sub(other);
                    quota.refund_at(&mut log, cost, at, now);
                    let mut left = cost;
                    for (_, units) in list.iter_mut().filter(|(time, _)| *time == at) {
                        let taken = left.min(*units);
                        *units -= taken;
                        left -= taken;
                    }
                }
                2 => {
                    rolling(Quota::MAX_UNITS, other).convert(&quota, &mut log, now);
                    period = other;
                }
                _ => {
                    quota.spend(&mut log, cost, now);
                    list.push((now, cost));
                }
            }
            let quota = rolling(Quota::MAX_UNITS, period);
            for later in now..now + 45 {
                let spent: u64 = list.iter().filter(|(time, _)| later - time < period).map(|(_, units)| units).sum();
                prop_assert_eq!(quota.spent(&log, later), spent);
                prop_assert_eq!(quota.is_idle(&log, later), spent == 0);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn beyond_the_exact_entries_it_is_never_over_and_hardly_late(
        units in 5_000..20_000_u64,
        pace in 1..40_u64,
        seeds in prop::collection::vec((0..1_000_u64, 1..4_u64), 64),
    ) {
        let period = 10 * MILLISECOND;
        let quota = rolling(units, period);
        let (mut log, mut history, mut now) = (Log::new(), History::default(), 0);
        // Sums up to an instant, so that a long history can be asked quickly.
        let mut sums = vec![(0, 0)];
        let spent = |sums: &[(u64, u64)], from: u64, now: u64| {
            let before = |time| sums[sums.partition_point(|(at, _)| *at <= time) - 1].1;
            before(now) - if from == 0 { 0 } else { before(from) }
        };
        for round in 0..30_000_usize {
            let (gap, cost) = seeds[(round * 7 + round / 64) % seeds.len()];
            now += 1 + gap * pace / 10;
            let total = sums[sums.len() - 1].1;
            match admit(&quota, &mut log, cost, now) {
                Verdict::Fits(()) => {
                    history.0.push((now, cost));
                    sums.push((now, total + cost));
                }
                Verdict::After(_) => {
                    let from = now.saturating_sub(period + period / 4_096);
                    prop_assert!(spent(&sums, from, now) + cost > units, "late at {now}");
                }
                Verdict::Never => prop_assert!(false, "a cost of {cost} fits {units}"),
            }
            prop_assert!(log.entries() <= MAX_ENTRIES);
        }
        prop_assert!(history.is_never_over(units, period));
    }
}
