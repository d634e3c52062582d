//! Periods and decisions against a slow walk along the clocks of a zone.

use buttress_core::wall::UnixNanos;
use buttress_quota::algorithm::{Calendar, Moment, Period, Periods, Used, Verdict};
use buttress_quota::{Quota, Unit, Zone};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use proptest::prelude::*;

use crate::zone;

/// When periods begin between two instants: a walk in steps along what the clocks show.
fn beginnings(time_zone: &TimeZone, unit: Unit, from: i64, to: i64, step: usize) -> Vec<i64> {
    let shown = |second| {
        let timestamp = Timestamp::from_second(second).expect("the walk is near the present");
        time_zone.to_datetime(timestamp)
    };
    let mut latest = shown(from);
    let mut before = shown(from);
    let mut found = Vec::new();
    for second in (from..=to).step_by(step).skip(1) {
        let now = shown(second);
        let begins = match unit {
            Unit::Second | Unit::Minute | Unit::Hour => {
                label(unit, now) != label(unit, before) || label(unit, now) == now
            }
            _ => label(unit, now.max(latest)) != label(unit, latest),
        };
        if begins {
            found.push(second);
        }
        latest = latest.max(now);
        before = now;
    }
    found
}

/// The civil time at which the hour, day or so began that is shown.
fn label(unit: Unit, shown: DateTime) -> DateTime {
    let at = |hour, minute, second| shown.date().at(hour, minute, second, 0);
    match unit {
        Unit::Second => at(shown.hour(), shown.minute(), shown.second()),
        Unit::Minute => at(shown.hour(), shown.minute(), 0),
        Unit::Hour => at(shown.hour(), 0, 0),
        Unit::Day => at(0, 0, 0),
        Unit::Week => {
            let monday = |day: &Date| day.weekday() == Weekday::Monday;
            let mut days = std::iter::successors(Some(shown.date()), |day| day.yesterday().ok());
            days.find(monday)
                .expect("a week has a Monday")
                .at(0, 0, 0, 0)
        }
        Unit::Month => shown.date().first_of_month().at(0, 0, 0, 0),
    }
}

/// A zone and an instant, mostly one near a change of its clocks.
fn any_instant(years: std::ops::Range<i16>) -> impl Strategy<Value = (&'static str, i64)> {
    let names: Vec<&'static str> = Zone::names().collect();
    let near = prop_oneof![-7_200..7_200_i64, -200_000..200_000_i64];
    (prop::sample::select(names), years, 1..=12_i8, near).prop_map(|(name, year, month, near)| {
        let middle = DateTime::constant(year, month, 1, 0, 0, 0, 0)
            .to_zoned(TimeZone::UTC)
            .expect("the year is near the present")
            .timestamp();
        let time_zone = clocks(name);
        let change = time_zone.following(middle).next();
        let change = change.map_or(middle, |change| change.timestamp());
        (name, change.as_second() + near)
    })
}

fn clocks(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled()
        .get(name)
        .expect("the name is in the database")
}

fn walked(name: &str, unit: Unit, at: i64, reach: i64, step: usize) -> (i64, i64) {
    let from = (at - reach).div_euclid(3_600) * 3_600;
    let beginnings = beginnings(&clocks(name), unit, from, at + reach, step);
    let next = beginnings.partition_point(|begun| *begun <= at);
    (beginnings[next - 1], beginnings[next])
}

fn seconds(period: Period) -> (i64, i64) {
    let end = period.end().expect("a period near the present has an end");
    (period.start().seconds(), end.seconds())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn hours_and_minutes_are_those_of_a_walk_along_the_clocks(
        (name, at) in any_instant(1880..2110),
        unit in prop::sample::select(vec![Unit::Second, Unit::Minute, Unit::Hour]),
    ) {
        let period = zone(name).period(unit, UnixNanos::from_seconds(at));
        prop_assert_eq!(seconds(period), walked(name, unit, at, 11_000, 1), "{} {}", name, unit);
    }

    #[test]
    fn days_are_those_of_a_walk_along_the_clocks((name, at) in any_instant(1973..2110)) {
        let period = zone(name).period(Unit::Day, UnixNanos::from_seconds(at));
        prop_assert_eq!(seconds(period), walked(name, Unit::Day, at, 260_000, 60), "{}", name);
    }

    #[test]
    fn weeks_and_months_are_those_of_a_walk_along_the_clocks(
        (name, at) in any_instant(2012..2110),
        unit in prop::sample::select(vec![Unit::Week, Unit::Month]),
    ) {
        let period = zone(name).period(unit, UnixNanos::from_seconds(at));
        prop_assert_eq!(seconds(period), walked(name, unit, at, 33 * 86_400, 900), "{} {}", name, unit);
    }

    #[test]
    fn periods_follow_each_other_without_a_gap(
        (name, at) in any_instant(1850..2200),
        unit in prop::sample::select(Unit::ALL.to_vec()),
        nanos in 0..1_000_000_000_i128,
    ) {
        let zone = zone(name);
        let at = UnixNanos::new(UnixNanos::from_seconds(at).get() + nanos);
        let period = zone.period(unit, at);
        prop_assert!(period.contains(at));
        let end = period.end().unwrap();
        let next = zone.period(unit, end);
        prop_assert_eq!(next.start(), end);
        prop_assert_eq!(zone.period(unit, UnixNanos::new(end.get() - 1)), period);
        prop_assert_eq!(zone.period(unit, period.start()), period);
        prop_assert!(!period.contains(end));
    }

    #[test]
    fn periods_that_are_kept_are_those_that_are_computed(
        name in prop::sample::select(Zone::names().collect::<Vec<_>>()),
        unit in prop::sample::select(Unit::ALL.to_vec()),
        instants in prop::collection::vec(
            prop_oneof![
                4 => 1_700_000_000_000_000_000..1_700_400_000_000_000_000_i128,
                1 => any::<i64>().prop_map(i128::from),
                1 => any::<i128>(),
            ],
            1..20,
        ),
    ) {
        let quota = Quota::calendar(1, unit, zone(name));
        let calendar = Calendar::from_quota(&quota).unwrap();
        let periods = Periods::new(calendar);
        for instant in instants.iter().flat_map(|instant| [instant; 2]) {
            let at = UnixNanos::new(*instant);
            let kept: Moment = periods.moment(at);
            prop_assert_eq!(kept, calendar.moment(at));
            prop_assert!(kept.period().contains(at));
        }
    }

    #[test]
    fn no_period_holds_more_than_the_units_and_every_wait_is_exact(
        units in 1..6_u64,
        (name, from) in any_instant(1990..2060),
        unit in prop::sample::select(Unit::ALL.to_vec()),
        steps in prop::collection::vec((0..4_000_u64, 0..7_u64), 1..60),
    ) {
        let quota = Quota::calendar(units, unit, zone(name));
        let calendar = Calendar::from_quota(&quota).unwrap();
        let scale = u64::try_from(unit.nominal().as_nanos()).unwrap() / 10_000;
        let mut used = Used::FRESH;
        let mut now = UnixNanos::from_seconds(from);
        let mut admitted: Vec<(UnixNanos, u64)> = Vec::new();
        for (step, cost) in steps {
            now = UnixNanos::new(now.get() + i128::from(step * scale));
            let at = calendar.moment(now);
            let period = zone(name).period(unit, now);
            let spent: u64 = admitted.iter().filter(|(at, _)| period.contains(*at)).map(|(_, cost)| cost).sum();
            prop_assert_eq!(calendar.remaining(used, at), units - spent);
            prop_assert_eq!(calendar.is_idle(used, at), spent == 0);
            let wait = now.until(period.end().unwrap());
            prop_assert_eq!(calendar.until_more(used, at), (spent > 0).then_some(wait));
            let expected = match cost {
                0 => Verdict::Fits(()),
                _ if cost > units => Verdict::Never,
                _ if spent + cost <= units => Verdict::Fits(()),
                _ => Verdict::After(wait),
            };
            prop_assert_eq!(calendar.check(used, cost, at), expected);
            if expected == Verdict::Fits(()) {
                used = calendar.spend(used, cost, at);
                admitted.push((now, cost));
            }
        }
    }
}
