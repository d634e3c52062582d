//! What buttress costs, next to what its published peers cost, in one run.
//!
//! Only ratios taken in one run carry over to other machines, so every group measures its cases in turn,
//! in many short rounds: what else happens on the machine meets all of them alike. `cargo bench` runs
//! everything, prints a report and writes it to `target/bench-report.md`; `cargo bench -- --quick` only
//! shows that all cases run; `cargo bench -- layer` runs what has "layer" in its name.

pub mod case;
pub mod cases;
pub mod client;
pub mod drive;
pub mod machine;
pub mod measure;
pub mod options;
pub mod report;
pub mod server;
pub mod statistics;

// The migration pages: what they replace is a dependency of this package already.
#[cfg(doctest)]
#[doc = include_str!("../../docs/migration/governor.md")]
struct FromGovernor;

#[cfg(doctest)]
#[doc = include_str!("../../docs/migration/tower-governor.md")]
struct FromTowerGovernor;

#[cfg(doctest)]
#[doc = include_str!("../../docs/migration/tower-resilience.md")]
struct FromTowerResilience;

#[cfg(doctest)]
#[doc = include_str!("../../docs/migration/tower.md")]
struct FromTower;
