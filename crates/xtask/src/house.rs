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
mod tests;
