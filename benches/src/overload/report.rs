//! The table and the plot.

use std::time::Duration;

use buttress_priority_queue::Priority;

use crate::LEVELS;
use crate::outcome::Level;
use crate::plot::{Chart, draw};
use crate::stacks::{ALL, SERVICE, WORKERS};

const BEGIN: &str = "<!-- table -->\n";
const END: &str = "<!-- end of table -->\n";

/// What was measured where, and the head of the table.
pub(crate) fn head(machine: &str, capacity: f64, time: Duration) -> String {
    let service = SERVICE.as_millis();
    let seconds = time.as_secs();
    format!(
        "Measured on {machine}; {seconds} s a level, the first 2 s not counted. Capacity measured alone, {WORKERS} workers \
         of {service} ms without a layer: {capacity:.1} requests a second.\n\n\
         | in front | offered | served, of the capacity | critical served | critical p50 | critical p99 | \
         p99 over unloaded | high served a second | medium | low |\n\
         |---|---|---|---|---|---|---|---|---|---|"
    )
}

/// A line of the table.
pub(crate) fn row(level: &Level) -> String {
    let critical = level.class(Priority::Critical);
    let ratio = critical.p99.as_secs_f64() / level.unloaded.as_secs_f64();
    let served = |priority| level.class(priority).goodput;
    format!(
        "| {} | {}x | {:.1} % | {:.1} % | {} ms | {} ms | {ratio:.2} | {:.1} | {:.1} | {:.1} |",
        level.stack,
        level.times,
        level.goodput * 100.0,
        critical.share * 100.0,
        critical.p50.as_millis(),
        critical.p99.as_millis(),
        served(Priority::High),
        served(Priority::Medium),
        served(Priority::Low),
    )
}

/// Puts the table where the last one was.
pub(crate) fn replace_table(page: &str, head: &str, levels: &[Level]) -> Result<String, String> {
    let missing = |mark: &str| format!("docs/overload.md lacks the line `{}`", mark.trim_end());
    let (before, rest) = page.split_once(BEGIN).ok_or_else(|| missing(BEGIN))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| missing(END))?;
    let rows: Vec<_> = levels.iter().map(row).collect();
    let rows = rows.join("\n");
    Ok(format!("{before}{BEGIN}\n{head}\n{rows}\n\n{END}{after}"))
}

/// The plot.
pub(crate) fn plots(levels: &[Level]) -> String {
    let names: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
    let marks: Vec<_> = LEVELS.iter().map(|times| format!("{times}x")).collect();
    let series = |value: fn(&Level) -> f64| -> Vec<Vec<f64>> {
        let of = |name: &&str| {
            levels
                .iter()
                .filter(|level| level.stack == *name)
                .map(value)
                .collect()
        };
        names.iter().map(of).collect()
    };
    let unloaded = levels
        .first()
        .map_or(0.0, |level| level.unloaded.as_secs_f64() * 1e3);
    let charts = [
        Chart {
            title: "served, % of the capacity",
            most: 110.0,
            ticks: vec![0.0, 25.0, 50.0, 75.0, 100.0],
            aim: Some(95.0),
            series: series(|level| level.goodput * 100.0),
        },
        Chart {
            title: "critical requests served, %",
            most: 110.0,
            ticks: vec![0.0, 25.0, 50.0, 75.0, 100.0],
            aim: None,
            series: series(|level| level.class(Priority::Critical).share * 100.0),
        },
        Chart {
            title: "p99 of those, ms",
            most: 600.0,
            ticks: vec![0.0, 100.0, 200.0, 300.0, 400.0, 500.0, 600.0],
            aim: Some(2.0 * unloaded),
            series: series(|level| level.class(Priority::Critical).p99.as_secs_f64() * 1e3),
        },
    ];
    draw(&charts, &marks, &names)
}
