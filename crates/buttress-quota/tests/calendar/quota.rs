//! The quota, alone, with others and in a limiter.

use std::time::Duration;

use buttress_core::wall::{CivilTime, UnixNanos, WallClock};
use buttress_quota::algorithm::{Account, Calendar, Refusal, Rules, Used, Verdict, When};
use buttress_quota::{Quota, Unit};

use crate::{unix, zone};

const SECOND: u64 = 1_000_000_000;

fn calendar(text: &str) -> Calendar {
    let quota: Quota = text.parse().unwrap_or_else(|error| panic!("{error}"));
    Calendar::from_quota(&quota).expect("it is a calendar quota")
}

#[test]
fn at_the_ends_of_time_nothing_panics_and_nothing_comes_back() {
    let ends = [
        i128::MIN,
        -377_705_023_201_000_000_001,
        -377_704_331_999_000_000_000,
        253_402_207_200_999_999_999,
        253_402_207_201_000_000_000,
        i128::MAX,
    ];
    for name in ["UTC", "America/New_York", "Pacific/Kiritimati"] {
        for unit in Unit::ALL {
            let quota = Quota::calendar(1, unit, zone(name));
            let calendar = Calendar::from_quota(&quota).unwrap();
            for at in ends {
                let at = calendar.moment(UnixNanos::new(at));
                assert!(at.period().contains(at.now()), "{name} {unit} {at:?}");
                let used = calendar.owing(1, at);
                assert_ne!(calendar.check(used, 1, at), Verdict::Fits(()));
                assert_eq!(calendar.remaining(used, at), 0);
            }
            let last = calendar.moment(UnixNanos::new(i128::MAX));
            let used = calendar.owing(1, last);
            assert_eq!(calendar.check(used, 1, last), Verdict::Never);
            assert_eq!(calendar.until_more(used, last), None);
            assert_eq!(calendar.debt(used, last), u64::MAX);
        }
    }
}

#[test]
fn the_text_of_a_calendar_quota() {
    for text in [
        "1400/day calendar UTC",
        "1/day calendar America/New_York",
        "5/month calendar Europe/Berlin",
        "7/week calendar Asia/Kathmandu",
        "10/second calendar Etc/GMT-2",
    ] {
        let quota: Quota = text.parse().unwrap();
        assert_eq!(quota.to_string(), text);
    }
    let short: Quota = "1/d calendar UTC".parse().unwrap();
    assert_eq!(short.to_string(), "1/day calendar UTC");
    let quota: Quota = "150k/hour calendar UTC".parse().unwrap();
    assert_eq!(quota, Quota::calendar(150_000, Unit::Hour, zone("UTC")));
    assert_eq!(quota.capacity(), 150_000);
    assert_eq!(quota.period(), Duration::from_secs(3_600));
    for (text, field, reason) in [
        ("1/day calendar", "window", "has no zone"),
        ("1/90s calendar UTC", "period", "does not go with calendar"),
        ("1/1d calendar UTC", "period", "does not go with calendar"),
        ("0/day calendar UTC", "number", "is zero"),
        ("1/day calendar utc", "zone", "write UTC"),
        ("1/day calendar Mars/Olympus", "zone", "such as UTC"),
        ("1/day calendar UTC rolling", "window", "more than one"),
        ("1/day calendar UTC burst 2", "window", "more than one"),
        ("1/day calendar  UTC", "window", "exactly one"),
    ] {
        let error = text.parse::<Quota>().unwrap_err();
        assert_eq!((error.field(), error.text()), (field, text), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        assert!(text.contains(error.part()), "{error}");
    }
    let error = Quota::try_calendar(0, Unit::Day, "UTC").unwrap_err();
    assert_eq!((error.field(), error.part()), ("number", "0"));
    let error = quota.try_burst(2).unwrap_err();
    assert!(error.to_string().contains("does not go with calendar"));
}

#[test]
fn all_units_are_back_at_the_first_instant_of_the_next_period() {
    let daily = calendar("5/day calendar America/New_York");
    let at = |text| daily.moment(unix(text));
    let first = at("2026-03-08T05:00:00Z");
    assert!(daily.is_idle(Used::FRESH, first));
    assert_eq!(daily.until_more(Used::FRESH, first), None);
    let used = daily.spend(Used::FRESH, 3, first);
    let last = at("2026-03-09T03:59:59.999999999Z");
    let nanosecond = Duration::from_nanos(1);
    assert_eq!(daily.remaining(used, last), 2);
    assert_eq!(daily.check(used, 2, last), Verdict::Fits(()));
    assert_eq!(daily.check(used, 3, last), Verdict::After(nanosecond));
    assert_eq!(daily.check(used, 6, last), Verdict::Never);
    assert_eq!(daily.check(used, 0, last), Verdict::Fits(()));
    assert_eq!(daily.until_more(used, last), Some(nanosecond));
    assert_eq!(daily.debt(used, first), 82_800 * SECOND);
    let next = at("2026-03-09T04:00:00Z");
    assert!(daily.is_idle(used, next));
    assert_eq!(daily.remaining(used, next), 5);
    assert_eq!(daily.debt(used, next), 0);
    assert_eq!(daily.spend(used, 0, next), used);
    assert_eq!(daily.spent(daily.spend(used, 4, next), next), 4);
    let all = daily.spend(used, u64::MAX, last);
    assert_eq!(daily.remaining(all, last), 0);
}

#[test]
fn a_refund_never_credits_a_later_period() {
    let daily = calendar("5/day calendar UTC");
    let at = |text| daily.moment(unix(text));
    let (monday, noon, tuesday) = (
        at("2026-06-01T23:59:59Z"),
        at("2026-06-02T12:00:00Z"),
        at("2026-06-02T13:00:00Z"),
    );
    let used = daily.spend(daily.owing(4, monday), 3, noon);
    assert_eq!(daily.spent(used, tuesday), 3);
    let same = daily.refund_at(used, 2, monday.now(), tuesday);
    assert_eq!(daily.spent(same, tuesday), 3);
    let less = daily.refund_at(used, 2, noon.now(), tuesday);
    assert_eq!(daily.spent(less, tuesday), 1);
    let nothing = daily.refund(less, 9, tuesday);
    assert_eq!(daily.remaining(nothing, tuesday), 5);
    let over = at("2026-06-03T00:00:00Z");
    assert_eq!(daily.refund_at(used, 2, noon.now(), over), used);
}

#[test]
fn a_clock_that_is_set_back_gives_nothing_back() {
    let daily = calendar("5/day calendar UTC");
    let at = |text| daily.moment(unix(text));
    let begun = at("2026-06-02T00:00:01Z");
    let back = at("2026-06-01T23:59:59Z");
    let used = daily.owing(4, begun);
    assert_eq!(daily.remaining(used, back), 1);
    // Until the end of the day that has not begun again.
    let wait = Duration::from_secs(86_401);
    assert_eq!(daily.check(used, 2, back), Verdict::After(wait));
    let used = daily.spend(used, 1, back);
    assert_eq!(daily.remaining(used, begun), 0);
    // A clock that was wrong by years blocks nobody for years.
    let wrong = daily.owing(5, at("2036-06-02T00:00:00Z"));
    let second = Duration::from_secs(1);
    assert_eq!(daily.check(wrong, 1, back), Verdict::After(second));
    assert_eq!(daily.remaining(wrong, begun), 0);
    let wrong = daily.spend(wrong, 1, back);
    assert_eq!(daily.remaining(wrong, begun), 5);
}

#[test]
fn what_a_clock_wrote_that_was_years_ahead_refuses_once_and_not_in_every_period_until_then() {
    let rules = Rules::new(&["5/day calendar UTC".parse().expect("a quota")]);
    let nanos = |text| unix(text).get().try_into().expect("after 1970");
    let mut account = Account::default();
    let wrong: u64 = nanos("2036-06-02T00:00:00Z");
    assert!(account.admit(&rules, 5, wrong).is_ok());
    let corrected: u64 = nanos("2026-06-02T12:00:00Z");
    assert!(account.admit(&rules, 1, corrected).is_err());
    assert!(
        account
            .admit(&rules, 5, corrected + 86_400_000_000_000)
            .is_ok()
    );
}

#[test]
fn what_is_spent_goes_along_to_another_quota() {
    let daily = calendar("5/day calendar UTC");
    let more = calendar("8/day calendar UTC");
    let weekly = calendar("5/week calendar Europe/Berlin");
    let now = unix("2026-06-02T12:00:00Z");
    let (day, week) = (daily.moment(now), weekly.moment(now));
    let used = daily.owing(3, day);
    assert_eq!(more.convert(&daily, used, day, day), used);
    let spent = weekly.convert(&daily, used, day, week);
    assert_eq!(weekly.remaining(spent, week), 2);
    let later = unix("2026-06-03T12:00:00Z");
    let (day, week) = (daily.moment(later), weekly.moment(later));
    assert_eq!(weekly.convert(&daily, used, day, week), Used::FRESH);
    assert_eq!(
        daily.spent(daily.convert(&weekly, spent, week, day), day),
        3
    );
}

#[test]
fn several_quotas_with_a_calendar_are_one_decision() {
    let texts = [
        "2/second",
        "3/day calendar America/New_York",
        "9/hour rolling",
    ];
    let quotas: Vec<Quota> = texts.map(|text| text.parse().unwrap()).into();
    let clock = WallClock::fixed(buttress_core::time::now(), unix("2026-03-08T05:00:00Z"));
    let civil = clock.since(buttress_core::time::now());
    let start = civil.at(0).get() - unix("2026-03-08T05:00:00Z").get();
    let rules = Rules::with_civil_time(&quotas, &civil);
    let mut account = Account::default();
    assert_eq!(account.admit(&rules, 2, 0), Ok(()));
    assert_eq!(account.admit(&rules, 1, SECOND), Ok(()));
    let refusal = account.admit(&rules, 1, 2 * SECOND).unwrap_err();
    assert_eq!(refusal.quota, 1);
    let left = Duration::from_nanos(82_798 * SECOND - u64::try_from(start).unwrap());
    assert_eq!(refusal.when, When::After(left));
    let scarcest = account.scarcest(&rules, 2 * SECOND).unwrap();
    assert_eq!((scarcest.quota, scarcest.remaining), (1, 0));
    assert_eq!(scarcest.until_more, Some(left));
    let next = account.earliest(&rules, 1, 2 * SECOND).unwrap();
    assert!(account.check(&rules, 1, next - 1).is_err());
    assert_eq!(
        account.check(&rules, 3, next),
        Err(Refusal {
            when: When::Never,
            quota: 0
        })
    );
    account.refund_at(&rules, 1, SECOND, 2 * SECOND);
    assert_eq!(account.check(&rules, 1, 2 * SECOND), Ok(()));
    let other = Rules::with_civil_time(
        &["4/day calendar America/New_York".parse().unwrap()],
        &civil,
    );
    account.convert(&rules, &other, 2 * SECOND);
    assert_eq!(account.scarcest(&other, 2 * SECOND).unwrap().remaining, 2);
    assert!(account.is_idle(&other, next));
    assert_eq!(CivilTime::UNIX.at(7), UnixNanos::new(7));
}
