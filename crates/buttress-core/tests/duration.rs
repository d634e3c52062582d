//! Durations and their text form.

use std::time::Duration;

use buttress_core::duration::{format_duration, parse_duration};
use proptest::prelude::*;

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn durations_are_read_to_the_letter() {
    let cases = [
        ("0s", Duration::ZERO),
        ("250ms", Duration::from_millis(250)),
        ("90s", Duration::from_secs(90)),
        ("1h30m", Duration::from_secs(5_400)),
        ("1d2h3m4s5ms", Duration::from_millis(93_784_005)),
        ("007s", Duration::from_secs(7)),
        ("3us", Duration::from_micros(3)),
        (
            "18446744073709551615s999ms",
            Duration::new(u64::MAX, 999_000_000),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_duration(text), Ok(expected), "{text}");
    }
    for text in [
        "",
        "5",
        "s",
        "1 s",
        " 1s",
        "1s ",
        "-1s",
        "+1s",
        "1.5s",
        "1,5s",
        "1S",
        "1w",
        "1s2",
        "1s1s",
        "18446744073709551616s",
        "1m 30s",
    ] {
        let error = parse_duration(text).unwrap_err();
        assert_eq!(error.text(), text);
        assert!(text.contains(error.part()));
    }
}

#[test]
fn durations_are_written_with_one_unit() {
    for (duration, text) in [
        (Duration::ZERO, "0s"),
        (Duration::from_secs(90), "90s"),
        (Duration::from_secs(5_400), "90m"),
        (DAY, "1d"),
        (Duration::from_millis(1_500), "1500ms"),
        (Duration::MAX, "18446744073709551615999999999ns"),
    ] {
        assert_eq!(format_duration(duration), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_duration_reads_back(seconds: u64, nanos in 0..1_000_000_000_u32) {
        let duration = Duration::new(seconds, nanos);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }

    #[test]
    fn any_text_is_a_duration_or_an_error_that_names_it(text in prop_oneof!["([0-9]{0,25}(ms|s|m|h|d|us|x| |µ){0,1}){0,4}", ".{0,40}"]) {
        match parse_duration(&text) {
            Ok(duration) => prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration)),
            Err(error) => {
                prop_assert_eq!(error.text(), text.as_str());
                prop_assert!(text.contains(error.part()));
                let quoted = format!("{text:?}");
                prop_assert!(error.to_string().contains(&quoted), "{}", error);
            }
        }
    }
}
