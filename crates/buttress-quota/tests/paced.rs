//! The paced quota against an ideal token bucket.

use std::time::Duration;

use buttress_quota::Quota;
use buttress_quota::algorithm::{Pace, Tat, Verdict};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

/// The ideal bucket, the other way round: it counts what it holds, in parts of `1 / period` of a unit, of
/// which it gains `units` every nanosecond.
struct Bucket {
    units: u128,
    period: u128,
    capacity: u128,
    level: u128,
    time: u64,
}

impl Bucket {
    fn new(quota: &Quota) -> Self {
        let period = quota.period().as_nanos();
        let capacity = u128::from(quota.capacity()) * period;
        Self {
            units: quota.units().into(),
            period,
            capacity,
            level: capacity,
            time: 0,
        }
    }

    fn refill(&mut self, now: u64) {
        let gained = u128::from(now - self.time) * self.units;
        self.level = (self.level + gained).min(self.capacity);
        self.time = now;
    }

    fn admit(&mut self, cost: u64, now: u64) -> Verdict {
        self.refill(now);
        let cost = u128::from(cost) * self.period;
        if cost <= self.level {
            self.level -= cost;
            Verdict::Fits(())
        } else if cost > self.capacity {
            Verdict::Never
        } else {
            Verdict::After(nanos((cost - self.level).div_ceil(self.units)))
        }
    }

    fn remaining(&self) -> u64 {
        u64::try_from(self.level / self.period).expect("at most the capacity")
    }

    fn until_more(&self) -> Option<Duration> {
        let next = (self.level / self.period + 1) * self.period;
        (self.level < self.capacity).then(|| nanos((next - self.level).div_ceil(self.units)))
    }

    fn refund(&mut self, cost: u64, now: u64) {
        self.refill(now);
        self.level = (self.level + u128::from(cost) * self.period).min(self.capacity);
    }
}

fn nanos(nanos: u128) -> Duration {
    let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
    Duration::new(
        seconds,
        u32::try_from(nanos % 1_000_000_000).expect("below a second"),
    )
}

fn pace(quota: &Quota) -> Pace {
    Pace::from_quota(quota).expect("it is a paced quota")
}

/// Spends if it fits.
fn admit(pace: &Pace, tat: &mut Tat, cost: u64, now: u64) -> Verdict {
    match pace.check(*tat, cost, now) {
        Verdict::Fits(next) => {
            assert_eq!(next, pace.spend(*tat, cost, now));
            *tat = next;
            Verdict::Fits(())
        }
        Verdict::After(wait) => Verdict::After(wait),
        Verdict::Never => Verdict::Never,
    }
}

#[test]
fn five_a_minute() {
    let pace = pace(&Quota::per_minute(5));
    let mut tat = Tat::FRESH;
    for left in (0..5).rev() {
        assert_eq!(admit(&pace, &mut tat, 1, 0), Verdict::Fits(()));
        assert_eq!(pace.remaining(tat, 0), left);
        assert_eq!(pace.until_more(tat, 0), Some(Duration::from_secs(12)));
    }
    assert_eq!(
        admit(&pace, &mut tat, 1, 0),
        Verdict::After(Duration::from_secs(12))
    );
    assert_eq!(
        admit(&pace, &mut tat, 1, 12 * SECOND - 1),
        Verdict::After(Duration::from_nanos(1))
    );
    assert_eq!(admit(&pace, &mut tat, 1, 12 * SECOND), Verdict::Fits(()));
    assert_eq!(pace.remaining(tat, 12 * SECOND), 0);
    assert_eq!(pace.debt(tat, 12 * SECOND), 60 * SECOND);
    assert!(!pace.is_idle(tat, 72 * SECOND - 1));
    assert!(pace.is_idle(tat, 72 * SECOND));
    assert_eq!(pace.until_more(tat, 72 * SECOND), None);
}

#[test]
fn a_third_of_a_second_is_rounded_up_and_never_drifts() {
    let pace = pace(&Quota::per_second(3));
    let mut tat = pace.owing(3, 0);
    // A caller who comes back exactly when it is told to.
    let mut now = 0;
    for third in 1..=1_000_u64 {
        let Verdict::After(wait) = pace.check(tat, 1, now) else {
            panic!("it was full")
        };
        now += u64::try_from(wait.as_nanos()).unwrap();
        assert_eq!(now, (third * SECOND).div_ceil(3));
        assert_eq!(admit(&pace, &mut tat, 1, now), Verdict::Fits(()));
    }
    assert_eq!(pace.debt(tat, now), SECOND + 1_000 * SECOND / 3 - now + 1);
    // Ten years without a pause, and one unit more.
    let years = 315_360_000;
    let tat = pace.owing(3 * years + 1, 0);
    assert_eq!(pace.debt(tat, 0), years * SECOND + SECOND / 3 + 1);
    assert_eq!(pace.remaining(tat, years * SECOND), 2);
}

#[test]
fn a_cost_above_the_capacity_never_fits_and_none_costs_nothing() {
    let pace = pace(&Quota::per_second(10).burst(4));
    assert_eq!(pace.check(Tat::FRESH, 5, 0), Verdict::Never);
    assert_eq!(pace.check(Tat::FRESH, u64::MAX, u64::MAX), Verdict::Never);
    let empty = pace.owing(9, 7);
    assert_eq!(pace.check(empty, 0, 7), Verdict::Fits(empty));
    assert_eq!(pace.spend(empty, 0, 7), empty);
    assert_eq!(pace.remaining(empty, 7), 0);
    // Five in debt, and one more: six tenths of a second.
    assert_eq!(pace.until_more(empty, 7), Some(Duration::from_millis(600)));
    assert_eq!(
        pace.check(empty, 1, 7),
        Verdict::After(Duration::from_millis(600))
    );
}

#[test]
fn a_refund_never_reaches_into_the_future_of_a_clock_that_goes_back() {
    let pace = pace(&Quota::per_second(10));
    let refunded = pace.refund(pace.owing(2, SECOND), 9, SECOND);
    assert!(pace.is_idle(refunded, SECOND));
    assert_eq!(pace.remaining(refunded, SECOND - 1), 9);
}

#[test]
fn a_change_keeps_what_was_spent() {
    let (five, eight, four, ten) = (
        Quota::per_minute(5),
        Quota::per_minute(8),
        Quota::per_minute(4),
        Quota::per_minute(10),
    );
    let tat = pace(&five).owing(3, SECOND);
    let converted = pace(&eight).convert(&pace(&five), tat, SECOND);
    assert_eq!(pace(&eight).remaining(converted, SECOND), 5);

    let tat = pace(&ten).owing(8, SECOND);
    let converted = pace(&four).convert(&pace(&ten), tat, SECOND);
    assert_eq!(pace(&four).remaining(converted, SECOND), 0);
    // Four over, and one to be admitted: five at 15 s each.
    assert_eq!(
        pace(&four).check(converted, 1, SECOND),
        Verdict::After(Duration::from_secs(75))
    );

    let same = pace(&ten).convert(&pace(&ten), tat, SECOND);
    assert_eq!(same, tat);
}

#[test]
fn the_largest_of_everything_does_not_overflow() {
    let quota = Quota::new(Quota::MAX_UNITS, Quota::MAX_PERIOD).unwrap();
    let slow = Quota::every(Quota::MAX_PERIOD).burst(Quota::MAX_UNITS);
    for quota in [quota, slow] {
        let pace = pace(&quota);
        for now in [0, 1, 10_000_000_000_000_000_000, u64::MAX] {
            let mut tat = Tat::FRESH;
            assert_eq!(
                admit(&pace, &mut tat, Quota::MAX_UNITS, now),
                Verdict::Fits(())
            );
            assert_eq!(pace.remaining(tat, now), 0);
            assert!(
                matches!(pace.check(tat, 1, now), Verdict::After(wait) if wait > Duration::ZERO)
            );
            assert!(matches!(
                pace.check(tat, Quota::MAX_UNITS, now),
                Verdict::After(_)
            ));
            assert!(pace.until_more(tat, now).is_some());
            assert!(pace.debt(tat, now) > 0);
            // An earlier instant, as after a clock went back.
            assert!(matches!(pace.check(tat, 1, 0), Verdict::After(_)));
            tat = pace.spend(tat, u64::MAX, now);
            tat = pace.spend(tat, u64::MAX, now);
            assert_eq!(pace.remaining(tat, now), 0);
            assert!(pace.until_more(tat, now).is_some());
            for _ in 0..3 {
                tat = pace.refund(tat, u64::MAX, now);
            }
            assert_eq!(pace.remaining(tat, now), quota.capacity());
            assert!(pace.is_idle(tat, now));
        }
    }
}

#[test]
fn a_wait_longer_than_u64_nanoseconds_is_still_exact() {
    let week = Duration::from_secs(604_800);
    let pace = pace(&Quota::every(week).burst(1_000_000));
    let tat = pace.owing(1_000_000, 0);
    assert_eq!(
        pace.check(tat, 1_000_000, 0),
        Verdict::After(week * 1_000_000)
    );
    assert_eq!(pace.debt(tat, 0), u64::MAX);
}

fn any_quota() -> impl Strategy<Value = Quota> {
    let usual = prop::sample::select(vec![
        Quota::per_second(3),
        Quota::per_minute(7),
        Quota::per_hour(1_000_003),
        Quota::per_minute(5),
        Quota::per_second(1).burst(5),
        Quota::per_day(1_000).burst(1),
        Quota::per_second(999_999_937).burst(3),
        Quota::per_second(1_000_000_007).burst(20),
        Quota::every(Duration::from_nanos(7)).burst(2),
    ]);
    let paced = |(units, period, burst): (u64, u64, u64)| {
        let quota = Quota::new(units, Duration::from_nanos(period)).expect("all are in range");
        quota.burst(burst)
    };
    let strange = (1..5_000_u64, 1..=1_u64 << 40, 1..50_u64).prop_map(paced);
    let extreme = (1..=Quota::MAX_UNITS, 1..=1_u64 << 63, 1..=Quota::MAX_UNITS).prop_map(paced);
    prop_oneof![4 => usual, 4 => strange, 1 => extreme]
}

#[derive(Clone, Debug)]
enum Step {
    /// A wait of this many sixteenths of what one unit takes to come back.
    Pass(u64),
    /// A wait of this many nanoseconds.
    Nanos(u64),
    /// A wait that empties every bucket's memory.
    Years(u64),
    /// A wait of just as long as the last refusal said, less so many nanoseconds.
    AsTold(u64),
    Spend(u64),
    /// A cost of so many 256ths of the capacity.
    Share(u64),
    Refund(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..40_u64).prop_map(Step::Pass),
        1 => (0..5_u64).prop_map(Step::Nanos),
        1 => (1..40_000_000 * SECOND).prop_map(Step::Years),
        4 => (0..2_u64).prop_map(Step::AsTold),
        8 => (0..4_u64).prop_map(Step::Spend),
        2 => (0..300_u64).prop_map(Step::Share),
        1 => (0..3_u64).prop_map(Step::Refund),
    ];
    prop::collection::vec(step, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn it_is_the_ideal_bucket_to_the_nanosecond(quota in any_quota(), start in 0..8_000_000_000 * SECOND, steps in steps()) {
        let pace = pace(&quota);
        let mut bucket = Bucket::new(&quota);
        let mut tat = Tat::FRESH;
        let mut now = start;
        let mut told = 0_u64;
        let unit = u64::try_from(quota.period().as_nanos() / u128::from(quota.units())).unwrap();
        for step in steps {
            let pass = match step {
                Step::Pass(sixteenths) => (unit / 16).saturating_mul(sixteenths),
                Step::Nanos(nanos) => nanos,
                Step::Years(nanos) => nanos,
                Step::AsTold(less) => told.saturating_sub(less),
                _ => 0,
            };
            // Beyond this the clock of a limiter has no instants; the waits are still compared.
            if let Some(later) = now.checked_add(pass) {
                now = later;
            }
            let share = |parts: u64| u64::try_from(u128::from(quota.capacity()) * u128::from(parts) / 256).unwrap();
            match step {
                Step::Refund(cost) => {
                    tat = pace.refund(tat, cost, now);
                    bucket.refund(cost, now);
                }
                Step::Spend(cost) | Step::Share(cost) => {
                    let cost = if let Step::Share(parts) = step { share(parts) } else { cost };
                    let verdict = admit(&pace, &mut tat, cost, now);
                    prop_assert_eq!(verdict, bucket.admit(cost, now));
                    told = match verdict {
                        Verdict::After(wait) => u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX),
                        _ => 0,
                    };
                }
                _ => bucket.refill(now),
            }
            prop_assert_eq!(pace.remaining(tat, now), bucket.remaining());
            prop_assert_eq!(pace.until_more(tat, now), bucket.until_more());
        }
    }

    #[test]
    fn it_fits_exactly_where_it_tells_us(quota in any_quota(), now in 0..1_000_000_000 * SECOND, spent in 1..256_u64, cost in 1..256_u64) {
        let pace = pace(&quota);
        let share = |parts: u64| u64::try_from(u128::from(quota.capacity()) * u128::from(parts) / 256 + 1).unwrap();
        let tat = pace.owing(share(spent), now);
        let cost = share(cost);
        if let Verdict::After(wait) = pace.check(tat, cost, now)
            && let Ok(wait) = u64::try_from(wait.as_nanos())
            && let Some(then) = now.checked_add(wait)
        {
            prop_assert!(matches!(pace.check(tat, cost, then), Verdict::Fits(_)));
            prop_assert_eq!(pace.check(tat, cost, then - 1), Verdict::After(Duration::from_nanos(1)));
        }
        let remaining = pace.remaining(tat, now);
        if let Some(wait) = pace.until_more(tat, now)
            && let Ok(wait) = u64::try_from(wait.as_nanos())
            && let Some(then) = now.checked_add(wait)
        {
            prop_assert!(pace.remaining(tat, then) > remaining);
            prop_assert_eq!(pace.remaining(tat, then - 1), remaining);
        }
    }

    #[test]
    fn a_change_never_gives_a_unit_away(from in any_quota(), to in any_quota(), spent in 0..64_u64, later in 0..SECOND) {
        let (old, new) = (pace(&from), pace(&to));
        let spent = spent.min(from.capacity());
        let tat = old.owing(spent, 0);
        let owed = old.spent(tat, later);
        let converted = new.convert(&old, tat, later);
        prop_assert_eq!(new.spent(converted, later), owed);
        prop_assert_eq!(new.remaining(converted, later), to.capacity().saturating_sub(owed));
    }
}
