//! Deadlines that travel with a request.

use std::time::Duration;

use buttress_core::time::now;
use buttress_http::{CallDeadline, GRPC_TIMEOUT, TimeoutField, grpc_timeout};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Extensions, Request};
use proptest::prelude::*;

const OWN: HeaderName = HeaderName::from_static("x-timeout");

fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        let value = HeaderValue::from_str(value).expect("a value");
        headers.append(name.clone(), value);
    }
    headers
}

fn received(values: &[&str]) -> Option<Duration> {
    TimeoutField::grpc().received(&headers(GRPC_TIMEOUT, values))
}

#[test]
fn a_grpc_timeout_is_up_to_eight_digits_and_a_unit() {
    for (text, expected) in [
        ("1n", Some(Duration::from_nanos(1))),
        ("5u", Some(Duration::from_micros(5))),
        ("250m", Some(Duration::from_millis(250))),
        ("00000001S", Some(Duration::from_secs(1))),
        ("2M", Some(Duration::from_secs(120))),
        ("99999999H", Some(Duration::from_secs(99_999_999 * 3_600))),
        ("0S", Some(Duration::ZERO)),
        ("100000000n", None),
        ("000000001S", None),
        ("", None),
        ("S", None),
        ("5", None),
        ("5s", None),
        ("-5S", None),
        ("+5S", None),
        ("5 S", None),
        (" 5S", None),
        ("1.5S", None),
    ] {
        assert_eq!(received(&[text]), expected, "{text:?}");
    }
    assert_eq!(received(&[]), None);
    assert_eq!(received(&["5S", "6S"]), None, "which one is meant?");
    let mut opaque = HeaderMap::new();
    let value = HeaderValue::from_bytes(b"\xff5S").expect("opaque bytes are a value");
    opaque.insert(GRPC_TIMEOUT, value);
    assert_eq!(TimeoutField::grpc().received(&opaque), None);
}

#[test]
fn a_grpc_timeout_is_written_in_the_finest_unit_that_fits_and_never_zero() {
    for (remaining, expected) in [
        (Duration::ZERO, "1n"),
        (Duration::from_nanos(99_999_999), "99999999n"),
        (Duration::from_nanos(100_000_000), "100000u"),
        (Duration::from_secs(5), "5000000u"),
        (Duration::from_secs(100), "100000m"),
        (Duration::from_secs(100_000), "100000S"),
        (Duration::from_secs(100_000_000), "1666666M"),
        (Duration::from_secs(6_000_000_000), "1666666H"),
        (Duration::MAX, "99999999H"),
    ] {
        assert_eq!(grpc_timeout(remaining), expected, "{remaining:?}");
    }
}

#[test]
fn other_fields_are_whole_numbers() {
    let millis = TimeoutField::millis(OWN);
    let seconds = TimeoutField::seconds(OWN);
    for (text, expected) in [
        ("1500", Some(1_500)),
        (" 7 ", Some(7)),
        ("0", Some(0)),
        ("", None),
        ("1.5", None),
        ("-1", None),
        ("5s", None),
    ] {
        let headers = headers(OWN, &[text]);
        let expected = expected.map(Duration::from_millis);
        assert_eq!(millis.received(&headers), expected, "{text:?}");
        let expected = expected.map(|millis| millis * 1_000);
        assert_eq!(seconds.received(&headers), expected, "{text:?}");
    }
    let huge = headers(OWN, &["99999999999999999999999999"]);
    assert_eq!(seconds.received(&huge), Some(Duration::MAX));
    assert_eq!(seconds.received(&headers(OWN, &["1", "2"])), None);
    for (field, remaining, expected) in [
        (&millis, Duration::from_micros(1_999), "1"),
        (&millis, Duration::ZERO, "1"),
        (&millis, Duration::MAX, "18446744073709551615"),
        (&seconds, Duration::from_millis(2_999), "2"),
        (&seconds, Duration::from_millis(1), "1"),
    ] {
        let mut headers = HeaderMap::new();
        field.write(remaining, &mut headers);
        assert_eq!(headers[OWN], expected, "{remaining:?}");
    }
}

#[test]
fn a_field_is_shortened_and_never_lengthened() {
    let field = TimeoutField::grpc();
    for (present, expected) in [
        (&["1S"][..], "1S"),
        (&["9S"], "5000000u"),
        (&["5S"], "5S"),
        (&["broken"], "5000000u"),
        (&["1S", "2S"], "5000000u"),
    ] {
        let mut headers = headers(GRPC_TIMEOUT, present);
        field.write(Duration::from_secs(5), &mut headers);
        let all: Vec<_> = headers.get_all(GRPC_TIMEOUT).iter().collect();
        assert_eq!(all, [expected]);
    }
}

#[test]
fn a_deadline_is_never_moved_to_a_later_time() {
    let (sooner, later) = (now(), now() + Duration::from_secs(1));
    let mut request = Request::new(());
    assert_eq!(CallDeadline::of(&request), None);
    for (set, expected) in [(later, later), (sooner, sooner), (later, sooner)] {
        let extensions: &mut Extensions = request.extensions_mut();
        CallDeadline::tighten(extensions, set);
        assert_eq!(CallDeadline::of(&request), Some(expected));
    }
}

proptest! {
    /// What is sent is what is left, rounded down by less than a ten-thousandth.
    #[test]
    fn what_is_written_is_read_again_and_is_not_more(nanos in 1_u64.., shift in 0_u32..63) {
        let remaining = Duration::from_nanos((nanos >> shift).max(1));
        let text = grpc_timeout(remaining);
        let text = text.to_str().unwrap();
        prop_assert!(text.len() <= 9);
        let read = received(&[text]).unwrap();
        prop_assert!(read <= remaining && !read.is_zero());
        prop_assert!((remaining - read).as_nanos() * 10_000 <= remaining.as_nanos());
    }

    #[test]
    fn nothing_that_is_received_panics(text in "[ -~]{0,12}") {
        let _ = received(&[&text]);
        let _ = TimeoutField::seconds(OWN).received(&headers(OWN, &[&text]));
    }
}
