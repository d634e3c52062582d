//! The rules of the house that a machine can check.

use std::fmt;

use crate::metadata::{Package, Workspace};
use crate::sources::Source;

/// The longest a Rust file may be.
const MOST_LINES: usize = 400;

/// What is not finished, or not run.
const UNFINISHED: [&str; 3] = ["todo!(", "unimplemented!(", "#[ignore"];

/// Real waiting, which makes a test slow and its result a matter of luck.
const SLEEPS: [&str; 2] = ["std::thread::sleep", "tokio::time::sleep("];

/// Layers are independent: none may need another.
const LAYERS: [&str; 7] = [
    "buttress-circuit-breaker",
    "buttress-metrics",
    "buttress-priority-queue",
    "buttress-rate-limit",
    "buttress-retry",
    "buttress-timeout",
    "buttress-token-budget",
];

/// What every reader of the repository may expect.
const REQUIRED: [&str; 5] = [
    "CHANGELOG.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "docs/architecture.md",
];

/// A rule that is broken, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    place: String,
    problem: String,
}

impl Violation {
    fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.problem)
    }
}

/// Every rule that is broken, in the order of the files.
pub(crate) fn violations(sources: &[Source], workspace: &Workspace) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources {
        if let Some(text) = &source.text {
            found.extend(too_long(&source.path, text));
            found.extend(unfinished(&source.path, text));
            found.extend(sleeps(&source.path, text));
        }
    }
    found.extend(missing_files(sources));
    for package in &workspace.packages {
        found.extend(layer_on_layer(package));
        found.extend(unasked_system_test(package));
    }
    found
}

fn too_long(path: &str, text: &str) -> Option<Violation> {
    let lines = text.lines().count();
    (lines > MOST_LINES).then(|| {
        Violation::new(
            path,
            format!("{lines} lines, the most is {MOST_LINES}: split it by concern"),
        )
    })
}

fn unfinished(path: &str, text: &str) -> Vec<Violation> {
    // The rules' own file has to name what it forbids.
    if path.starts_with("crates/xtask/") {
        return Vec::new();
    }
    occurrences(
        path,
        text,
        &UNFINISHED,
        "finish it, nothing is left for later",
    )
}

fn sleeps(path: &str, text: &str) -> Vec<Violation> {
    if !is_test_file(path) {
        return Vec::new();
    }
    occurrences(path, text, &SLEEPS, "pause tokio's clock and advance it")
}

/// Whether a file is in the workspace's `tests` or in those of a crate.
fn is_test_file(path: &str) -> bool {
    let mut parts = path.split('/');
    match parts.next() {
        Some("tests") => true,
        Some("crates") => parts.nth(1) == Some("tests"),
        _ => false,
    }
}

fn occurrences(path: &str, text: &str, forbidden: &[&str], remedy: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for word in forbidden.iter().filter(|word| line.contains(**word)) {
            found.push(Violation::new(
                format!("{path}:{}", index + 1),
                format!("`{word}` is not allowed here: {remedy}"),
            ));
        }
    }
    found
}

fn missing_files(sources: &[Source]) -> Vec<Violation> {
    REQUIRED
        .iter()
        .filter(|required| sources.iter().all(|source| source.path != **required))
        .map(|required| Violation::new(*required, "the file is missing"))
        .collect()
}

fn layer_on_layer(package: &Package) -> Vec<Violation> {
    if !LAYERS.contains(&package.name.as_str()) {
        return Vec::new();
    }
    let dependencies = package.dependencies.iter();
    dependencies
        .filter(|name| LAYERS.contains(&name.as_str()))
        .map(|name| {
            Violation::new(
                &package.name,
                format!("a layer may not depend on another, and it does on {name}"),
            )
        })
        .collect()
}

fn unasked_system_test(package: &Package) -> Option<Violation> {
    let target = package.test("system").filter(|target| target.runs_unasked);
    target.map(|_| {
        Violation::new(
            &package.name,
            "its test `system` needs `test = false` in Cargo.toml, else it runs where there is no \
             server",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::sample;

    fn source(path: &str) -> Source {
        Source {
            path: path.to_owned(),
            text: None,
        }
    }

    #[test]
    fn length_is_counted_in_lines() {
        assert_eq!(too_long("a.rs", &"x\n".repeat(400)), None);
        let violation = too_long("a.rs", &"x\n".repeat(401)).unwrap();
        assert!(violation.to_string().starts_with("a.rs: 401 lines"));
    }

    #[test]
    fn unfinished_code_is_found_with_its_line() {
        let text = "fn a() {\n    todo!()\n}\n#[ignore = \"slow\"]\nunimplemented!(\"b\")\n";
        let places: Vec<_> = unfinished("crates/x/src/a.rs", text)
            .into_iter()
            .map(|violation| violation.place)
            .collect();
        assert_eq!(
            places,
            [
                "crates/x/src/a.rs:2",
                "crates/x/src/a.rs:4",
                "crates/x/src/a.rs:5"
            ]
        );
        assert!(unfinished("crates/xtask/src/house.rs", text).is_empty());
        assert!(unfinished("crates/x/src/a.rs", "let todo = list;").is_empty());
    }

    #[test]
    fn sleeps_are_found_in_tests_alone() {
        let text = "tokio::time::sleep(second).await;\nstd::thread::sleep(second);\n";
        for path in [
            "tests/stacks.rs",
            "tests/src/lib.rs",
            "crates/x/tests/layer.rs",
        ] {
            assert_eq!(sleeps(path, text).len(), 2, "{path}");
        }
        for path in [
            "crates/x/src/tests/a.rs",
            "examples/a/src/main.rs",
            "crates/tests/a.rs",
        ] {
            assert!(sleeps(path, text).is_empty(), "{path}");
        }
        assert!(sleeps("tests/a.rs", "tokio::time::sleep_until(deadline).await;").is_empty());
    }

    #[test]
    fn missing_files_are_named() {
        let sources: Vec<_> = REQUIRED[1..].iter().map(|path| source(path)).collect();
        let found = missing_files(&sources);
        assert_eq!(
            found,
            [Violation::new("CHANGELOG.md", "the file is missing")]
        );
    }

    #[test]
    fn a_layer_on_a_layer_is_found_except_for_development() {
        let mut workspace = sample();
        let retry = &mut workspace.packages[2];
        assert!(layer_on_layer(retry).is_empty());
        retry.dependencies.push("buttress-timeout".to_owned());
        let found = layer_on_layer(retry);
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().contains("buttress-timeout"));
        retry.name = "buttress".to_owned();
        assert!(layer_on_layer(retry).is_empty());
    }

    #[test]
    fn a_system_test_must_wait_to_be_asked() {
        let mut workspace = sample();
        let replay = &mut workspace.packages[4];
        assert_eq!(unasked_system_test(replay), None);
        replay.tests[0].runs_unasked = true;
        assert!(unasked_system_test(replay).is_some());
    }

    #[test]
    fn every_rule_is_applied() {
        let mut sources: Vec<_> = REQUIRED.iter().map(|path| source(path)).collect();
        let mut workspace = sample();
        assert!(violations(&sources, &workspace).is_empty());
        sources.remove(0);
        sources.push(Source {
            path: "tests/a.rs".to_owned(),
            text: Some("todo!(); std::thread::sleep(x);\n".repeat(401)),
        });
        workspace.packages[2]
            .dependencies
            .push("buttress-metrics".to_owned());
        workspace.packages[4].tests[0].runs_unasked = true;
        assert_eq!(
            violations(&sources, &workspace).len(),
            1 + 401 + 401 + 1 + 1 + 1
        );
    }
}
