//! Counts the allocations of every case, and prints a line for each: group, case, allocations an
//! operation, separated by tabs.

use std::env;
use std::io::{self, Write as _};

use buttress_benches::cases;
use buttress_benches::measure::WARM_UP;
use buttress_benches::options::Options;

const COUNTED: u32 = 1_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse(env::args().skip(1))?;
    let mut output = io::stdout().lock();
    for make in cases::ONE_THREAD {
        let mut group = make();
        group.retain(&options.filters);
        for case in &mut group.cases {
            (case.run)(WARM_UP);
            let counted = allocation_counter::measure(|| {
                (case.run)(u64::from(COUNTED));
            });
            let each = counted.count_total as f64 / f64::from(COUNTED);
            writeln!(output, "{}\t{}\t{each}", group.name, case.name)?;
        }
    }
    Ok(())
}
