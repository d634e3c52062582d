//! What is measured, against what, and what is aimed at.

use std::fmt;
use std::time::Duration;

/// Does something so many times, and tells how long that took.
pub type Run = Box<dyn FnMut(u64) -> Duration>;

/// One thing that is measured.
pub struct Case {
    /// What it is; unique in its group.
    pub name: &'static str,
    /// Does it.
    pub run: Run,
    /// What it is meant to cost.
    pub aims: Vec<Aim>,
}

impl Case {
    /// A case without an aim.
    pub fn new(name: &'static str, run: impl FnMut(u64) -> Duration + 'static) -> Self {
        Self {
            name,
            run: Box::new(run),
            aims: Vec::new(),
        }
    }

    /// Adds an aim.
    #[must_use]
    pub fn aim(mut self, aim: Aim) -> Self {
        self.aims.push(aim);
        self
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a case is meant to cost. Costs are over the group's baseline, if it has one.
#[derive(Clone, Copy, Debug)]
pub enum Aim {
    /// At most so many nanoseconds.
    Nanoseconds(f64),
    /// At most so many times what another case of the group costs.
    Times(&'static str, f64),
    /// At most so many allocations.
    Allocations(f64),
    /// At least this share of the reference's throughput.
    Share(f64),
}

/// How a figure is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds an operation.
    Nanoseconds,
    /// Millions of operations a second, of all threads together.
    MillionsPerSecond,
    /// Requests a second.
    PerSecond,
}

impl Unit {
    /// The figure for something that takes so many nanoseconds.
    #[must_use]
    pub fn of(self, nanoseconds: f64) -> f64 {
        match self {
            Self::Nanoseconds => nanoseconds,
            Self::MillionsPerSecond => 1e3 / nanoseconds,
            Self::PerSecond => 1e9 / nanoseconds,
        }
    }

    /// Its name at the head of a column.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::MillionsPerSecond => "Mops/s",
            Self::PerSecond => "req/s",
        }
    }
}

/// Cases that are measured in turn and told in one table.
#[derive(Debug)]
pub struct Group {
    /// What they have in common.
    pub name: &'static str,
    /// How the figures are told.
    pub unit: Unit,
    /// The case that is subtracted from all others, if any.
    pub baseline: Option<&'static str>,
    /// The case that the others are compared with: a published peer, or the bare server.
    pub reference: &'static str,
    /// In the order of the table.
    pub cases: Vec<Case>,
    /// About how long one round of one case takes.
    pub round: Duration,
    /// How many rounds there are.
    pub rounds: usize,
}

impl Group {
    /// A group in nanoseconds, in the usual number of rounds. They are shorter than a slice of the
    /// scheduler, so that most of them are not interrupted.
    #[must_use]
    pub const fn new(name: &'static str, reference: &'static str, cases: Vec<Case>) -> Self {
        Self {
            name,
            unit: Unit::Nanoseconds,
            baseline: None,
            reference,
            cases,
            round: Duration::from_millis(2),
            rounds: 151,
        }
    }

    /// Names the case that is subtracted from all others.
    #[must_use]
    pub const fn over(mut self, baseline: &'static str) -> Self {
        self.baseline = Some(baseline);
        self
    }

    /// Keeps the cases that a filter names, and those that they are compared with. Without a filter all
    /// stay.
    pub fn retain(&mut self, filters: &[String]) {
        let named = |case: &Case| {
            let name = format!("{}: {}", self.name, case.name);
            filters.is_empty() || filters.iter().any(|filter| name.contains(filter))
        };
        let chosen: Vec<_> = self.cases.iter().filter(|case| named(case)).collect();
        if chosen.is_empty() {
            self.cases.clear();
            return;
        }
        let mut needed: Vec<_> = chosen.iter().map(|case| case.name).collect();
        needed.extend(self.baseline);
        needed.push(self.reference);
        needed.extend(
            chosen
                .iter()
                .flat_map(|case| &case.aims)
                .filter_map(|aim| match aim {
                    Aim::Times(other, _) => Some(*other),
                    _ => None,
                }),
        );
        self.cases.retain(|case| needed.contains(&case.name));
    }

    /// Where the case of that name stands.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<usize> {
        self.cases.iter().position(|case| case.name == name)
    }
}
