//! Outcomes by status.

use std::time::Duration;

use buttress_core::{ByError, Classify, Error, Outcome, Reason, Rejection, When};
use buttress_http::{ByStatus, received_retry_after};
use http::{HeaderMap, Response};

fn response(status: u16, headers: &[(&'static str, &str)]) -> Response<()> {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).expect("a response")
}

fn outcome(response: &Response<()>) -> Outcome {
    Classify::<_, String>::classify(&ByStatus::default(), Ok(response))
}

#[test]
fn statuses() {
    for (status, expected) in [
        (200, Outcome::Success),
        (304, Outcome::Success),
        (404, Outcome::Success),
        (429, Outcome::Throttled(None)),
        (500, Outcome::Failure),
        (502, Outcome::Failure),
        (503, Outcome::Overloaded),
        (504, Outcome::Failure),
        (529, Outcome::Overloaded),
    ] {
        assert_eq!(outcome(&response(status, &[])), expected, "{status}");
    }
}

#[test]
fn a_throttled_response_says_when_to_come_back() {
    let throttled = response(429, &[("retry-after", "17")]);
    let wait = Some(Duration::from_secs(17));
    assert_eq!(outcome(&throttled), Outcome::Throttled(wait));
}

#[test]
fn retry_after_is_seconds_or_a_date_relative_to_the_responses_own() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (fields, expected) in [
        (&[("retry-after", "0")][..], Some(0)),
        (&[("retry-after", " 5 ")], Some(5)),
        (
            &[("retry-after", "99999999999999999999999")],
            Some(u64::MAX),
        ),
        (&[("retry-after", "-1")], None),
        (&[("retry-after", "1.5")], None),
        (&[("retry-after", "")], None),
        (&[("retry-after", "soon")], None),
        (&[("retry-after", date)], None),
        (&[("retry-after", date), ("date", "yesterday")], None),
        (
            &[
                ("retry-after", date),
                ("date", "Sun, 06 Nov 1994 08:48:37 GMT"),
            ],
            Some(60),
        ),
        (
            &[
                ("retry-after", date),
                ("date", "Sun, 06 Nov 1994 09:00:00 GMT"),
            ],
            Some(0),
        ),
    ] {
        let seconds = received_retry_after(response(429, fields).headers());
        assert_eq!(seconds, expected.map(Duration::from_secs), "{fields:?}");
    }
    assert_eq!(received_retry_after(&HeaderMap::new()), None);
}

#[test]
fn a_refusal_from_further_in_is_no_word_of_the_upstream() {
    for status in [200, 429, 503] {
        let mut refused = response(status, &[]);
        let rejection = Rejection::new(Reason::Overloaded, When::Unknown);
        refused.extensions_mut().insert(rejection);
        assert_eq!(outcome(&refused), Outcome::Refused, "{status}");
    }
}

#[test]
fn errors_are_failures_unless_somebody_knows_better() {
    type Failed = Error<std::io::Error>;
    let rejected: Failed = Error::Rejected(Rejection::new(Reason::RateLimit, When::Unknown));
    let result: Result<&Response<()>, &Failed> = Err(&rejected);
    assert_eq!(ByStatus::default().classify(result), Outcome::Failure);
    assert_eq!(ByStatus(ByError).classify(result), Outcome::Refused);
}

#[test]
fn what_was_cut_off_is_timed_out_for_those_further_out() {
    for rejection in [Rejection::timed_out(), Rejection::past_deadline()] {
        let mut cut = response(504, &[]);
        cut.extensions_mut().insert(rejection);
        assert_eq!(outcome(&cut), Outcome::TimedOut);
        let grpc = buttress_http::ByGrpcStatus::default();
        assert_eq!(
            Classify::<_, String>::classify(&grpc, Ok(&cut)),
            Outcome::TimedOut
        );
        let error: Error<std::io::Error> = Error::Rejected(rejection);
        let result: Result<&Response<()>, _> = Err(&error);
        assert_eq!(ByStatus(ByError).classify(result), Outcome::TimedOut);
    }
}
