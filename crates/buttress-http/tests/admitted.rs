//! The fields on admitted responses.

mod support;

use buttress_core::{End, Now, Outcome, Permit, Settle};
use buttress_http::{Fields, HttpFields, received_limits, received_policies};
use http::{Response, StatusCode};
use support::{Heard, Limits, key, stands};

fn settle(
    fields: &HttpFields<Limits>,
    response: Response<()>,
    permit: Permit<support::Listening>,
) -> Response<()> {
    let result: Result<_, String> = fields.settle(Ok(response), permit, &Now::new());
    result.expect("a response")
}

fn admitted() -> Permit<support::Listening> {
    Permit::new(Heard::default().ticket(Some(key("client"))))
}

fn both() -> Fields {
    Fields {
        ratelimit: true,
        x_ratelimit: true,
    }
}

#[test]
fn an_admitted_response_tells_where_the_limits_stand() {
    let fields = HttpFields::new(Limits::new([stands("5/minute", 5, 60, 4, 12_000)]));
    let response = settle(&fields, Response::new(()), admitted());
    let headers = response.headers();
    assert_eq!(headers["ratelimit"], r#""5/minute";r=4;t=12"#);
    assert_eq!(headers["ratelimit-policy"], r#""5/minute";q=5;w=60"#);
    assert_eq!(headers.len(), 2);
}

#[test]
fn a_full_quota_has_no_time_and_resets_now() {
    let full = Limits::new([stands("5/minute", 5, 60, 5, 0)]);
    let fields = HttpFields::new(full).fields(both());
    let response = settle(&fields, Response::new(()), admitted());
    assert_eq!(response.headers()["ratelimit"], r#""5/minute";r=5"#);
    assert_eq!(response.headers()["x-ratelimit-reset"], "0");
}

#[test]
fn exempt_requests_and_requests_without_a_key_get_none() {
    let fields = HttpFields::new(Limits::new([stands("a", 5, 60, 4, 1)]));
    let exempt = settle(&fields, Response::new(()), Permit::exempt());
    assert!(exempt.headers().is_empty());
    let keyless = Permit::new(Heard::default().ticket(None));
    assert!(
        settle(&fields, Response::new(()), keyless)
            .headers()
            .is_empty()
    );
    let off = settle(&HttpFields::off(), Response::new(()), admitted());
    assert!(off.headers().is_empty());
}

#[test]
fn two_limits_join_as_lists_and_the_scarcer_one_wins_the_single_fields() {
    let inner = HttpFields::new(Limits::new([stands("inner", 10, 1, 7, 100)])).fields(both());
    let outer = HttpFields::new(Limits::new([stands("outer", 90, 60, 3, 700)])).fields(both());
    for (first, second) in [(&inner, &outer), (&outer, &inner)] {
        let response = settle(first, Response::new(()), admitted());
        let response = settle(second, response, admitted());
        let headers = response.headers();
        let mut names: Vec<_> = received_limits(headers)
            .into_iter()
            .map(|limit| limit.name)
            .collect();
        names.sort();
        assert_eq!(names, ["inner", "outer"]);
        assert_eq!(received_policies(headers).len(), 2);
        for (name, value) in [("limit", "90"), ("remaining", "3"), ("reset", "1")] {
            let mut values = headers.get_all(format!("x-ratelimit-{name}")).iter();
            assert_eq!(values.next().unwrap(), value);
            assert_eq!(values.next(), None);
        }
    }
}

#[test]
fn the_permit_ends_at_the_head_with_the_outcome() {
    let fields = HttpFields::new(Limits::default());
    let heard = Heard::default();
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    let response = settle(
        &fields,
        response,
        Permit::new(heard.ticket(Some(key("client")))),
    );
    assert!(response.headers().is_empty(), "no quota, no field");

    let permit = Permit::new(heard.ticket(None));
    let failed: Result<Response<()>, _> = fields.settle(Err("reset"), permit, &Now::new());
    assert_eq!(failed.unwrap_err(), "reset");
    assert_eq!(heard.ends(), [End::Settled(Outcome::Failure, None); 2]);
}
