//! `cargo bench`: measures everything, prints a report, and writes it to `target/bench-report.md`.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;

use buttress_benches::options::Options;
use buttress_benches::report::{Allocations, Report};
use buttress_benches::{cases, machine, measure};

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse(env::args().skip(1))?;
    let mut report = Report::new(&machine::describe(), count_allocations(&options)?);
    let mut output = io::stdout().lock();
    writeln!(output, "{}", report.text())?;
    let large = if options.quick { &[] } else { cases::LARGE };
    let makes = cases::ONE_THREAD.iter().chain(cases::SEVERAL_THREADS);
    for make in makes.chain(large) {
        let mut group = make();
        group.retain(&options.filters);
        if group.cases.is_empty() {
            continue;
        }
        let samples = measure::measure(&mut group, options.quick);
        writeln!(output, "{}", report.add(&group, &samples))?;
    }
    writeln!(output, "{}", report.finish())?;
    // Cargo names a directory inside the target directory to every bench.
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = tmp.parent().unwrap_or(tmp).join("bench-report.md");
    fs::write(&path, report.text())?;
    writeln!(output, "written to {}", path.display())?;
    Ok(())
}

/// Counts in another process, because a counting allocator would slow down what is timed here.
fn count_allocations(options: &Options) -> Result<Allocations, Box<dyn Error>> {
    let program = env!("CARGO_BIN_EXE_count-allocations");
    let output = Command::new(program).args(&options.filters).output()?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(format!("counting allocations failed: {message}").into());
    }
    let mut counts = HashMap::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let mut fields = line.split('\t');
        if let (Some(group), Some(case), Some(count)) =
            (fields.next(), fields.next(), fields.next())
        {
            counts.insert((group.to_owned(), case.to_owned()), count.parse()?);
        }
    }
    Ok(counts)
}
