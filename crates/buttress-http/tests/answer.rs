//! The HTTP answer to a refusal.

mod support;

use std::convert::Infallible;
use std::time::Duration;

use buttress_core::{Now, OnReject, Reason, Rejection, When};
use buttress_http::{
    AnswerBody, Fields, HttpAnswer, HttpAnswerAnyBody, HttpAnswerWith, PermitBody, Refusal,
    received_limits, received_policies,
};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use support::{Limits, after, key, refused, stands};

type Answered = Response<Full<Bytes>>;

fn per_minute() -> Limits {
    Limits::new([stands("5/minute", 5, 60, 0, 11_400)])
}

fn ask<D: buttress_core::Describe>(answer: &HttpAnswer<D>, rejection: Rejection) -> Answered {
    let result: Result<Answered, Infallible> = answer.reject(rejection, &Now::new());
    result.unwrap()
}

fn field<'a, B>(response: &'a Response<B>, name: &str) -> Option<&'a str> {
    response
        .headers()
        .get(name)
        .map(|v| v.to_str().expect("a response"))
}

async fn json(response: Answered) -> Value {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).expect("visible ASCII")
}

#[tokio::test]
async fn a_used_up_quota_is_answered_in_full() {
    let answer = HttpAnswer::new(per_minute());
    let rejection = refused(Reason::RateLimit, after(11_400), &[0]);
    let response = ask(&answer, rejection);

    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        field(&response, "content-type"),
        Some("application/problem+json")
    );
    assert_eq!(field(&response, "retry-after"), Some("12"));
    assert_eq!(
        field(&response, "ratelimit"),
        Some(r#""5/minute";r=0;t=12"#)
    );
    assert_eq!(
        field(&response, "ratelimit-policy"),
        Some(r#""5/minute";q=5;w=60"#)
    );
    assert_eq!(field(&response, "x-ratelimit-limit"), None);
    assert_eq!(response.extensions().get::<Rejection>(), Some(&rejection));

    let limits = received_limits(response.headers());
    assert_eq!(
        (limits[0].remaining, limits[0].grows_in),
        (0, Some(Duration::from_secs(12)))
    );
    let policies = received_policies(response.headers());
    assert_eq!(
        (policies[0].quota, policies[0].window),
        (5, Some(Duration::from_secs(60)))
    );

    assert_eq!(
        json(response).await,
        serde_json::json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Quota Exceeded",
            "status": 429,
            "detail": "The rate limit \"5/minute\" is used up.",
            "violated-policies": ["5/minute"],
        })
    );
}

#[tokio::test]
async fn every_reason_has_its_status_and_problem_type() {
    let answer = HttpAnswer::new(per_minute());
    for (reason, status, kind) in [
        (Reason::RateLimit, 429, "#quota-exceeded"),
        (Reason::TokenBudget, 429, "#quota-exceeded"),
        (Reason::Banned, 429, "#quota-exceeded"),
        (Reason::CircuitOpen, 503, "#temporary-reduced-capacity"),
        (Reason::QueueFull, 503, "#temporary-reduced-capacity"),
        (Reason::QueueTimeout, 503, "#temporary-reduced-capacity"),
        (Reason::Overloaded, 503, "#temporary-reduced-capacity"),
        (Reason::Deadline, 504, "about:blank"),
        (Reason::AttemptTimeout, 504, "about:blank"),
        (Reason::MissingKey, 500, "about:blank"),
    ] {
        let response = ask(&answer, Rejection::new(reason, When::Unknown));
        assert_eq!(response.status(), status, "{reason:?}");
        assert_eq!(field(&response, "retry-after"), None, "{reason:?}");
        assert_eq!(
            field(&response, "ratelimit"),
            None,
            "{reason:?}: no limit was named"
        );
        let problem = json(response).await;
        assert_eq!(problem["status"], status);
        assert!(
            problem["type"].as_str().unwrap().ends_with(kind),
            "{reason:?}"
        );
        assert_ne!(problem["title"], "");
        assert_ne!(problem["detail"], "");
        assert_eq!(problem.get("violated-policies").is_some(), status == 429);
    }
}

#[tokio::test]
async fn trap_20_a_cost_above_the_quota_has_no_retry_after() {
    let answer = HttpAnswer::new(per_minute());
    let response = ask(&answer, refused(Reason::RateLimit, When::Never, &[0]));
    assert_eq!(response.status(), 429);
    assert_eq!(field(&response, "retry-after"), None);
    let problem = json(response).await;
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("never be admitted")
    );
    assert_eq!(problem["violated-policies"][0], "5/minute");

    // The two documents are prepared apart.
    let later = json(ask(&answer, refused(Reason::RateLimit, after(1), &[0]))).await;
    assert!(later["detail"].as_str().unwrap().contains("used up"));
}

#[test]
fn trap_14_retry_after_is_rounded_up_and_at_least_one() {
    let answer = HttpAnswer::new(per_minute());
    for (millis, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (59_999, "60")] {
        let response = ask(&answer, refused(Reason::RateLimit, after(millis), &[0]));
        assert_eq!(field(&response, "retry-after"), Some(seconds));
    }
    let open = ask(&answer, Rejection::new(Reason::CircuitOpen, after(2_500)));
    assert_eq!(field(&open, "retry-after"), Some("3"));
}

#[tokio::test]
async fn all_quotas_stand_in_the_fields_and_the_violated_ones_in_the_problem() {
    let mut quotas: Vec<_> = (0..6)
        .map(|n| stands(&format!("q{n}"), 10 + n, 60 * (n + 1), n, 1000 * n))
        .collect();
    quotas[1].window = Duration::from_millis(999);
    let answer = HttpAnswer::new(Limits::new(quotas));
    let response = ask(&answer, refused(Reason::RateLimit, after(1), &[4, 1]));
    assert_eq!(
        field(&response, "ratelimit"),
        Some(r#""q0";r=0, "q1";r=1;t=1, "q2";r=2;t=2, "q3";r=3;t=3, "q4";r=4;t=4, "q5";r=5;t=5"#)
    );
    let policies = received_policies(response.headers());
    let windows: Vec<_> = policies.iter().map(|policy| policy.window).collect();
    assert_eq!(windows[1], None, "below a second");
    assert_eq!(windows[2], Some(Duration::from_secs(180)));
    let problem = json(response).await;
    assert_eq!(
        problem["violated-policies"],
        serde_json::json!(["q1", "q4"])
    );
    assert_eq!(
        problem["detail"],
        "The rate limits \"q1\" and \"q4\" are used up."
    );
}

#[test]
fn the_old_fields_tell_of_the_scarcest_quota() {
    let limits = Limits::new([stands("a", 100, 60, 7, 500), stands("b", 5, 1, 0, 1_200)]);
    let fields = Fields {
        ratelimit: false,
        x_ratelimit: true,
    };
    let answer = HttpAnswer::new(limits).fields(fields);
    let response = ask(&answer, refused(Reason::RateLimit, after(200), &[1]));
    assert_eq!(field(&response, "x-ratelimit-limit"), Some("5"));
    assert_eq!(field(&response, "x-ratelimit-remaining"), Some("0"));
    assert_eq!(field(&response, "x-ratelimit-reset"), Some("2"));
    assert_eq!(field(&response, "ratelimit"), None);
    assert_eq!(field(&response, "ratelimit-policy"), None);
}

#[tokio::test]
async fn names_are_escaped_and_fields_left_out_that_cannot_carry_them() {
    let limits = Limits::new([stands("a\"b\\c", 5, 60, 0, 1)]);
    let answer = HttpAnswer::new(limits.clone());
    let rejection = refused(Reason::TokenBudget, after(1), &[0]);
    let response = ask(&answer, rejection);
    assert_eq!(received_limits(response.headers())[0].name, "a\"b\\c");
    assert_eq!(json(response).await["violated-policies"][0], "a\"b\\c");

    *limits.quotas.lock().unwrap() = vec![stands("größe\n", 5, 60, 0, 1)];
    let response = ask(&answer, rejection);
    assert_eq!(field(&response, "ratelimit"), None);
    assert_eq!(field(&response, "ratelimit-policy"), None);
    assert_eq!(json(response).await["violated-policies"][0], "größe\n");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_names_give_a_document_that_reads_back(names in vec(any::<String>(), 0..6)) {
        let quotas: Vec<_> = names.iter().map(|name| stands(name, 5, 60, 0, 1)).collect();
        let all: Vec<u8> = (0..6).take(names.len()).collect();
        let rejection = refused(Reason::RateLimit, after(1), &all);
        let response = ask(&HttpAnswer::new(Limits::new(quotas)), rejection);
        let plain = |name: &String| name.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
        let told = received_limits(response.headers());
        let listed = if names.iter().all(plain) { names.len() } else { 0 };
        prop_assert_eq!(told.len(), listed);
        let body = response.into_body().collect().now_or_never().unwrap().unwrap();
        let problem: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
        prop_assert_eq!(&problem["violated-policies"], &serde_json::json!(names));
    }
}

#[tokio::test]
async fn quotas_that_change_or_differ_by_key_are_told_as_they_are() {
    let mut limits = per_minute();
    limits.special = Some((key("client"), vec![stands("vip", 1000, 60, 0, 60)]));
    let special = HttpAnswer::new(limits.clone());
    let rejection = refused(Reason::RateLimit, after(60), &[0]);
    let response = ask(&special, rejection);
    assert_eq!(
        field(&response, "ratelimit-policy"),
        Some(r#""vip";q=1000;w=60"#)
    );

    limits.special = None;
    let answer = HttpAnswer::new(limits.clone());
    for n in 1..3_000 {
        limits.quotas.lock().unwrap()[0].capacity = n;
        let response = ask(&answer, rejection);
        let policies = received_policies(response.headers());
        assert_eq!(policies[0].quota, n);
    }
    limits.quotas.lock().unwrap()[0].name = "renamed".into();
    assert_eq!(
        json(ask(&answer, rejection)).await["violated-policies"][0],
        "renamed"
    );
}

#[tokio::test]
async fn a_missing_key_is_named() {
    let answer = HttpAnswer::new(per_minute());
    let response = ask(&answer, Rejection::new(Reason::MissingKey, When::Never));
    assert_eq!(field(&response, "retry-after"), None);
    let problem = json(response).await;
    assert_eq!(problem["detail"], "The request has no \"x-tenant\".");
    assert_eq!(problem["title"], "Internal Server Error");
}

#[test]
fn a_users_own_answer_is_completed() {
    let quotas = [stands("a", 5, 60, 0, 9_500), stands("b", 50, 60, 45, 0)];
    let answer = HttpAnswerWith::new(Limits::new(quotas), |refusal| {
        assert_eq!(refusal.status(), 429);
        assert_eq!(refusal.rejection().reason(), Reason::RateLimit);
        assert_eq!(refusal.retry_after(), Some(Duration::from_millis(9_500)));
        assert_eq!(refusal.standings().len(), 2);
        assert_eq!(refusal.standings()[1].remaining, 45);
        assert_eq!(refusal.violated().collect::<Vec<_>>(), ["a"]);
        assert_eq!(refusal.detail(), "The rate limit \"a\" is used up.");
        assert!(refusal.problem().starts_with(b"{\"type\""));
        let mut response = Response::new(format!("not now: {}", refusal.detail()));
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        let own = HeaderValue::from_static("\"mine\";r=0");
        response.headers_mut().insert("ratelimit", own);
        response
    });
    let rejection = refused(Reason::RateLimit, after(9_500), &[0]);
    let result: Result<Response<String>, Infallible> = answer.reject(rejection, &Now::new());
    let response = result.unwrap();
    assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(response.body(), "not now: The rate limit \"a\" is used up.");
    assert_eq!(field(&response, "retry-after"), Some("10"));
    assert_eq!(response.headers().get_all("ratelimit").iter().count(), 1);
    assert_eq!(field(&response, "ratelimit"), Some("\"mine\";r=0"));
    assert_eq!(
        field(&response, "ratelimit-policy"),
        Some(r#""a";q=5;w=60, "b";q=50;w=60"#)
    );
    assert_eq!(response.extensions().get::<Rejection>(), Some(&rejection));
}

#[tokio::test]
async fn any_body_can_be_answered_for() {
    async fn answered<B>(inner: B)
    where
        B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
    {
        let answer = HttpAnswerAnyBody::new(per_minute());
        let rejection = refused(Reason::RateLimit, after(1), &[0]);
        let result: Result<Response<AnswerBody<B>>, Infallible> =
            answer.reject(rejection, &Now::new());
        let body = Box::pin(result.unwrap().into_body());
        let length = http_body::Body::size_hint(&body).exact();
        assert!(!http_body::Body::is_end_stream(&body));
        let bytes = body.collect().await.unwrap().to_bytes();
        assert_eq!(length, Some(bytes.len() as u64));
        let problem: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(problem["status"], 429);

        let through = <HttpAnswerAnyBody<Limits> as OnReject<Response<B>, Infallible>>::response(
            Response::new(inner),
        );
        let through = Box::pin(through.into_body()).collect().await.unwrap();
        assert!(through.to_bytes().is_empty());
    }
    answered(Full::new(Bytes::new())).await;
    answered(Empty::<Bytes>::new()).await;
    answered(UnsyncBoxBody::new(Empty::<Bytes>::new())).await;
}

#[test]
fn what_goes_into_a_stack_is_send_sync_and_clone() {
    fn shared<T: Send + Sync + Clone + Unpin>(_: &T) {}
    fn sent<T: Send + Sync + Unpin>() {}

    shared(&HttpAnswer::new(per_minute()));
    shared(&HttpAnswerAnyBody::new(per_minute()));
    let function = |_: &Refusal<'_>| Response::new(String::new());
    shared(&HttpAnswerWith::new(per_minute(), function));
    sent::<AnswerBody<Full<Bytes>>>();
    sent::<PermitBody<Full<Bytes>, ()>>();
}
