//! `RateLimit` and `RateLimit-Policy` from another server.

use std::time::Duration;

use buttress_http::{
    FieldNames, PolicyItem, ReceivedLimit, ReceivedPolicy, Remaining, rate_limit_policy,
    received_limits, received_policies,
};
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

fn headers(name: &'static str, lines: &[impl AsRef<[u8]>]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(
            name,
            HeaderValue::from_bytes(line.as_ref()).expect("a field value"),
        );
    }
    headers
}

fn limits(lines: &[&str]) -> Vec<ReceivedLimit> {
    received_limits(&headers("ratelimit", lines))
}

fn policies(lines: &[&str]) -> Vec<ReceivedPolicy> {
    received_policies(&headers("ratelimit-policy", lines))
}

fn limit(name: &str, remaining: u64, seconds: Option<u64>) -> ReceivedLimit {
    let grows_in = seconds.map(Duration::from_secs);
    ReceivedLimit {
        name: name.to_owned(),
        remaining,
        grows_in,
    }
}

#[test]
fn limits_are_read_from_all_lines() {
    let two = [limit("default", 50, Some(30)), limit("daily", 7, None)];
    assert_eq!(limits(&["\"default\";r=50;t=30, \"daily\";r=7"]), two);
    assert_eq!(
        limits(&["\"default\";r=50;t=30", "", " \"daily\" ;  r=7 "]),
        []
    );
    assert_eq!(
        limits(&["\"default\";r=50;t=30", "", "\"daily\"; r=7 "]),
        two
    );
    // The partition key, in the draft's examples with pad bits that are not zero, and parameters
    // that are not known are skipped.
    let known = [limit("a", 1, Some(0))];
    assert_eq!(
        limits(&["\"a\";pk=:sdfjLJUOUH==:;r=1;t=0;vendor-x;y=tok"]),
        known
    );
    assert_eq!(limits(&["\"a\";pk=:cHsdsRa894==:;r=1;t=0"]), known);
    // Of a repeated parameter the last counts.
    assert_eq!(limits(&["\"a\";r=x;r=1;t=9;t=0"]), known);
    assert_eq!(limits(&[]), []);
    assert_eq!(limits(&[""]), []);
}

#[test]
fn a_malformed_field_is_ignored_as_a_whole() {
    let broken = [
        "default;r=1",
        "\"a\"",
        "\"a\";t=1",
        "\"a\";r",
        "\"a\";r=-1",
        "\"a\";r=1.0",
        "\"a\";r=\"1\"",
        "\"a\";r=1;t=-1",
        "\"a\";r=1;t=soon",
        "\"a\";r=1000000000000000",
        "\"a\";r=1,",
        "(\"a\");r=1",
        "50",
        "limit=100, remaining=50",
    ];
    for member in broken {
        assert_eq!(limits(&[member]), [], "{member}");
        assert_eq!(limits(&["\"fine\";r=1", member]), [], "{member}");
        assert_eq!(limits(&[member, "\"fine\";r=1"]), [], "{member}");
    }
}

#[test]
fn policies_are_read() {
    let expected = |name: &str, quota, seconds: Option<u64>, unit: Option<&str>| ReceivedPolicy {
        name: name.to_owned(),
        quota,
        window: seconds.map(Duration::from_secs),
        unit: unit.map(str::to_owned),
    };
    assert_eq!(
        policies(&[
            "\"burst\";q=100;w=60,\"daily\";q=1000;w=86400;qu=\"tokens\"",
            "\"c\";q=0"
        ]),
        [
            expected("burst", 100, Some(60), None),
            expected("daily", 1000, Some(86_400), Some("tokens")),
            expected("c", 0, None, None),
        ]
    );
    let broken = [
        "\"a\";w=1",
        "\"a\";q=1;w=0",
        "\"a\";q=1;w=-1",
        "\"a\";q=1;qu=tokens",
        "quota;q=1",
    ];
    for member in broken {
        assert_eq!(policies(&[member]), [], "{member}");
        assert_eq!(policies(&["\"fine\";q=1", member]), [], "{member}");
    }
}

proptest! {
    #[test]
    fn what_we_write_is_read(
        written in prop::collection::vec(
            ("[ -~]{0,9}", 0..1_u64 << 40, prop::option::of(1..1_u64 << 40), prop::option::of("[a-z]{1,9}")),
            1..4,
        ),
    ) {
        let names = FieldNames::new(written.iter().map(|(name, ..)| name)).unwrap();
        let left: Vec<_> = written
            .iter()
            .map(|&(_, units, time, _)| Remaining { units, grows_in: time.map(Duration::from_secs) })
            .collect();
        let sent = names.rate_limit(&left).unwrap();
        let read: Vec<_> = written.iter().map(|(name, units, time, _)| limit(name, *units, *time)).collect();
        prop_assert_eq!(received_limits(&headers("ratelimit", &[sent])), read);

        let items = written.iter().map(|(name, quota, time, unit)| PolicyItem {
            name,
            quota: *quota,
            window: time.map(Duration::from_secs),
            unit: unit.as_deref(),
        });
        let sent = rate_limit_policy(items.clone()).unwrap().unwrap();
        let read = received_policies(&headers("ratelimit-policy", &[sent]));
        let again: Vec<_> = read
            .iter()
            .map(|item| PolicyItem {
                name: &item.name,
                quota: item.quota,
                window: item.window,
                unit: item.unit.as_deref(),
            })
            .collect();
        prop_assert_eq!(again, items.collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_are_read_or_ignored(
        lines in prop::collection::vec(
            prop_oneof![
                "[ -~]{0,20}".prop_map(String::into_bytes),
                "(\"a\"(;(r|t|q|w|qu)=(1|-1|x|\"b\")){0,3}(, )?){0,3}".prop_map(String::into_bytes),
                prop::collection::vec(128_u8.., 0..8),
            ],
            0..3,
        ),
    ) {
        let _ = received_limits(&headers("ratelimit", &lines));
        for policy in received_policies(&headers("ratelimit-policy", &lines)) {
            prop_assert_ne!(policy.window, Some(Duration::ZERO));
        }
    }
}
