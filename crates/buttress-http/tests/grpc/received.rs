//! What is read from the responses of others.

use std::time::Duration;

use buttress_core::{ByError, Classify, Error, Outcome, Reason, Rejection, When};
use buttress_http::{
    ByGrpcStatus, GRPC_STATUS_DETAILS_BIN, received_pushback, received_retry_info,
};
use http::{HeaderMap, HeaderValue, Response};
use proptest::prelude::*;
use prost::Message as _;
use prost_types::{Any, Duration as ProtoDuration};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

fn response(fields: &[(&'static str, &str)]) -> Response<()> {
    let mut builder = Response::builder();
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    builder.body(()).expect("a response")
}

fn outcome(response: &Response<()>) -> Outcome {
    Classify::<_, String>::classify(&ByGrpcStatus::default(), Ok(response))
}

fn of(status: &Status) -> Response<()> {
    let (parts, _) = status.clone().into_http::<()>().into_parts();
    Response::from_parts(parts, ())
}

fn pushback(values: &[&str]) -> Option<When> {
    let fields: Vec<_> = values
        .iter()
        .map(|value| ("grpc-retry-pushback-ms", *value))
        .collect();
    received_pushback(response(&fields).headers())
}

#[test]
fn every_code_has_its_outcome() {
    for code in 0..=17 {
        let expected = match Code::from_i32(code) {
            Code::ResourceExhausted => Outcome::Throttled(None),
            Code::Unavailable => Outcome::Overloaded,
            // 17 is none, which reads as unknown.
            Code::Internal | Code::Unknown | Code::DataLoss | Code::DeadlineExceeded => {
                Outcome::Failure
            }
            _ => Outcome::Success,
        };
        let response = response(&[("grpc-status", &code.to_string())]);
        assert_eq!(outcome(&response), expected, "{code}");
    }
    for wrong in ["", "eight", "-1", "256"] {
        assert_eq!(
            outcome(&response(&[("grpc-status", wrong)])),
            Outcome::Failure
        );
    }
    assert_eq!(outcome(&response(&[])), Outcome::Success);
}

#[test]
fn a_head_that_is_not_grpcs_counts_by_its_status() {
    let wait = Some(Duration::from_secs(3));
    for (status, expected) in [
        (200, Outcome::Success),
        (400, Outcome::Failure),
        (401, Outcome::Success),
        (403, Outcome::Success),
        (404, Outcome::Success),
        (429, Outcome::Throttled(wait)),
        (500, Outcome::Failure),
        (502, Outcome::Overloaded),
        (503, Outcome::Overloaded),
        (504, Outcome::Overloaded),
    ] {
        let mut response = response(&[("retry-after", "3")]);
        *response.status_mut() = status.try_into().unwrap();
        assert_eq!(outcome(&response), expected, "{status}");
        response
            .headers_mut()
            .insert("grpc-status", HeaderValue::from(0));
        assert_eq!(outcome(&response), Outcome::Success, "{status} with a code");
    }
}

#[test]
fn a_pushback_is_a_wait_or_an_end() {
    assert_eq!(pushback(&[]), None);
    assert_eq!(pushback(&["0"]), Some(When::After(Duration::ZERO)));
    assert_eq!(
        pushback(&["1500"]),
        Some(When::After(Duration::from_millis(1500)))
    );
    for never in ["-1", "-2147483648", "2147483648", "", "soon", "1.5", " 5"] {
        assert_eq!(pushback(&[never]), Some(When::Never), "{never:?}");
    }
    assert_eq!(pushback(&["5", "5"]), Some(When::Never));
}

#[test]
fn a_throttled_call_says_when_to_come_back_in_one_way_or_another() {
    let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(40)));
    let status = Status::with_error_details(Code::ResourceExhausted, "slowly", details);
    let mut response = of(&status);
    let throttled = |millis| Outcome::Throttled(Some(Duration::from_millis(millis)));
    assert_eq!(outcome(&response), throttled(40));

    let headers = response.headers_mut();
    headers.insert("grpc-retry-pushback-ms", HeaderValue::from(30));
    assert_eq!(outcome(&response), throttled(30));

    let headers = response.headers_mut();
    headers.insert("grpc-retry-pushback-ms", HeaderValue::from_static("-1"));
    assert_eq!(outcome(&response), Outcome::Throttled(None));
}

#[test]
fn a_refusal_from_further_in_is_no_word_of_the_upstream() {
    let rejection = Rejection::new(Reason::Overloaded, When::Unknown);
    for code in ["0", "8", "14"] {
        let mut refused = response(&[("grpc-status", code)]);
        refused.extensions_mut().insert(rejection);
        assert_eq!(outcome(&refused), Outcome::Refused, "{code}");
    }
    let error: Error<std::io::Error> = Error::Rejected(rejection);
    let result: Result<&Response<()>, _> = Err(&error);
    assert_eq!(ByGrpcStatus::default().classify(result), Outcome::Failure);
    assert_eq!(ByGrpcStatus(ByError).classify(result), Outcome::Refused);
}

fn with_details(details: &[u8]) -> HeaderMap {
    let value = tonic::metadata::BinaryMetadataValue::from_bytes(details);
    let value = HeaderValue::from_bytes(value.as_encoded_bytes()).expect("a value");
    HeaderMap::from_iter([(GRPC_STATUS_DETAILS_BIN, value)])
}

fn any(type_url: &str, value: Vec<u8>) -> Any {
    Any {
        type_url: type_url.to_owned(),
        value,
    }
}

fn delay(seconds: i64, nanos: i32) -> Vec<u8> {
    let retry_delay = Some(ProtoDuration { seconds, nanos });
    tonic_types::pb::RetryInfo { retry_delay }.encode_to_vec()
}

fn read(details: Vec<Any>) -> Option<Duration> {
    let status = tonic_types::Status {
        code: 8,
        message: "slowly".to_owned(),
        details,
    };
    received_retry_info(&with_details(&status.encode_to_vec()))
}

#[test]
fn retry_info_is_found_among_other_details() {
    let info = "type.googleapis.com/google.rpc.RetryInfo";
    let other = || any("type.googleapis.com/google.rpc.Help", vec![1, 2, 3]);
    let wait = Some(Duration::new(3, 4));
    assert_eq!(read(vec![other(), any(info, delay(3, 4)), other()]), wait);
    assert_eq!(
        read(vec![any("elsewhere/google.rpc.RetryInfo", delay(3, 4))]),
        wait
    );
    assert_eq!(read(vec![any(info, delay(0, 0))]), Some(Duration::ZERO));
    assert_eq!(
        read(vec![any("a/google.rpc.RetryInfos", delay(3, 4))]),
        None
    );
    assert_eq!(read(vec![]), None);
    assert_eq!(read(vec![other()]), None);
    for (seconds, nanos) in [
        (-1, 0),
        (1, -1),
        (1, 1_000_000_000),
        (i64::MAX, 0),
        (315_576_000_001, 0),
    ] {
        let read = read(vec![any(info, delay(seconds, nanos))]);
        assert_eq!(read, None, "{seconds} {nanos}");
    }
    assert_eq!(read(vec![any(info, vec![0xff])]), None);
}

#[test]
fn details_that_are_malformed_say_nothing() {
    assert_eq!(received_retry_info(&HeaderMap::new()), None);
    let info = any("a/google.rpc.RetryInfo", delay(3, 4));
    let status = tonic_types::Status {
        details: vec![info],
        ..Default::default()
    };
    let whole = status.encode_to_vec();
    assert!(received_retry_info(&with_details(&whole)).is_some());
    for length in 0..whole.len() {
        let headers = with_details(&whole[..length]);
        assert_eq!(received_retry_info(&headers), None, "{length}");
    }
    for text in ["!", "Z", "AAA=AAA"] {
        let value = HeaderValue::from_static(text);
        let headers = HeaderMap::from_iter([(GRPC_STATUS_DETAILS_BIN, value)]);
        assert_eq!(received_retry_info(&headers), None, "{text}");
    }
}

#[test]
fn fields_of_other_types_are_skipped() {
    let info = any("a/google.rpc.RetryInfo", delay(3, 4));
    let known = tonic_types::Status {
        details: vec![info],
        ..Default::default()
    };
    // Fields 9 to 11 of fixed width and of a large number.
    let mut unknown = vec![0x49, 1, 2, 3, 4, 5, 6, 7, 8, 0x55, 1, 2, 3, 4, 0x58];
    unknown.extend([0xff; 9]);
    unknown.push(1);
    unknown.extend(known.encode_to_vec());
    let found = received_retry_info(&with_details(&unknown));
    assert_eq!(found, Some(Duration::new(3, 4)));
    // A group, which is no longer part of the format, and a number of more than ten bytes.
    for wrong in [vec![0x4b], [vec![0x58], vec![0xff; 10], vec![1]].concat()] {
        let message = [wrong, known.encode_to_vec()].concat();
        assert_eq!(received_retry_info(&with_details(&message)), None);
    }
}

proptest! {
    #[test]
    fn nothing_panics(details: Vec<u8>, text in proptest::collection::vec(0x20..0x7f_u8, 0..60)) {
        let _ = received_retry_info(&with_details(&details));
        let value = HeaderValue::from_bytes(&text).unwrap();
        let mut headers = HeaderMap::from_iter([(GRPC_STATUS_DETAILS_BIN, value.clone())]);
        let _ = received_retry_info(&headers);
        headers.insert("grpc-retry-pushback-ms", value);
        let _ = received_pushback(&headers);
    }
}
