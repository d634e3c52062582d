//! The tool as a whole: arguments, streams, exit status. The driver is a stand-in that admits everything.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use buttress_replay::arguments::Arguments;
use buttress_replay::decision::Decision;
use buttress_replay::policy::Policy;
use buttress_replay::summary::Summary;
use buttress_replay::trace::Request;
use buttress_replay::{Status, run};

/// A policy file of this test alone.
fn file(name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).expect("the test has a directory of its own");
    path
}

fn admit(_: &Policy, trace: &[Request]) -> (Vec<Decision>, Summary) {
    let admitted = |request: &Request| Decision {
        id: request.id.clone(),
        key: request.key.clone(),
        admitted: true,
        reason: None,
        attempts: vec![request.at],
        ended: request.at,
        status: Some(200),
        retry_after: None,
        remaining: None,
        limit: None,
        shadow: None,
    };
    let decisions: Vec<Decision> = trace.iter().map(admitted).collect();
    let summary = Summary::of(trace, &decisions);
    (decisions, summary)
}

fn replay(policy: &Path, check: bool, trace: &[u8]) -> (Status, String, String) {
    let arguments = Arguments {
        check,
        policy: policy.to_owned(),
    };
    let (mut output, mut messages) = (Vec::new(), Vec::new());
    let status = run(&arguments, trace, &mut output, &mut messages, admit);
    (
        status,
        String::from_utf8(output).expect("JSON is UTF-8"),
        String::from_utf8(messages).expect("messages are UTF-8"),
    )
}

fn command(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_buttress-replay"))
        .args(arguments)
        .output()
        .expect("cargo built the binary")
}

#[test]
fn decisions_go_to_the_output_and_the_summary_to_the_messages() {
    let policy = file("good.toml", "[rate_limit]\nquotas = [\"5/minute\"]\n");
    let (status, output, messages) =
        replay(&policy, false, b"{\"at\":0.5}\n\n{\"at\":1,\"id\":\"b\"}\n");
    assert_eq!(status, Status::Done);
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].starts_with("{\"id\":0,\"key\":\"\",\"admitted\":true,")
            && lines[0].contains("\"ended\":0.5,")
    );
    assert!(lines[1].starts_with("{\"id\":\"b\","));
    assert!(
        messages.starts_with("requests            2\n"),
        "{messages}"
    );
}

#[test]
fn an_empty_trace_gives_no_decisions() {
    let policy = file("empty.toml", "");
    for trace in ["", "\n \n"] {
        let (status, output, messages) = replay(&policy, false, trace.as_bytes());
        assert_eq!((status, output.as_str()), (Status::Done, ""));
        assert!(messages.starts_with("requests            0\n"));
    }
}

#[test]
fn a_bad_trace_prints_nothing_but_its_problem() {
    let policy = file("bad_trace.toml", "");
    let (status, output, messages) =
        replay(&policy, false, b"{\"at\":1}\n{\"at\":2,\"cost\":1.0}\n");
    assert_eq!((status, output.as_str()), (Status::Rejected, ""));
    let start = "error: trace (standard input), line 2, field `cost`: found `1.0`: expected ";
    assert!(
        messages.starts_with(start) && messages.lines().count() == 1,
        "{messages}"
    );
}

#[test]
fn a_bad_policy_prints_all_its_problems() {
    let policy = file("bad.toml", "seed = -1\n[rate_limit]\nquotas = [\"x\"]\n");
    for check in [false, true] {
        // The trace is not even looked at.
        let (status, output, messages) = replay(&policy, check, b"not a trace");
        assert_eq!((status, output.as_str()), (Status::Rejected, ""));
        let lines: Vec<&str> = messages.lines().collect();
        assert_eq!(lines.len(), 2, "{messages}");
        assert!(lines[0].contains("bad.toml, line 1, field `seed`: found `-1`: expected "));
        assert!(
            lines[1].contains("bad.toml, line 3, field `rate_limit.quotas[0]`: found `\"x\"`: ")
        );
    }
}

#[test]
fn check_reads_no_trace() {
    let policy = file("check.toml", "[rate_limit]\nquotas = [\"5/minute\"]\n");
    assert_eq!(
        replay(&policy, true, b"not a trace"),
        (Status::Done, String::new(), String::new())
    );
    let policy = file(
        "warning.toml",
        "[rate_limit]\nquotas = [\"5/minute\"]\nwait = \"1s\"\nshadow = true\n",
    );
    let (status, output, messages) = replay(&policy, true, b"");
    assert_eq!((status, output.as_str()), (Status::Done, ""));
    assert!(
        messages.starts_with("warning: ") && messages.contains("warning.toml, line 3, "),
        "{messages}"
    );
}

#[test]
fn a_writer_that_fails_is_reported_unless_its_reader_left() {
    struct Failing(io::ErrorKind);
    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let arguments = Arguments {
        check: false,
        policy: file("writer.toml", ""),
    };
    for (kind, expected, said) in [
        (io::ErrorKind::BrokenPipe, Status::Done, false),
        (io::ErrorKind::StorageFull, Status::Unwritten, true),
    ] {
        let mut messages = Vec::new();
        let status = run(
            &arguments,
            "{\"at\":0}".as_bytes(),
            Failing(kind),
            &mut messages,
            admit,
        );
        assert_eq!(status, expected);
        assert_eq!(
            messages.starts_with(b"error: the decisions cannot be written"),
            said
        );
    }
}

#[test]
fn the_command_line_is_checked() {
    for (arguments, words) in [
        (&[][..], "<POLICY>"),
        (&["--check"], "<POLICY>"),
        (&["--chek", "policy.toml"], "--check"),
        (&["policy.toml", "trace.jsonl"], "trace.jsonl"),
        (&["/nonexistent/policy.toml"], "/nonexistent/policy.toml"),
        (
            &["--check", "/nonexistent/policy.toml"],
            "/nonexistent/policy.toml",
        ),
        (&["/"], "error: /"),
    ] {
        let output = command(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let messages = String::from_utf8(output.stderr).unwrap();
        assert!(messages.contains(words), "{arguments:?}: {messages}");
    }
    for (argument, words) in [
        ("--help", "--check"),
        ("--version", env!("CARGO_PKG_VERSION")),
    ] {
        let output = command(&[argument]);
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8(output.stdout).unwrap().contains(words));
    }
}

#[test]
fn check_as_a_command() {
    let good = file(
        "command_good.toml",
        "[rate_limit]\nquotas = [\"5/minute\"]\n",
    );
    let output = command(&["--check", good.to_str().unwrap()]);
    assert_eq!(
        (
            output.status.code(),
            output.stdout.len(),
            output.stderr.len()
        ),
        (Some(0), 0, 0)
    );
    let bad = file("command_bad.toml", "[retry]\nattempts = 0\n");
    let output = command(&["--check", bad.to_str().unwrap()]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("command_bad.toml, line 2, field `retry.attempts`")
    );
}
