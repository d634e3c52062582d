//! Where clocks change, and where the calendar is uneven.

use buttress_core::wall::UnixNanos;
use buttress_quota::{Unit, Zone};
use jiff::Timestamp;

use crate::{unix, zone};

/// The period of an instant, as UTC texts.
fn period(name: &str, unit: Unit, at: &str) -> (String, String) {
    let shown = |at: UnixNanos| {
        let timestamp = Timestamp::from_nanosecond(at.get()).expect("it is near the present");
        timestamp.to_string()
    };
    let period = zone(name).period(unit, unix(at));
    (
        shown(period.start()),
        shown(period.end().expect("it has an end")),
    )
}

fn assert_period(name: &str, unit: Unit, at: &str, start: &str, end: &str) {
    let found = period(name, unit, at);
    assert_eq!(found, (start.into(), end.into()), "{name} {unit} {at}");
}

#[test]
fn a_day_is_the_zones_day() {
    use Unit::Day;
    let new_york = "America/New_York";
    // 23 hours, and the last nanosecond of it; then 24.
    let (start, end) = ("2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z");
    for at in [
        start,
        "2026-03-08T07:00:00Z",
        "2026-03-09T03:59:59.999999999Z",
    ] {
        assert_period(new_york, Day, at, start, end);
    }
    assert_period(new_york, Day, end, end, "2026-03-10T04:00:00Z");
    // 25 hours.
    let (start, end) = ("2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z");
    for at in [start, "2026-11-01T06:30:00Z", "2026-11-02T04:59:59Z"] {
        assert_period(new_york, Day, at, start, end);
    }
    // 23.5 hours and 24.5 hours.
    let lord_howe = "Australia/Lord_Howe";
    let (start, end) = ("2024-10-05T13:30:00Z", "2024-10-06T13:00:00Z");
    assert_period(lord_howe, Day, "2024-10-05T20:00:00Z", start, end);
    let (start, end) = ("2024-04-06T13:00:00Z", "2024-04-07T13:30:00Z");
    assert_period(lord_howe, Day, "2024-04-06T20:00:00Z", start, end);
}

#[test]
fn a_day_without_midnight_begins_where_the_clocks_go_on() {
    use Unit::Day;
    // 00:00 to 01:00 was skipped.
    let (start, end) = ("2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z");
    assert_period("America/Sao_Paulo", Day, start, start, end);
    let before = "2018-11-03T03:00:00Z";
    assert_period(
        "America/Sao_Paulo",
        Day,
        "2018-11-04T02:59:59Z",
        before,
        start,
    );
    // 23:00 to 24:00 came twice.
    let (start, end) = ("2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z");
    assert_period("America/Sao_Paulo", Day, "2018-02-18T02:30:00Z", start, end);
    let (start, end) = ("2024-03-30T22:00:00Z", "2024-03-31T21:00:00Z");
    assert_period("Asia/Beirut", Day, start, start, end);
    let (start, end) = ("2024-10-25T21:00:00Z", "2024-10-26T22:00:00Z");
    assert_period("Asia/Beirut", Day, "2024-10-26T21:30:00Z", start, end);
    // 23:30 to 00:30 was skipped: the clocks never showed the first half hour.
    let (start, end) = ("1919-03-31T04:30:00Z", "1919-04-01T04:00:00Z");
    assert_period("America/Toronto", Day, start, start, end);
    // The 30th of December never was.
    let (start, gone) = ("2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z");
    assert_period("Pacific/Apia", Day, "2011-12-30T09:59:59Z", start, gone);
    assert_period("Pacific/Apia", Day, gone, gone, "2011-12-31T10:00:00Z");
}

#[test]
fn a_day_that_has_begun_goes_on_although_the_clocks_go_back_over_its_midnight() {
    use Unit::Day;
    // At 00:01 the clocks went back to 23:01 of the day before.
    let (start, end) = ("2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z");
    for at in [start, "2010-11-07T02:45:00Z", "2010-11-07T03:30:30Z"] {
        assert_period("America/St_Johns", Day, at, start, end);
    }
    // At 01:00 they go back to 00:00.
    let (start, end) = ("2024-11-03T04:00:00Z", "2024-11-04T05:00:00Z");
    for at in [start, "2024-11-03T05:00:00Z", "2024-11-03T05:59:59Z"] {
        assert_period("America/Havana", Day, at, start, end);
    }
}

#[test]
fn an_hour_that_comes_twice_is_two_and_half_an_hour_more_is_one_of_ninety_minutes() {
    use Unit::{Hour, Minute, Second};
    let new_york = "America/New_York";
    let (first, second, third) = (
        "2026-11-01T05:00:00Z",
        "2026-11-01T06:00:00Z",
        "2026-11-01T07:00:00Z",
    );
    assert_period(new_york, Hour, "2026-11-01T05:30:00Z", first, second);
    assert_period(new_york, Hour, second, second, third);
    let (start, end) = ("2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z");
    assert_period(new_york, Hour, start, start, end);

    let lord_howe = "Australia/Lord_Howe";
    let (start, end) = ("2024-04-06T14:00:00Z", "2024-04-06T15:30:00Z");
    for at in [start, "2024-04-06T15:00:00Z", "2024-04-06T15:29:59Z"] {
        assert_period(lord_howe, Hour, at, start, end);
    }
    let (start, end) = ("2024-10-05T15:30:00Z", "2024-10-05T16:00:00Z");
    assert_period(lord_howe, Hour, start, start, end);
    // Half an hour is whole minutes and seconds.
    let (start, end) = ("2024-04-06T15:00:00Z", "2024-04-06T15:01:00Z");
    assert_period(lord_howe, Minute, start, start, end);
    let (start, end) = ("2024-04-06T15:00:00Z", "2024-04-06T15:00:01Z");
    assert_period(lord_howe, Second, "2024-04-06T15:00:00.5Z", start, end);
    // A zone that is a quarter of an hour off.
    let (start, end) = ("2026-01-01T00:15:00Z", "2026-01-01T01:15:00Z");
    assert_period("Asia/Kathmandu", Hour, "2026-01-01T01:14:59Z", start, end);
}

#[test]
fn months_leap_days_and_weeks() {
    let utc = "UTC";
    let day = |text: &str| format!("{text}T00:00:00Z");
    for (unit, at, start, end) in [
        (Unit::Month, "2024-02-29", "2024-02-01", "2024-03-01"),
        (Unit::Month, "2026-02-28", "2026-02-01", "2026-03-01"),
        (Unit::Month, "2100-02-28", "2100-02-01", "2100-03-01"),
        (Unit::Month, "2026-12-31", "2026-12-01", "2027-01-01"),
        (Unit::Day, "2024-02-29", "2024-02-29", "2024-03-01"),
        // 2024-02-26 was a Monday.
        (Unit::Week, "2024-02-26", "2024-02-26", "2024-03-04"),
        (Unit::Week, "2024-03-03", "2024-02-26", "2024-03-04"),
        (Unit::Week, "2025-01-01", "2024-12-30", "2025-01-06"),
        (Unit::Week, "1969-12-31", "1969-12-29", "1970-01-05"),
    ] {
        assert_period(utc, unit, &day(at), &day(start), &day(end));
    }
    let berlin = "Europe/Berlin";
    let (start, end) = ("2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z");
    assert_period(berlin, Unit::Month, "2026-03-31T21:59:59Z", start, end);
    let (start, end) = ("2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z");
    assert_period(berlin, Unit::Week, "2026-03-29T12:00:00Z", start, end);
}

#[test]
fn a_zone_has_the_name_of_the_database() {
    assert_eq!(zone("America/New_York").name(), "America/New_York");
    assert!(Zone::names().count() > 400);
    for name in Zone::names() {
        assert_eq!(zone(name).to_string(), name);
    }
    for (wrong, meant) in [
        ("america/new_york", "write America/New_York"),
        ("New York", "write America/New_York"),
        ("Berlin", "write Europe/Berlin"),
        ("utc", "write UTC"),
        ("UTC+2", "such as UTC"),
        ("", "such as UTC"),
        ("../etc/passwd", "such as UTC"),
    ] {
        let error = Zone::new(wrong).unwrap_err().to_string();
        assert!(error.contains(meant), "{error}");
        assert!(error.contains(&format!("{wrong:?}")), "{error}");
    }
}
