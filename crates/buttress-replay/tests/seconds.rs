//! Seconds, read and printed.

use buttress_replay::seconds::{InSeconds, LARGEST, SecondsError, parse_seconds};
use proptest::prelude::*;

#[test]
fn decimals_become_milliseconds() {
    for (text, milliseconds) in [
        ("0", 0),
        ("-0", 0),
        ("-0.000", 0),
        ("0e999999999", 0),
        ("0.000e-99999999999999999999999", 0),
        ("1", 1_000),
        ("1.5", 1_500),
        ("0.001", 1),
        ("1e-3", 1),
        ("1E-3", 1),
        ("0.1", 100),
        ("0.10000000000000000000", 100),
        ("62.999", 62_999),
        ("1e3", 1_000_000),
        ("1e+3", 1_000_000),
        ("123456e-3", 123_456),
        ("0.000001e3", 1),
        ("1000000e-9", 1),
        ("1.0e00000000000000000001", 10_000),
        ("10000000000", LARGEST),
        ("10000000000.000", LARGEST),
        ("1e10", LARGEST),
        ("0.00001e15", LARGEST),
        ("9999999999.999", LARGEST - 1),
    ] {
        assert_eq!(parse_seconds(text), Ok(milliseconds), "{text}");
    }
}

#[test]
fn what_is_no_time_is_refused() {
    for (text, error) in [
        ("-1", SecondsError::Negative),
        ("-0.001", SecondsError::Negative),
        ("-1e-9", SecondsError::Negative),
        ("0.0001", SecondsError::TooFine),
        ("1.0005", SecondsError::TooFine),
        ("1e-4", SecondsError::TooFine),
        ("1e-999999999", SecondsError::TooFine),
        ("1e-99999999999999999999999999", SecondsError::TooFine),
        ("10000000000.001", SecondsError::TooLarge),
        ("10000000001", SecondsError::TooLarge),
        ("1e11", SecondsError::TooLarge),
        ("1e999999999", SecondsError::TooLarge),
        ("1e99999999999999999999999999", SecondsError::TooLarge),
        ("", SecondsError::NoNumber),
        ("-", SecondsError::NoNumber),
        ("+1", SecondsError::NoNumber),
        (".5", SecondsError::NoNumber),
        ("5.", SecondsError::NoNumber),
        ("1e", SecondsError::NoNumber),
        ("1e+", SecondsError::NoNumber),
        ("1e-+1", SecondsError::NoNumber),
        ("1 ", SecondsError::NoNumber),
        ("1.2.3", SecondsError::NoNumber),
        ("NaN", SecondsError::NoNumber),
        ("\"1\"", SecondsError::NoNumber),
        ("true", SecondsError::NoNumber),
    ] {
        assert_eq!(parse_seconds(text), Err(error), "{text}");
    }
}

#[test]
fn long_texts_cost_no_more_than_their_length() {
    let zeros = "0".repeat(10_000);
    let digits = "7".repeat(10_000);
    assert_eq!(parse_seconds(&digits), Err(SecondsError::TooLarge));
    assert_eq!(
        parse_seconds(&format!("1.{digits}")),
        Err(SecondsError::TooFine)
    );
    assert_eq!(parse_seconds(&format!("1.5{zeros}")), Ok(1_500));
    assert_eq!(parse_seconds(&format!("15{zeros}e-10001")), Ok(1_500));
    assert_eq!(parse_seconds(&format!("0.{zeros}5e10001")), Ok(5_000));
    assert_eq!(
        parse_seconds(&format!("1e{digits}")),
        Err(SecondsError::TooLarge)
    );
}

#[test]
fn times_are_printed_as_plain_decimals() {
    for (nanoseconds, text) in [
        (0, "0"),
        (1, "0.000000001"),
        (333_333_334, "0.333333334"),
        (1_000_000, "0.001"),
        (500_000_000, "0.5"),
        (12_000_000_000, "12"),
        (10_000_000_010, "10.00000001"),
        (u128::from(u64::MAX), "18446744073.709551615"),
        (u128::MAX, "340282366920938463463374607431.768211455"),
    ] {
        assert_eq!(InSeconds::from_nanoseconds(nanoseconds).to_string(), text);
    }
    assert_eq!(InSeconds::from_milliseconds(334).to_string(), "0.334");
    assert_eq!(
        InSeconds::from_milliseconds(u64::MAX).to_string(),
        "18446744073709551.615"
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,40}") {
        let _ = parse_seconds(&text);
    }

    #[test]
    fn what_is_printed_reads_back(milliseconds in 0..=LARGEST) {
        let printed = InSeconds::from_milliseconds(milliseconds).to_string();
        prop_assert_eq!(parse_seconds(&printed), Ok(milliseconds));
    }

    #[test]
    fn moving_the_point_changes_nothing(milliseconds in 0..=LARGEST, places in 0usize..30) {
        let zeros = "0".repeat(places);
        prop_assert_eq!(parse_seconds(&format!("{milliseconds}e-3")), Ok(milliseconds));
        prop_assert_eq!(parse_seconds(&format!("{milliseconds}{zeros}e-{}", places + 3)), Ok(milliseconds));
    }

    #[test]
    fn one_digit_more_is_too_fine(milliseconds in 0..=LARGEST, digit in 1u8..=9) {
        let text = format!("{milliseconds}{digit}e-4");
        prop_assert_eq!(parse_seconds(&text), Err(SecondsError::TooFine));
    }
}
