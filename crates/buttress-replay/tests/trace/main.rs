//! The trace: every rule of the format, once kept and once broken.

mod text;

use buttress_replay::error::{Place, Problem};
use buttress_replay::trace::{
    Attempt, Id, Priority, Request, Tokens, TraceError, TransportError, read_trace,
};

fn good(trace: &str) -> Vec<Request> {
    read_trace(trace.as_bytes()).unwrap_or_else(|error| panic!("{trace}: {error}"))
}

fn bad(trace: impl AsRef<[u8]>) -> Problem {
    let trace = trace.as_ref();
    match read_trace(trace) {
        Err(TraceError::Bad(problem)) => problem,
        other => panic!("{}: {other:?}", String::from_utf8_lossy(trace)),
    }
}

/// A one-line trace of a request at 0 with these further fields.
fn with(fields: &str) -> String {
    format!("{{\"at\":0,{fields}}}\n")
}

#[test]
fn an_empty_trace_has_no_requests() {
    for trace in ["", "\n", " \t\r\n\n  ", "\r\n\r\n"] {
        assert_eq!(good(trace), []);
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let expected = Request {
        id: Id::Integer("0".into()),
        at: 1_500,
        key: String::new(),
        cost: 1,
        tokens: None,
        priority: Priority::Medium,
        tenant: String::new(),
        deadline: None,
        cancel: None,
        method: String::from("GET"),
        service: vec![Attempt {
            latency: 0,
            status: 200,
            retry_after: None,
            body: 0,
            error: None,
            body_error: false,
        }],
    };
    assert_eq!(good(r#"{"at":1.5}"#), std::slice::from_ref(&expected));
    let nulls = r#"{"at":1.5,"id":null,"key":null,"cost":null,"tokens":null,"priority":null,"tenant":null,
        "deadline":null,"cancel":null,"method":null,"service":null}"#;
    assert_eq!(
        good(&nulls.replace('\n', " ")),
        std::slice::from_ref(&expected)
    );
    let attempt = r#"{"at":1.5,"service":[{"latency":null,"status":null,"retry_after":null,"body":null,"error":null,"body_error":null}]}"#;
    assert_eq!(good(attempt), std::slice::from_ref(&expected));
    assert_eq!(good(r#"{"at":1.5,"service":[{}]}"#), [expected]);
}

#[test]
fn every_field_is_read() {
    let line = r#" {"at":2e0,"id":"a","key":"k\u00e9\ud83d\ude00","cost":0,"tokens":{"estimate":9223372036854775807,"used":0},
        "priority":"critical","tenant":"t","deadline":0.25,"cancel":0,"method":"POST","service":[
        {"latency":1.001,"status":503,"retry_after":7,"body":0.5,"body_error":true},{"error":"connect"},{"error":"reset"}]}"#;
    let expected = Request {
        id: Id::Text("a".into()),
        at: 2_000,
        key: String::from("ké😀"),
        cost: 0,
        tokens: Some(Tokens {
            estimate: u64::MAX / 2,
            used: Some(0),
        }),
        priority: Priority::Critical,
        tenant: String::from("t"),
        deadline: Some(250),
        cancel: Some(0),
        method: String::from("POST"),
        service: vec![
            Attempt {
                latency: 1_001,
                status: 503,
                retry_after: Some(7_000),
                body: 500,
                error: None,
                body_error: true,
            },
            Attempt {
                error: Some(TransportError::Connect),
                ..Attempt::default()
            },
            Attempt {
                error: Some(TransportError::Reset),
                ..Attempt::default()
            },
        ],
    };
    assert_eq!(good(&line.replace('\n', " ")), [expected]);
    let never = good(&with(r#""tokens":{"estimate":1,"used":null}"#));
    assert_eq!(
        never[0].tokens,
        Some(Tokens {
            estimate: 1,
            used: None
        })
    );
    for (name, priority) in [
        ("critical", Priority::Critical),
        ("high", Priority::High),
        ("medium", Priority::Medium),
        ("low", Priority::Low),
    ] {
        assert_eq!(
            good(&with(&format!(r#""priority":"{name}""#)))[0].priority,
            priority
        );
    }
}

#[test]
fn ids_are_counted_from_zero_with_blank_lines() {
    let ids = |trace: &str| {
        good(trace)
            .into_iter()
            .map(|request| request.id.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ids("{\"at\":0}\n\n  \r\n{\"at\":0}\r\n{\"at\":0}"),
        ["0", "3", "4"]
    );
    assert_eq!(
        ids("\n{\"at\":0,\"id\":\"1\"}\n{\"at\":0,\"id\":1}\n{\"at\":0,\"id\":-0}"),
        ["\"1\"", "1", "0"]
    );
    let large = "123456789012345678901234567890";
    assert_eq!(ids(&with(&format!("\"id\":{large}"))), [large]);
}

/// Fields that are wrong, the path that the error names, and what it shows.
const WRONG: &[(&str, &str, &str)] = &[
    (r#""extra":1"#, "extra", "an unknown field"),
    (
        r#""tokens":{"estimate":1,"usd":1}"#,
        "tokens.usd",
        "an unknown field",
    ),
    (
        r#""service":[{},{"latncy":1}]"#,
        "service[1].latncy",
        "an unknown field",
    ),
    (r#""at":0"#, "at", "`0` after an earlier value"),
    (
        r#""key":"a","key":null"#,
        "key",
        "`null` after an earlier value",
    ),
    (
        r#""tokens":{"used":1,"estimate":1,"used":1}"#,
        "tokens.used",
        "`1` after an earlier value",
    ),
    (
        r#""service":[{"body":1,"body":1}]"#,
        "service[0].body",
        "`1` after an earlier value",
    ),
    (r#""id":1.0"#, "id", "`1.0`"),
    (r#""id":1e3"#, "id", "`1e3`"),
    (r#""id":-1"#, "id", "`-1`"),
    (r#""id":true"#, "id", "`true`"),
    (r#""id":[1]"#, "id", "`[1]`"),
    (r#""id":"\udc00""#, "id", r#"`"\udc00"`"#),
    (r#""key":5"#, "key", "`5`"),
    (r#""key":"\ud800""#, "key", r#"`"\ud800"`"#),
    (r#""tenant":{}"#, "tenant", "`{}`"),
    (r#""method":1"#, "method", "`1`"),
    (r#""cost":1.0"#, "cost", "`1.0`"),
    (r#""cost":1e0"#, "cost", "`1e0`"),
    (r#""cost":-1"#, "cost", "`-1`"),
    (r#""cost":"1""#, "cost", "`\"1\"`"),
    (
        r#""cost":9223372036854775808"#,
        "cost",
        "`9223372036854775808`",
    ),
    (
        r#""cost":99999999999999999999999"#,
        "cost",
        "`99999999999999999999999`",
    ),
    (r#""tokens":5"#, "tokens", "`5`"),
    (r#""tokens":{}"#, "tokens.estimate", "nothing"),
    (r#""tokens":{"estimate":null}"#, "tokens.estimate", "`null`"),
    (r#""tokens":{"estimate":0.5}"#, "tokens.estimate", "`0.5`"),
    (
        r#""tokens":{"estimate":1,"used":-5}"#,
        "tokens.used",
        "`-5`",
    ),
    (
        r#""tokens":{"estimate":1,"used":9223372036854775808}"#,
        "tokens.used",
        "`9223372036854775808`",
    ),
    (r#""priority":"urgent""#, "priority", "`\"urgent\"`"),
    (r#""priority":"High""#, "priority", "`\"High\"`"),
    (r#""priority":0"#, "priority", "`0`"),
    (r#""deadline":-1"#, "deadline", "`-1`"),
    (r#""deadline":"1s""#, "deadline", "`\"1s\"`"),
    (r#""deadline":0.0005"#, "deadline", "`0.0005`"),
    (r#""cancel":10000000000.5"#, "cancel", "`10000000000.5`"),
    (r#""cancel":1e999999999"#, "cancel", "`1e999999999`"),
    (r#""service":[]"#, "service", "`[]`"),
    (r#""service":{}"#, "service", "`{}`"),
    (r#""service":[null]"#, "service[0]", "`null`"),
    (r#""service":[{},5]"#, "service[1]", "`5`"),
    (
        r#""service":[{"latency":0.0001}]"#,
        "service[0].latency",
        "`0.0001`",
    ),
    (
        r#""service":[{"latency":true}]"#,
        "service[0].latency",
        "`true`",
    ),
    (r#""service":[{"status":99}]"#, "service[0].status", "`99`"),
    (
        r#""service":[{"status":600}]"#,
        "service[0].status",
        "`600`",
    ),
    (
        r#""service":[{"status":200.0}]"#,
        "service[0].status",
        "`200.0`",
    ),
    (
        r#""service":[{"status":"200"}]"#,
        "service[0].status",
        "`\"200\"`",
    ),
    (
        r#""service":[{"retry_after":-1}]"#,
        "service[0].retry_after",
        "`-1`",
    ),
    (r#""service":[{"body":1e11}]"#, "service[0].body", "`1e11`"),
    (
        r#""service":[{"error":"timeout"}]"#,
        "service[0].error",
        "`\"timeout\"`",
    ),
    (
        r#""service":[{"body_error":1}]"#,
        "service[0].body_error",
        "`1`",
    ),
    (
        r#""service":[{"body_error":"true"}]"#,
        "service[0].body_error",
        "`\"true\"`",
    ),
];

#[test]
fn a_bad_field_is_named_with_what_was_found() {
    for (fields, path, found) in WRONG {
        let problem = bad(format!("\n{}", with(fields)));
        assert_eq!(problem.line, 2, "{fields}");
        assert_eq!(problem.place, Place::Field((*path).to_owned()), "{fields}");
        assert_eq!(problem.found, *found, "{fields}");
        assert!(problem.reason.contains("expected"), "{problem}");
    }
}

#[test]
fn the_limits_themselves_are_allowed() {
    let line = r#""cost":9223372036854775807,"deadline":1e10,"cancel":10000000000.000,
        "service":[{"status":100},{"status":599,"latency":1e10,"body":1e10,"retry_after":1e10}]"#;
    let request = &good(&with(&line.replace('\n', " ")))[0];
    assert_eq!(
        (request.cost, request.deadline),
        (u64::MAX / 2, Some(10_000_000_000_000))
    );
    assert_eq!(request.service[1].status, 599);
}

#[test]
fn at_is_required() {
    for (line, found) in [
        ("{}", "nothing"),
        (r#"{"at":null}"#, "`null`"),
        (r#"{"at":"0"}"#, "`\"0\"`"),
    ] {
        let problem = bad(line);
        assert_eq!(
            (problem.line, problem.place),
            (1, Place::Field(String::from("at")))
        );
        assert_eq!(problem.found, found);
    }
}

#[test]
fn at_never_goes_back() {
    assert_eq!(good("{\"at\":1}\n{\"at\":1.000}\n{\"at\":1e0}\n").len(), 3);
    let problem = bad("{\"at\":1}\n\n{\"at\":1.5}\n{\"at\":1.499}\n");
    assert_eq!(
        (problem.line, problem.place),
        (4, Place::Field(String::from("at")))
    );
    assert_eq!(problem.found, "`1.499`");
    assert!(
        problem.reason.contains("at least 1.5") && problem.reason.contains("line 3"),
        "{}",
        problem.reason
    );
}

#[test]
fn an_id_is_taken_once() {
    for (trace, line, earlier) in [
        (
            "{\"at\":0,\"id\":\"a\"}\n{\"at\":0,\"id\":\"a\"}",
            2,
            "line 1",
        ),
        (
            "{\"at\":0,\"id\":\"a\"}\n\n{\"at\":0,\"id\":\"\\u0061\"}",
            3,
            "line 1",
        ),
        ("{\"at\":0,\"id\":7}\n{\"at\":0,\"id\":7}", 2, "line 1"),
        ("{\"at\":0,\"id\":1}\n{\"at\":0}", 2, "line 1"),
        ("{\"at\":0}\n{\"at\":0}\n{\"at\":0,\"id\":1}", 3, "line 2"),
    ] {
        let problem = bad(trace);
        assert_eq!(
            (problem.line, &problem.place),
            (line, &Place::Field(String::from("id"))),
            "{trace}"
        );
        assert!(problem.reason.contains(earlier), "{problem}");
    }
}
