//! The gRPC answer to a refusal, decoded with tonic's types.

use std::convert::Infallible;
use std::time::Duration;

use buttress_core::{Describe, Now, OnReject, Reason, Rejection, When};
use buttress_http::{EXPOSED, EXPOSED_GRPC, Fields, GrpcAnswer, exposed};
use http::header::{ACCESS_CONTROL_EXPOSE_HEADERS, ORIGIN};
use http::{Request, Response};
use http_body::Body as _;
use proptest::prelude::*;
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tower::{Layer, ServiceExt};
use tower_http::cors::CorsLayer;

use crate::support::{Limits, after, refused, stands};

type Answered = Response<tonic::body::Body>;

fn two_quotas() -> Limits {
    Limits::new([
        stands("5/second", 5, 1, 3, 0),
        stands("100/day", 100, 86_400, 0, 1),
    ])
}

fn ask<D: Describe>(answer: &GrpcAnswer<D>, rejection: Rejection) -> Answered {
    let result: Result<Answered, Infallible> = answer.reject(rejection, &Now::new());
    result.unwrap()
}

fn status(response: &Answered) -> Status {
    Status::from_header_map(response.headers()).expect("the status is in the head")
}

fn pushback(when: When) -> Option<String> {
    let response = ask(
        &GrpcAnswer::new(two_quotas()),
        Rejection::new(Reason::RateLimit, when),
    );
    let value = response.headers().get("grpc-retry-pushback-ms");
    value.map(|value| value.to_str().expect("visible ASCII").to_owned())
}

#[test]
fn a_used_up_quota_is_answered_in_full() {
    let wait = Duration::from_nanos(1_234_000_001);
    let rejection = refused(Reason::RateLimit, When::After(wait), &[1]);
    let response = ask(&GrpcAnswer::new(two_quotas()), rejection);

    assert_eq!(response.status(), 200);
    assert!(response.body().is_end_stream(), "nothing follows the head");
    assert_eq!(response.extensions().get::<Rejection>(), Some(&rejection));
    let names: Vec<&str> = response
        .headers()
        .keys()
        .map(|name| name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "content-type",
            "grpc-status",
            "grpc-message",
            "grpc-retry-pushback-ms",
            "grpc-status-details-bin"
        ]
    );
    assert_eq!(response.headers()["content-type"], "application/grpc");
    assert_eq!(response.headers()["grpc-status"], "8");
    assert_eq!(response.headers()["grpc-retry-pushback-ms"], "1235");
    let details = response.headers()["grpc-status-details-bin"].as_bytes();
    assert!(!details.ends_with(b"="), "gRPC sends no padding");

    let status = status(&response);
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.message(), "The rate limit \"100/day\" is used up.");
    let details = status.get_error_details();
    assert_eq!(details.retry_info().unwrap().retry_delay, Some(wait));
    let [violation] = &details.quota_failure().unwrap().violations[..] else {
        panic!("one quota refuses: {details:?}");
    };
    assert_eq!(violation.subject, "100/day");
    assert_eq!(violation.description, status.message());
    assert_eq!(violation.quota_id, "100/day");
    assert_eq!(violation.quota_value, 100);
}

#[test]
fn the_details_repeat_code_and_message() {
    let rejection = refused(Reason::RateLimit, after(5), &[0]);
    let status = status(&ask(&GrpcAnswer::new(two_quotas()), rejection));
    let details = tonic_types::Status::decode(status.details()).unwrap();
    assert_eq!(details.code, 8);
    assert_eq!(details.message, status.message());
    assert_eq!(details.details.len(), 2);
}

#[test]
fn all_quotas_that_refuse_are_listed_each_with_its_own_sentence() {
    let rejection = refused(Reason::RateLimit, after(5), &[0, 1]);
    let status = status(&ask(&GrpcAnswer::new(two_quotas()), rejection));
    assert_eq!(
        status.message(),
        "The rate limits \"5/second\" and \"100/day\" are used up."
    );
    let violations = status.get_details_quota_failure().unwrap().violations;
    let described: Vec<_> = violations
        .iter()
        .map(|v| (v.quota_id.as_str(), v.quota_value, v.description.as_str()))
        .collect();
    assert_eq!(
        described,
        [
            ("5/second", 5, "The rate limit \"5/second\" is used up."),
            ("100/day", 100, "The rate limit \"100/day\" is used up.")
        ]
    );
}

#[test]
fn every_reason_has_its_code() {
    let answer = GrpcAnswer::new(two_quotas());
    for (reason, code) in [
        (Reason::RateLimit, Code::ResourceExhausted),
        (Reason::TokenBudget, Code::ResourceExhausted),
        (Reason::Banned, Code::ResourceExhausted),
        (Reason::CircuitOpen, Code::Unavailable),
        (Reason::QueueFull, Code::Unavailable),
        (Reason::QueueTimeout, Code::Unavailable),
        (Reason::Overloaded, Code::Unavailable),
        (Reason::Deadline, Code::DeadlineExceeded),
        (Reason::AttemptTimeout, Code::DeadlineExceeded),
        (Reason::MissingKey, Code::Internal),
    ] {
        let response = ask(&answer, Rejection::new(reason, When::Unknown));
        let status = status(&response);
        assert_eq!(status.code(), code, "{reason:?}");
        assert_ne!(status.message(), "", "{reason:?}");
        assert_eq!(response.status(), 200, "{reason:?}");
        assert_eq!(response.headers().len(), 3, "{reason:?}: nothing is known");
    }
    let missing = ask(&answer, Rejection::new(Reason::MissingKey, When::Never));
    assert_eq!(
        status(&missing).message(),
        "The request has no \"x-tenant\"."
    );
}

#[test]
fn the_pushback_is_never_early_and_never_zero() {
    let nanos = |nanos| pushback(When::After(Duration::from_nanos(nanos)));
    assert_eq!(nanos(0).as_deref(), Some("1"));
    assert_eq!(nanos(1).as_deref(), Some("1"));
    assert_eq!(nanos(1_000_000).as_deref(), Some("1"));
    assert_eq!(nanos(1_000_001).as_deref(), Some("2"));
    assert_eq!(
        pushback(after(2_147_483_647)).as_deref(),
        Some("2147483647")
    );
    assert_eq!(pushback(after(2_147_483_648)).as_deref(), Some("-1"));
    assert_eq!(pushback(When::After(Duration::MAX)).as_deref(), Some("-1"));
    assert_eq!(pushback(When::Never).as_deref(), Some("-1"));
    assert_eq!(pushback(When::Unknown), None);
}

#[test]
fn a_call_that_can_never_be_admitted_is_not_to_be_retried() {
    let rejection = refused(Reason::RateLimit, When::Never, &[0]);
    let response = ask(&GrpcAnswer::new(two_quotas()), rejection);
    let details: ErrorDetails = status(&response).get_error_details();
    assert!(details.retry_info().is_none());
    assert_eq!(details.quota_failure().unwrap().violations.len(), 1);
    assert_eq!(response.headers()["grpc-retry-pushback-ms"], "-1");
}

#[test]
fn waits_and_sentences_are_those_of_each_refusal() {
    let answer = GrpcAnswer::new(two_quotas());
    for (millis, quota, name) in [(5, 0, "5/second"), (7, 0, "5/second"), (9, 1, "100/day")] {
        let rejection = refused(Reason::RateLimit, after(millis), &[quota]);
        let status = status(&ask(&answer, rejection));
        let delay = status.get_details_retry_info().unwrap().retry_delay;
        assert_eq!(delay, Some(Duration::from_millis(millis)));
        assert!(status.message().contains(name), "{}", status.message());
    }
}

#[test]
fn fields_of_http_are_metadata_if_asked_for() {
    let answer = GrpcAnswer::new(two_quotas()).fields(Fields {
        ratelimit: true,
        x_ratelimit: true,
    });
    let response = ask(&answer, refused(Reason::RateLimit, after(5), &[1]));
    assert_eq!(
        response.headers()["ratelimit"],
        r#""5/second";r=3, "100/day";r=0;t=1"#
    );
    assert!(response.headers().contains_key("ratelimit-policy"));
    assert_eq!(response.headers()["x-ratelimit-remaining"], "0");
    assert!(!response.headers().contains_key("retry-after"));
}

#[test]
fn a_response_stays_small_whatever_the_quotas_are() {
    let quotas: Vec<_> = (0..16)
        .map(|number| stands(&format!("{number:n>64}"), 1, 1, 0, 1))
        .collect();
    let rejection = refused(Reason::RateLimit, after(5), &Vec::from_iter(0..16));
    let response = ask(&GrpcAnswer::new(Limits::new(quotas)), rejection);
    // How HTTP/2 counts a list of fields (RFC 9113, section 6.5.2).
    let lines = response.headers().iter();
    let size: usize = lines
        .map(|(name, value)| name.as_str().len() + value.len() + 32)
        .sum();
    assert!(size < 8192, "{size}: more than clients take");
    let details = status(&response).get_error_details();
    assert!(details.quota_failure().is_none());
    assert!(details.retry_info().is_some());
}

#[tokio::test]
async fn scripts_of_other_origins_may_read_every_field() {
    let service = tower::service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let cors = CorsLayer::new().expose_headers(EXPOSED).layer(service);
    let request = Request::builder().header(ORIGIN, "https://example.org");
    let response = cors.oneshot(request.body(()).unwrap()).await.unwrap();
    let listed = response.headers()[ACCESS_CONTROL_EXPOSE_HEADERS]
        .to_str()
        .unwrap();
    let names = |text: &str| -> Vec<String> {
        text.split(',').map(|name| name.trim().to_owned()).collect()
    };
    assert_eq!(names(listed), names(exposed().to_str().unwrap()));

    let fields = Fields {
        ratelimit: true,
        x_ratelimit: true,
    };
    let rejection = refused(Reason::RateLimit, after(5), &[0]);
    let answer = ask(&GrpcAnswer::new(two_quotas()).fields(fields), rejection);
    let hidden = answer.headers().keys().find(|name| {
        *name != "content-type" && !EXPOSED_GRPC.contains(name) && !EXPOSED.contains(name)
    });
    assert_eq!(hidden, None);
}

proptest! {
    #[test]
    fn every_message_and_wait_is_read_back(
        name in any::<String>().prop_map(|name| name.chars().take(100).collect::<String>()),
        capacity: u64,
        seconds in 0..315_576_000_000_u64,
        nanos in 0..1_000_000_000_u32,
    ) {
        let limits = Limits::new([stands(&name, capacity, 1, 0, 1)]);
        let wait = Duration::new(seconds, nanos);
        let rejection = refused(Reason::TokenBudget, When::After(wait), &[0]);
        let response = ask(&GrpcAnswer::new(limits), rejection);
        let status = status(&response);
        prop_assert_eq!(status.code(), Code::ResourceExhausted);
        prop_assert_eq!(status.message(), format!("The token budget \"{name}\" is used up."));
        let details = status.get_error_details();
        prop_assert_eq!(details.retry_info().unwrap().retry_delay, Some(wait));
        let violation = &details.quota_failure().unwrap().violations[0];
        prop_assert_eq!(&violation.quota_id, &name);
        prop_assert_eq!(violation.quota_value, i64::try_from(capacity).unwrap_or(i64::MAX));
        prop_assert_eq!(buttress_http::received_retry_info(response.headers()), Some(wait));
    }
}
