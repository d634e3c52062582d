//! The lines of decisions, and the summary.

use std::collections::BTreeMap;
use std::time::Duration;

use buttress_replay::decision::{Decision, Reason};
use buttress_replay::summary::{Summary, Waits};
use buttress_replay::trace::{Id, read_trace};

fn decision() -> Decision {
    Decision {
        id: Id::Integer("7".into()),
        key: String::new(),
        admitted: true,
        reason: None,
        attempts: vec![0],
        ended: 0,
        status: Some(200),
        retry_after: None,
        remaining: None,
        limit: None,
        shadow: None,
    }
}

fn line(decision: &Decision) -> String {
    let mut output = Vec::new();
    decision
        .write_line(&mut output)
        .expect("a vector takes every byte");
    String::from_utf8(output).expect("JSON is UTF-8")
}

#[test]
fn every_field_is_there_in_its_order() {
    let nulls = "{\"id\":7,\"key\":\"\",\"admitted\":true,\"reason\":null,\"attempts\":[0],\"ended\":0,\
                 \"status\":200,\"retry_after\":null,\"remaining\":null,\"limit\":null}\n";
    assert_eq!(line(&decision()), nulls);
    let full = Decision {
        id: Id::Text("a\"\n\u{e9}".into()),
        key: String::from("\\\u{1}"),
        admitted: false,
        reason: Some(Reason::RateLimit),
        attempts: vec![],
        ended: 1_334,
        status: Some(429),
        retry_after: Some(333_333_334),
        remaining: Some(0),
        limit: Some(u64::MAX),
        shadow: Some(false),
    };
    let written = "{\"id\":\"a\\\"\\n\u{e9}\",\"key\":\"\\\\\\u0001\",\"admitted\":false,\"reason\":\"rate_limit\",\
                   \"attempts\":[],\"ended\":1.334,\"status\":429,\"retry_after\":0.333333334,\"remaining\":0,\
                   \"limit\":18446744073709551615,\"shadow\":false}\n";
    assert_eq!(line(&full), written);
}

#[test]
fn several_attempts_are_listed() {
    let text = line(&Decision {
        attempts: vec![0, 500, 12_000],
        ..decision()
    });
    assert!(text.contains("\"attempts\":[0,0.5,12],"), "{text}");
}

#[test]
fn reasons_have_the_names_and_statuses_of_the_format() {
    for (reason, name, status) in [
        (Reason::RateLimit, "rate_limit", Some(429)),
        (Reason::TokenBudget, "token_budget", Some(429)),
        (Reason::CircuitOpen, "circuit_open", Some(503)),
        (Reason::QueueFull, "queue_full", Some(503)),
        (Reason::QueueTimeout, "queue_timeout", Some(503)),
        (Reason::Deadline, "deadline", Some(504)),
        (Reason::AttemptTimeout, "attempt_timeout", Some(504)),
        (Reason::Cancelled, "cancelled", None),
    ] {
        assert_eq!((reason.name(), reason.status()), (name, status));
        let text = line(&Decision {
            reason: Some(reason),
            status,
            ..decision()
        });
        assert!(text.contains(&format!("\"reason\":\"{name}\",")), "{text}");
    }
}

#[test]
fn percentiles_are_by_nearest_rank() {
    assert_eq!(Waits::of(vec![]), None);
    assert_eq!(
        Waits::of(vec![5]),
        Some(Waits {
            p50: 5,
            p90: 5,
            p99: 5
        })
    );
    assert_eq!(
        Waits::of((1..=100).rev().collect()),
        Some(Waits {
            p50: 50,
            p90: 90,
            p99: 99
        })
    );
    assert_eq!(
        Waits::of((1..=10).collect()),
        Some(Waits {
            p50: 5,
            p90: 9,
            p99: 10
        })
    );
}

#[test]
fn the_summary_counts_decisions() {
    let trace = read_trace("{\"at\":1}\n{\"at\":2}\n{\"at\":3}\n{\"at\":3}\n".as_bytes()).unwrap();
    let refused = Decision {
        admitted: false,
        reason: Some(Reason::RateLimit),
        attempts: vec![],
        status: Some(429),
        ..decision()
    };
    let timed_out = Decision {
        attempts: vec![3_250, 4_000, 5_000],
        reason: Some(Reason::AttemptTimeout),
        status: Some(504),
        ..decision()
    };
    let decisions = [
        Decision {
            attempts: vec![1_000],
            ..decision()
        },
        refused.clone(),
        timed_out,
        refused,
    ];
    let summary = Summary::of(&trace, &decisions);
    let expected = Summary {
        requests: 4,
        admitted: 2,
        refused: BTreeMap::from([(Reason::RateLimit, 2), (Reason::AttemptTimeout, 1)]),
        retries: 2,
        upstream_calls: 4,
        waits: Some(Waits {
            p50: 0,
            p90: 250,
            p99: 250,
        }),
        ..Summary::default()
    };
    assert_eq!(summary, expected);
    let summary = Summary {
        peak_in_flight: 2,
        virtual_time: 4_000,
        tokens_used: 12,
        real_time: Duration::from_micros(2_500),
        ..summary
    };
    let text = "requests            4\nadmitted            2\nrefused             3\n  rate_limit        2\n  \
                attempt_timeout   1\nretries             2\nupstream calls      4\npeak in flight      2\n\
                peak queue          0\nwait p50            0 s\nwait p90            0.25 s\nwait p99            0.25 s\n\
                tokens used         12\ntokens refunded     0\nvirtual time        4 s\nreal time           ";
    assert!(summary.to_string().starts_with(text), "{summary}");
    assert!(
        Summary::default()
            .to_string()
            .contains("wait p50            none\n")
    );
}
