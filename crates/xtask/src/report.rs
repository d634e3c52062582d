//! How long each step took and how it ended.

use std::fmt;
use std::time::Duration;

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    NothingToDo,
    Failed,
    NotRun,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::NothingToDo => "nothing to do",
            Self::Failed => "FAILED",
            Self::NotRun => "not run",
        }
    }
}

/// One step in the summary.
#[derive(Debug)]
pub(crate) struct Line {
    title: &'static str,
    outcome: Outcome,
    elapsed: Duration,
}

impl Line {
    /// A step that was taken.
    pub(crate) fn run(title: &'static str, outcome: Outcome, elapsed: Duration) -> Self {
        Self {
            title,
            outcome,
            elapsed,
        }
    }

    /// A step that comes after the one that failed.
    pub(crate) fn not_run(title: &'static str) -> Self {
        Self::run(title, Outcome::NotRun, Duration::ZERO)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        write!(
            formatter,
            "{:<28}{:<14}{seconds:>8.1} s",
            self.title,
            self.outcome.word()
        )
    }
}

/// The table at the end.
#[derive(Debug, Default)]
pub(crate) struct Report {
    lines: Vec<Line>,
}

impl Report {
    /// Adds a step.
    pub(crate) fn push(&mut self, line: Line) {
        self.lines.push(line);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "Summary")?;
        for line in &self.lines {
            writeln!(formatter, "  {line}")?;
        }
        let failed = self
            .lines
            .iter()
            .any(|line| line.outcome == Outcome::Failed);
        let outcome = if failed {
            Outcome::Failed
        } else {
            Outcome::Passed
        };
        let elapsed = self.lines.iter().map(|line| line.elapsed).sum();
        writeln!(formatter, "  {}", Line::run("all", outcome, elapsed))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Line, Outcome, Report};

    #[test]
    fn the_table_lists_every_step_and_the_sum() {
        let mut report = Report::default();
        report.push(Line::run(
            "format",
            Outcome::Passed,
            Duration::from_millis(1_250),
        ));
        report.push(Line::run(
            "lints",
            Outcome::Failed,
            Duration::from_secs(100),
        ));
        report.push(Line::not_run("tests"));
        let table = report.to_string();
        let lines: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines[1][..2], ["format", "passed"]);
        assert_eq!(lines[2], ["lints", "FAILED", "100.0", "s"]);
        assert_eq!(lines[3], ["tests", "not", "run", "0.0", "s"]);
        assert_eq!(lines[4][..2], ["all", "FAILED"]);
        assert!(lines[4][2].starts_with("101."));
    }
}
