//! A policy, a trace, and what is expected of it, as data.

use buttress_replay::decision::Decision;
use buttress_replay::policy::Policy;
use buttress_replay::replay;
use buttress_replay::summary::Summary;
use buttress_replay::trace::read_trace;
use serde_json::Value;

/// What became of every request.
pub(crate) fn run(policy: &str, trace: &[impl AsRef<str>]) -> (Vec<Decision>, Summary) {
    let read = Policy::parse(policy.as_bytes());
    let policy = read.unwrap_or_else(|problems| panic!("{policy}: {problems:?}"));
    let lines: Vec<&str> = trace.iter().map(AsRef::as_ref).collect();
    let trace = read_trace(lines.join("\n").as_bytes()).expect("a good trace");
    replay(&policy, &trace)
}

/// What became of every request, as the lines that tell it.
pub(crate) fn decide(policy: &str, trace: &[impl AsRef<str>]) -> (Vec<Value>, Summary) {
    let (decisions, summary) = run(policy, trace);
    let line = |decision: &Decision| {
        let mut line = Vec::new();
        decision.write_line(&mut line).expect("memory takes it");
        serde_json::from_slice(&line).expect("a decision is JSON")
    };
    (decisions.iter().map(line).collect(), summary)
}

/// Asserts of every decision the fields that are given.
#[track_caller]
pub(crate) fn check(policy: &str, trace: &[impl AsRef<str>], expected: &[&str]) {
    let (decisions, _) = decide(policy, trace);
    assert_eq!(decisions.len(), expected.len());
    for (index, (decision, expected)) in decisions.iter().zip(expected).enumerate() {
        let wanted: Value = serde_json::from_str(expected).expect("expectations are JSON");
        for (field, value) in wanted.as_object().expect("an object") {
            assert_eq!(
                &decision[field], value,
                "request {index}, `{field}`: expected {expected}, got {decision}"
            );
        }
    }
}

/// `times` lines that say the same.
pub(crate) fn repeated(line: &str, times: usize) -> Vec<String> {
    vec![line.to_owned(); times]
}
