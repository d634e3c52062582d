//! Quotas and their text form.

use std::time::Duration;

use buttress_quota::{Quota, QuotaError, Window};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

fn quota(text: &str) -> Quota {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn paced(units: u64, period: Duration) -> Quota {
    Quota::new(units, period).expect("both are in range")
}

fn refused(text: &str) -> QuotaError {
    match text.parse::<Quota>() {
        Ok(quota) => panic!("{text:?} was read as {quota}"),
        Err(error) => error,
    }
}

#[test]
fn a_number_per_period_is_never_inverted() {
    let ten = Quota::per_second(10);
    assert_eq!(
        (ten.units(), ten.period(), ten.capacity()),
        (10, SECOND, 10)
    );
    let every = Quota::every(Duration::from_millis(100));
    assert_eq!(
        (every.units(), every.period(), every.capacity()),
        (1, Duration::from_millis(100), 1)
    );
    assert_eq!(Quota::per_minute(5).period(), Duration::from_secs(60));
    assert_eq!(Quota::per_hour(5).period(), Duration::from_secs(3_600));
    assert_eq!(Quota::per_day(5).period(), DAY);
}

#[test]
fn a_quota_can_be_a_constant() {
    const LOGIN: Quota = Quota::per_minute(5).burst(2);
    const DAILY: Quota = Quota::rolling(1_200, DAY);
    assert_eq!(LOGIN.window(), &Window::Paced { burst: 2 });
    assert_eq!(LOGIN.capacity(), 2);
    assert_eq!(DAILY.window(), &Window::Rolling);
    assert_eq!(DAILY.capacity(), 1_200);
}

#[test]
fn every_form_of_the_text_is_read() {
    let cases = [
        ("5/minute", Quota::per_minute(5)),
        ("5/min", Quota::per_minute(5)),
        ("5/1m", Quota::per_minute(5)),
        ("5/60s", Quota::per_minute(5)),
        ("5/second", Quota::per_second(5)),
        ("5/s", Quota::per_second(5)),
        ("5/1000ms", Quota::per_second(5)),
        ("5/hour", Quota::per_hour(5)),
        ("5/h", Quota::per_hour(5)),
        ("5/day", Quota::per_day(5)),
        ("5/d", Quota::per_day(5)),
        ("5/24h", Quota::per_day(5)),
        ("5/week", Quota::new(5, 7 * DAY).unwrap()),
        ("10/90s", Quota::new(10, Duration::from_secs(90)).unwrap()),
        (
            "10/1h30m",
            Quota::new(10, Duration::from_secs(5_400)).unwrap(),
        ),
        (
            "10/30m1h",
            Quota::new(10, Duration::from_secs(5_400)).unwrap(),
        ),
        ("1/second burst 5", Quota::per_second(1).burst(5)),
        ("1200/day rolling", Quota::rolling(1_200, DAY)),
        ("150k/minute", Quota::per_minute(150_000)),
        ("2M/day burst 3k", Quota::per_day(2_000_000).burst(3_000)),
        (
            "  5/minute rolling \n",
            Quota::rolling(5, Duration::from_secs(60)),
        ),
        ("9223372036854775807/s", Quota::per_second(Quota::MAX_UNITS)),
        ("1/9223372036854775808ns", Quota::every(Quota::MAX_PERIOD)),
    ];
    for (text, expected) in cases {
        assert_eq!(quota(text), expected, "{text}");
    }
}

#[test]
fn the_canonical_text_is_short() {
    for text in [
        "5/minute",
        "1/second burst 5",
        "1200/day rolling",
        "10/90s",
        "7/week",
        "3/90m",
        "1/1500ms",
        "1/250us",
        "1/1ns",
    ] {
        assert_eq!(quota(text).to_string(), text);
    }
    assert_eq!(quota("150k/60s burst 150k").to_string(), "150000/minute");
    assert_eq!(
        Quota::every(Duration::from_millis(100)).to_string(),
        "1/100ms"
    );
}

/// Wrong texts, the field that each names, and a piece of the reason.
const WRONG: &[(&str, &str, &str)] = &[
    ("", "quota", "is empty"),
    ("5", "quota", "has no \"/\""),
    ("5 per minute", "quota", "has no \"/\""),
    ("/minute", "number", "is missing"),
    ("0/minute", "number", "zero"),
    ("0k/minute", "number", "zero"),
    ("-5/minute", "number", "not an integer"),
    ("+5/minute", "number", "not an integer"),
    ("5.5/minute", "number", "not an integer"),
    ("5K/minute", "number", "k for thousands"),
    ("5m/minute", "number", "M for millions"),
    ("k/minute", "number", "not an integer"),
    ("5 /minute", "number", "space"),
    ("9223372036854775808/s", "number", "too large"),
    ("9223372036854775807k/s", "number", "too large"),
    ("99999999999999999999999/s", "number", "too large"),
    ("5/", "period", "is missing"),
    ("5/ minute", "period", "directly after"),
    ("5/m", "period", "write min for a minute"),
    ("5/ms", "period", "write 1ms"),
    ("5/Minute", "period", "is unknown"),
    ("5/minutes", "period", "is unknown"),
    ("5/fortnight", "period", "is unknown"),
    ("5/month", "period", "calendar"),
    ("5/month rolling", "period", "calendar"),
    ("5/0s", "period", "longer than zero"),
    ("5/10", "period", "has no unit"),
    ("5/1.5s", "period", "is a fraction"),
    ("5/1s1s", "period", "repeats"),
    ("5/5min", "period", "write minutes as m"),
    ("5/1h-3m", "period", "is no duration"),
    ("5/9223372036854775809ns", "period", "out of range"),
    (
        "5/99999999999999999999999999999999999999999d",
        "period",
        "too long",
    ),
    ("5/minute burst", "burst", "has no number"),
    ("5/minute burst 0", "burst", "zero"),
    ("5/minute burst x", "burst", "not an integer"),
    ("5/minute burst 5 rolling", "window", "more than one window"),
    ("5/minute rolling burst 5", "window", "more than one window"),
    ("5/minute rolling rolling", "window", "more than one window"),
    ("5/minute  rolling", "window", "exactly one"),
    ("5/minute Rolling", "window", "is unknown"),
    ("5/minute burst 5 6", "window", "is unknown"),
    ("5/minute, 100/day", "quota", "more than one quota"),
    ("5/minute calendar", "window", "has no zone"),
    ("5/90s calendar UTC", "period", "does not go with calendar"),
    (
        "5/day calendar UTC rolling",
        "window",
        "more than one window",
    ),
    ("５/minute", "number", "not an integer"),
];

#[test]
fn a_wrong_text_says_what_is_wrong_and_what_to_write() {
    for (text, field, reason) in WRONG {
        let error = refused(text);
        assert_eq!(error.text(), *text);
        assert_eq!(error.field(), *field, "{error}");
        let shown = error.to_string();
        assert!(shown.contains(reason), "{text:?}: {shown}");
        assert!(
            shown.contains("write")
                || shown.contains("put")
                || shown.contains("range")
                || shown.contains("add"),
            "no fix: {shown}"
        );
        assert!(text.contains(error.part()), "{text:?}: {:?}", error.part());
    }
}

#[test]
fn impossible_numbers_are_errors_or_panics_at_construction() {
    let minute = Duration::from_secs(60);
    assert!(
        Quota::new(0, minute)
            .unwrap_err()
            .to_string()
            .contains("0/1m")
    );
    assert!(Quota::new(Quota::MAX_UNITS + 1, minute).is_err());
    assert!(Quota::new(1, Duration::ZERO).is_err());
    assert!(Quota::new(1, Duration::MAX).is_err());
    assert!(Quota::new(1, Quota::MAX_PERIOD + Duration::from_nanos(1)).is_err());
    assert!(Quota::try_rolling(0, minute).is_err());
    assert!(Quota::per_minute(5).try_burst(0).is_err());
    let rolling = Quota::rolling(5, minute).try_burst(9).unwrap_err();
    assert!(
        rolling.to_string().contains("does not go with rolling"),
        "{rolling}"
    );

    let constructors: [fn() -> Quota; 5] = [
        || Quota::per_second(0),
        || Quota::every(Duration::ZERO),
        || Quota::rolling(u64::MAX, SECOND),
        || Quota::per_second(1).burst(0),
        || Quota::rolling(1, SECOND).burst(2),
    ];
    for constructor in constructors {
        let panic = std::panic::catch_unwind(constructor).unwrap_err();
        let message = panic.downcast_ref::<&str>().copied().unwrap_or_default();
        assert!(message.contains("quota"), "{message:?}");
    }
}

#[test]
fn a_name_fits_into_a_response_field() {
    let named = Quota::per_minute(5).named("burst \"fast\"");
    assert_eq!(named.name(), Some("burst \"fast\""));
    assert_eq!(named.to_string(), "5/minute");
    assert_ne!(named, Quota::per_minute(5));
    assert!(Quota::per_minute(5).try_named(&"x".repeat(64)).is_ok());
    for name in ["", "schnell\u{fc}", "two\nlines", &"x".repeat(65)] {
        let error = Quota::per_minute(5).try_named(name).unwrap_err();
        assert_eq!((error.field(), error.part()), ("name", name));
    }
}

fn any_quota() -> impl Strategy<Value = Quota> {
    let amount = || prop_oneof![1..100_u64, 1..=Quota::MAX_UNITS];
    let words = prop::sample::select(vec![1, 60, 3_600, 86_400, 604_800_u64]);
    let period = prop_oneof![
        words.prop_map(Duration::from_secs),
        (1..100_000_u64).prop_map(Duration::from_millis),
        (1..=1_u64 << 63).prop_map(Duration::from_nanos),
    ];
    (
        amount(),
        period,
        prop::option::of(prop::option::of(amount())),
    )
        .prop_map(|(units, period, window)| match window {
            None => Quota::rolling(units, period),
            Some(None) => paced(units, period),
            Some(Some(burst)) => paced(units, period).burst(burst),
        })
}

/// Texts that come close to a quota, so that the parser is entered deeply.
const NEARLY: &str = "[ \t]{0,1}[0-9]{0,4}[kM.-]{0,1}[ ]{0,1}/{0,2}(second|minute|hour|month|s|min|m|ms|[0-9]{1,3}(ms|s|m|h|d|x){0,1}){0,2}\
                      ( {0,2}(burst|rolling|calendar|UTC|[0-9]{1,3}k{0,1}|,)){0,3}[ ]{0,1}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_canonical_text_reads_back(quota in any_quota()) {
        prop_assert_eq!(quota.to_string().parse::<Quota>(), Ok(quota));
    }

    #[test]
    fn any_text_is_a_quota_or_an_error_that_names_it(text in prop_oneof![NEARLY, ".{0,40}", "[0-9a-zµ/ .]{0,200}"]) {
        match text.parse::<Quota>() {
            Ok(quota) => prop_assert_eq!(quota.to_string().parse::<Quota>(), Ok(quota)),
            Err(error) => {
                prop_assert_eq!(error.text(), text.as_str());
                prop_assert!(text.contains(error.part()), "{:?} is not in {:?}", error.part(), text);
                let shown = error.to_string();
                if text.chars().count() <= 120 {
                    prop_assert!(shown.contains(&format!("{text:?}")), "{}", shown);
                }
                prop_assert!(shown.len() < 4_000);
            }
        }
    }
}
