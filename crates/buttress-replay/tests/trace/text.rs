//! The trace as text: what is no JSON, no Unicode or hostile.

use std::io::{self, BufReader, Read};

use buttress_replay::error::Place;
use buttress_replay::trace::{TraceError, read_trace};
use proptest::prelude::*;

use super::{bad, good, with};

#[test]
fn a_line_is_one_object() {
    for (line, place) in [
        ("5", Place::Column(0)),
        ("[]", Place::Column(0)),
        ("null", Place::Column(0)),
        ("{\"at\":0} {\"at\":1}", Place::Column(10)),
        ("{\"at\":0", Place::Column(7)),
        ("{\"at\":}", Place::Field(String::from("at"))),
        ("{\"at\":01}", Place::Field(String::from("at"))),
        ("{\"at\":1.}", Place::Field(String::from("at"))),
        ("{\"at\":.5}", Place::Field(String::from("at"))),
        ("{\"at\":+1}", Place::Field(String::from("at"))),
        ("{\"at\":NaN}", Place::Field(String::from("at"))),
        ("{\"at\":0,}", Place::Column(9)),
        ("{at:0}", Place::Column(2)),
        (
            "{\"at\":0,\"key\":\"a\tb\"}",
            Place::Field(String::from("key")),
        ),
        (
            "{\"at\":0,\"key\":\"\\x\"}",
            Place::Field(String::from("key")),
        ),
        ("\u{feff}{\"at\":0}", Place::Column(1)),
    ] {
        let problem = bad(format!("{{\"at\":0}}\n{line}\n"));
        assert_eq!(problem.line, 2, "{line}");
        if place == Place::Column(0) {
            assert!(
                matches!(problem.place, Place::Column(_)),
                "{line}: {problem}"
            );
        } else {
            assert_eq!(problem.place, place, "{line}: {problem}");
        }
        assert!(problem.reason.contains("expected"), "{problem}");
    }
}

#[test]
fn text_is_unicode() {
    let problem = bad(b"{\"at\":0}\n\n{\"at\":0,\"key\":\"\xff\"}\n");
    assert_eq!((problem.line, problem.place), (3, Place::Column(16)));
    assert_eq!(problem.found, "the byte 0xff");
    assert_eq!(bad(b"\xc3").line, 1);
    let problem = bad("{\"at\":0,\"\\ud800\":1}");
    assert_eq!(problem.line, 1);
}

#[test]
fn hostile_lines_are_only_errors() {
    let deep = "[".repeat(200_000);
    assert_eq!(bad(format!("{{\"at\":0,\"key\":{deep}")).line, 1);
    assert_eq!(
        bad(with(&format!("\"key\":{deep}{}", "]".repeat(200_000)))).place,
        Place::Field(String::from("key"))
    );
    let digits = "9".repeat(10_000);
    assert!(bad(with(&format!("\"cost\":{digits}"))).to_string().len() < 300);
    assert!(bad(format!("{{\"at\":{digits}}}")).to_string().len() < 300);
    assert!(bad(with(&format!("\"{digits}\":1"))).to_string().len() < 500);
}

#[test]
fn a_reader_that_fails_is_reported_with_its_line() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let error = read_trace(BufReader::new("{\"at\":0}\n".as_bytes().chain(Broken))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 2: cannot be read: the disk is gone"
    );
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,25}(\\.[0-9]{0,12})?([eE][+-]?[0-9]{1,12})?",
        "\"[ -~]{0,6}\"",
        r#"\{("(estimate|used|x)":(-?[0-9]{1,3}|null)(,"used":[0-9])?)?\}"#,
        r#"\[(\{("(latency|status|error|body_error)":([0-9]{1,4}|true|"reset"))?\}(,\{\})?)?\]"#,
        "(null|true|false|\\[|\\{|\")",
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_with_a_place(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Err(TraceError::Bad(problem)) = read_trace(bytes.as_slice()) {
            prop_assert!(problem.line >= 1);
            prop_assert!(problem.line <= bytes.iter().filter(|byte| **byte == b'\n').count() + 1);
        }
    }

    #[test]
    fn any_field_is_read_or_refused_by_name(
        name in "(at|id|key|cost|tokens|priority|tenant|deadline|cancel|method|service|other)",
        value in value(),
    ) {
        let line = format!("\n{{\"{name}\":{value}}}");
        if let Err(TraceError::Bad(problem)) = read_trace(line.as_bytes()) {
            prop_assert_eq!(problem.line, 2);
            if let Place::Field(path) = &problem.place {
                // A good value leaves `at` missing.
                prop_assert!(path.starts_with(&name) || path == "at", "{}", problem);
            }
            prop_assert!(problem.reason.contains("expected"));
        }
    }

    #[test]
    fn good_requests_read_back(
        at in 0u64..=10_000_000_000_000,
        cost in 0u64..=u64::MAX / 2,
        key in any::<String>(),
        status in 100u16..=599,
    ) {
        let text = serde_json::to_string(&key).unwrap();
        let line = format!("{{\"at\":{at}e-3,\"cost\":{cost},\"key\":{text},\"service\":[{{\"status\":{status}}}]}}");
        let requests = good(&line);
        prop_assert_eq!(requests[0].at, at);
        prop_assert_eq!(requests[0].cost, cost);
        prop_assert_eq!(&requests[0].key, &key);
        prop_assert_eq!(requests[0].service[0].status, status);
    }
}
