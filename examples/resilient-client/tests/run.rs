//! The program as a process, against its own upstream.

use std::process::Command;

/// What it prints, without what hangs on the speed of the machine: waits, and how many calls the breaker
/// refuses.
fn run(options: &[&str]) -> Vec<String> {
    let program = env!("CARGO_BIN_EXE_resilient-client");
    let output = Command::new(program)
        .args(options)
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(str::to_owned).collect()
}

/// The lines of a layer, one after the other.
fn said<'l>(lines: &'l [String], layer: &str) -> Vec<&'l str> {
    let start = format!("  {layer:8} ");
    let said = lines.iter().filter_map(|line| line.strip_prefix(&start));
    said.collect()
}

fn changes(lines: &[String]) -> Vec<&str> {
    let said = said(lines, "breaker").into_iter();
    said.filter(|line| line.starts_with("goes")).collect()
}

const TRIPS_TWICE: [&str; 5] = [
    "goes from closed to open",
    "goes from open to half_open",
    "goes from half_open to open",
    "goes from open to half_open",
    "goes from half_open to closed",
];

/// The first number of the last line is how many were served, the third how many calls it took.
fn numbers(lines: &[String]) -> Vec<u32> {
    let summary = lines.last().expect("a summary");
    let words = summary.split(|c: char| !c.is_ascii_digit());
    words.filter_map(|word| word.parse().ok()).collect()
}

fn assert_fails_fast(lines: &[String], first: &str, lost: &str, refused: &str) {
    assert_eq!(changes(lines), TRIPS_TWICE);
    let tells = |number: u32, how: &str| {
        let start = format!("request {number}: {how}");
        let found = lines.iter().any(|line| line.starts_with(&start));
        assert!(found, "no `{start}` in {lines:#?}");
    };
    (1..=5).for_each(|number| tells(number, first));
    tells(6, lost);
    tells(7, refused);
    tells(30, first);
    let retry = said(lines, "retry");
    assert!(retry[0].starts_with("attempt 1 failed (Overloaded), the next comes in "));
    assert!(retry[1].starts_with("attempt 2 failed (TimedOut), the next comes in "));
    assert_eq!(retry[2], "attempt 3 was the last: attempts");
    assert!(said(lines, "pace").contains(&"waits for its turn"));

    let [served, 30, calls, retries, refused, 2] = numbers(lines)[..] else {
        panic!("{:?}", lines.last());
    };
    assert_eq!(calls, served + 4, "four calls failed");
    assert_eq!(retries, 3, "after each but the one that was a last attempt");
    assert!(
        refused > 0 && served + refused >= 29 - retries,
        "{served} {refused}"
    );
}

#[test]
fn around_reqwest_calls_are_retried_then_refused_and_served_again() {
    let lines = run(&[]);
    assert_fails_fast(
        &lines,
        "200 OK",
        "503 Service Unavailable",
        "503 Service Unavailable, come back in 1 s",
    );
}

#[test]
fn around_a_channel_it_is_the_same() {
    let lines = run(&["--grpc"]);
    assert_fails_fast(
        &lines,
        "OK hello",
        "Unavailable no",
        "Unavailable The service failed too often",
    );
}

#[test]
fn a_patient_client_loses_nothing() {
    let lines = run(&["--patient", "--pace", "100/second burst 1"]);
    assert_eq!(changes(&lines), TRIPS_TWICE);
    let [30, 30, 34, 4, refused, 2] = numbers(&lines)[..] else {
        panic!("{:?}", lines.last());
    };
    assert!(refused > 0);
}

#[test]
fn a_wrong_pace_is_explained() {
    let program = env!("CARGO_BIN_EXE_resilient-client");
    let output = Command::new(program).args(["--pace", "fast"]).output();
    let output = output.expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("'--pace <QUOTA>'"), "{text}");
}
