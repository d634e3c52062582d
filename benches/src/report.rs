//! Figures as tables, for the terminal and as Markdown at once.

use std::collections::HashMap;

use crate::case::{Aim, Case, Group, Unit};
use crate::measure::Samples;
use crate::statistics::Spread;

/// Allocations an operation, by group and case.
pub type Allocations = HashMap<(String, String), f64>;

/// A report that grows group by group.
#[derive(Debug)]
pub struct Report {
    text: String,
    allocations: Allocations,
    verdicts: Vec<[String; 5]>,
}

/// What is known of a group when it is told.
struct Measured<'a> {
    group: &'a Group,
    samples: &'a [Samples],
    allocations: &'a Allocations,
}

// === impl Report ===

impl Report {
    /// A report on this machine, with nothing but its head.
    #[must_use]
    pub fn new(machine: &str, allocations: Allocations) -> Self {
        let text = format!(
            "# buttress next to its peers\n\n{machine}\n\n\
             Medians over rounds that are taken in turn, with the range of eight rounds in ten. Ratios and \
             differences are formed round by round. buttress reads tokio's clock, which is that of std.\n"
        );
        Self {
            text,
            allocations,
            verdicts: Vec::new(),
        }
    }

    /// All that was told so far, as Markdown.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Tells of a group; gives what was added.
    pub fn add(&mut self, group: &Group, samples: &[Samples]) -> String {
        let measured = Measured {
            group,
            samples,
            allocations: &self.allocations,
        };
        let mut added = format!("\n## {}\n\n", group.name);
        if let Some(baseline) = group.baseline {
            added += &format!("Over, ratio and allocations: over *{baseline}*.\n\n");
        }
        let rows: Vec<_> = (0..group.cases.len())
            .map(|index| measured.row(index))
            .collect();
        added += &table(&measured.head(), &rows);
        self.text += &added;
        self.verdicts.extend(measured.verdicts());
        added
    }

    /// Tells which aims are met; gives what was added.
    pub fn finish(&mut self) -> String {
        if self.verdicts.is_empty() {
            return String::new();
        }
        let head = ["group", "case", "aim", "found", ""].map(str::to_owned);
        let added = format!("\n## Aims\n\n{}", table(&head, &self.verdicts));
        self.text += &added;
        added
    }
}

// === impl Measured ===

impl Measured<'_> {
    fn head(&self) -> [String; 6] {
        let Group {
            unit, reference, ..
        } = self.group;
        let ratio = match unit {
            Unit::Nanoseconds => format!("cost / {reference}"),
            Unit::MillionsPerSecond | Unit::PerSecond => format!("share of {reference}"),
        };
        let columns = ["case", unit.name(), "spread", "over", "allocations", &ratio];
        columns.map(str::to_owned)
    }

    fn row(&self, index: usize) -> [String; 6] {
        let case = &self.group.cases[index];
        let figures = self.samples[index].iter();
        let spread = Spread::of(figures.map(|sample| self.group.unit.of(*sample)));
        let figure = |value: f64| match self.group.unit {
            Unit::PerSecond => format!("{value:.0}"),
            Unit::Nanoseconds | Unit::MillionsPerSecond => format!("{value:.1}"),
        };
        let is_baseline = self.group.baseline == Some(case.name);
        let over = match self.group.baseline {
            Some(_) if !is_baseline => figure(self.cost(index).median),
            _ => String::new(),
        };
        let ratio = match is_baseline {
            true => String::new(),
            false => self.told_ratio(index),
        };
        [
            case.name.to_owned(),
            figure(spread.median),
            format!("{} .. {}", figure(spread.low), figure(spread.high)),
            over,
            self.counted(case).map_or_else(String::new, decimals),
            ratio,
        ]
    }

    /// What a case costs over the baseline, round by round.
    fn costs(&self, index: usize) -> impl Iterator<Item = f64> + '_ {
        let baseline = self.group.baseline.and_then(|name| self.group.index(name));
        let samples = self.samples[index].iter().enumerate();
        samples.map(move |(round, sample)| {
            let base = baseline.map_or(0.0, |baseline| self.samples[baseline][round]);
            sample - base
        })
    }

    fn cost(&self, index: usize) -> Spread {
        Spread::of(self.costs(index))
    }

    /// What a case costs in terms of another.
    fn ratio(&self, index: usize, other: &str) -> Option<f64> {
        let other = self.group.index(other)?;
        let ratios = self.costs(index).zip(self.costs(other));
        Some(Spread::of(ratios.map(|(cost, other)| cost / other)).median)
    }

    fn told_ratio(&self, index: usize) -> String {
        let ratio = self.ratio(index, self.group.reference);
        ratio.map_or_else(String::new, |ratio| match self.group.unit {
            Unit::Nanoseconds => format!("{ratio:.2}"),
            Unit::MillionsPerSecond | Unit::PerSecond => format!("{:.3}", 1.0 / ratio),
        })
    }

    /// Allocations of a case, over the baseline.
    fn counted(&self, case: &Case) -> Option<f64> {
        let of = |name: &str| {
            let key = (self.group.name.to_owned(), name.to_owned());
            self.allocations.get(&key).copied()
        };
        let own = of(case.name)?;
        match self.group.baseline {
            Some(baseline) if baseline != case.name => Some(own - of(baseline)?),
            _ => Some(own),
        }
    }

    fn verdicts(&self) -> Vec<[String; 5]> {
        let mut verdicts = Vec::new();
        for (index, case) in self.group.cases.iter().enumerate() {
            for aim in &case.aims {
                let (wanted, found, met) = self.judge(index, *aim);
                let found = found.map_or_else(
                    || "not measured".to_owned(),
                    |found| decimals_of(*aim, found),
                );
                let met = if met { "met" } else { "MISSED" };
                verdicts.push([
                    self.group.name.to_owned(),
                    case.name.to_owned(),
                    wanted,
                    found,
                    met.to_owned(),
                ]);
            }
        }
        verdicts
    }

    /// What was wanted, what was found, and whether that will do.
    fn judge(&self, index: usize, aim: Aim) -> (String, Option<f64>, bool) {
        let over = match self.group.baseline {
            Some(baseline) => format!(" over {baseline}"),
            None => String::new(),
        };
        let at_most = |wanted: String, found: Option<f64>, most: f64| {
            (wanted, found, found.is_some_and(|found| found <= most))
        };
        match aim {
            Aim::Nanoseconds(most) => at_most(
                format!("<= {most} ns{over}"),
                Some(self.cost(index).median),
                most,
            ),
            Aim::Times(other, most) => at_most(
                format!("<= {most} x {other}"),
                self.ratio(index, other),
                most,
            ),
            Aim::Allocations(most) => {
                let found = self.counted(&self.group.cases[index]);
                at_most(format!("<= {most} allocations{over}"), found, most)
            }
            Aim::Share(least) => {
                let reference = self.group.reference;
                let found = self.ratio(index, reference).map(|ratio| 1.0 / ratio);
                let met = found.is_some_and(|found| found >= least);
                (format!(">= {least} of {reference}"), found, met)
            }
        }
    }
}

fn decimals(value: f64) -> String {
    // Whole numbers are the rule; a table that grows allocates less than once an operation.
    match value.fract().abs() < 0.005 {
        true => format!("{value:.0}"),
        false => format!("{value:.2}"),
    }
}

fn decimals_of(aim: Aim, found: f64) -> String {
    match aim {
        Aim::Nanoseconds(_) => format!("{found:.1}"),
        Aim::Times(..) => format!("{found:.2}"),
        Aim::Share(_) => format!("{found:.3}"),
        Aim::Allocations(_) => decimals(found),
    }
}

/// A Markdown table whose columns are aligned, so that it reads well as it is.
fn table<const COLUMNS: usize>(head: &[String; COLUMNS], rows: &[[String; COLUMNS]]) -> String {
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.fold(head[column].chars().count(), usize::max)
    });
    let rule: [String; COLUMNS] = std::array::from_fn(|column| "-".repeat(widths[column]));
    let mut text = String::new();
    for row in [head, &rule].into_iter().chain(rows) {
        for (cell, width) in row.iter().zip(widths) {
            text += &format!("| {cell:width$} ");
        }
        text += "|\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Allocations, Report, table};
    use crate::case::{Aim, Case, Group, Unit};

    /// The text without the padding of its tables.
    fn squeezed(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn idle(name: &'static str) -> Case {
        Case::new(name, |_| Duration::ZERO)
    }

    #[test]
    fn costs_are_told_over_the_baseline() {
        let cases = vec![
            idle("bare"),
            idle("peer"),
            idle("ours")
                .aim(Aim::Nanoseconds(5.0))
                .aim(Aim::Times("peer", 0.5))
                .aim(Aim::Allocations(0.0)),
        ];
        let group = Group::new("group", "peer", cases).over("bare");
        let counted = [("bare", 2.0), ("ours", 3.0)];
        let key = |case: &str| ("group".to_owned(), case.to_owned());
        let allocations: Allocations = counted.map(|(case, count)| (key(case), count)).into();
        let mut report = Report::new("machine", allocations);
        // The clock ran half as fast in the second round: ratios do not notice.
        let samples = [
            vec![2.0, 1.0, 2.0],
            vec![10.0, 5.0, 10.0],
            vec![6.0, 3.0, 6.0],
        ];
        let told = squeezed(&report.add(&group, &samples));
        assert!(
            told.contains("| ours | 6.0 | 3.0 .. 6.0 | 4.0 | 1 | 0.50 |"),
            "{told}"
        );
        let aims = squeezed(&report.finish());
        for told in [
            "| <= 5 ns over bare | 4.0 | met |",
            "| <= 0.5 x peer | 0.50 | met |",
            "| <= 0 allocations over bare | 1 | MISSED |",
        ] {
            assert!(aims.contains(told), "{told} is not in {aims}");
        }
    }

    #[test]
    fn throughput_is_told_as_a_share() {
        let cases = vec![idle("bare"), idle("limited").aim(Aim::Share(0.9))];
        let mut group = Group::new("server", "bare", cases);
        group.unit = Unit::PerSecond;
        let mut report = Report::new("machine", Allocations::new());
        let told = squeezed(&report.add(&group, &[vec![8e3], vec![1e4]]));
        assert!(told.contains("| limited | 100000 | "), "{told}");
        assert!(squeezed(&report.finish()).contains("| 0.800 | MISSED |"));
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        let text = table(&row("a", "long"), &[row("wide", "b")]);
        assert_eq!(text, "| a    | long |\n| ---- | ---- |\n| wide | b    |\n");
    }
}
