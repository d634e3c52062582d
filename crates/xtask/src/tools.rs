//! What must be there before the first step.

use std::path::Path;

use crate::command::Command;

/// The first cargo that packages crates which depend on each other before a registry has them.
const OLDEST_CARGO: (u32, u32) = (1, 90);

/// Makes sure that cargo is recent enough and that rustfmt and clippy are there; adds those two
/// where rustup can.
///
/// # Errors
///
/// Names what is missing and how to get it.
pub(crate) fn prepare(directory: &Path) -> Result<(), String> {
    let version = Command::cargo("--version").output(directory)?;
    if parse_version(&version).is_some_and(|found| found < OLDEST_CARGO) {
        let (major, minor) = OLDEST_CARGO;
        return Err(format!(
            "the checks need cargo {major}.{minor} or later, found {}: update the toolchain \
             (with rustup: `rustup update`)",
            version.trim()
        ));
    }
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let probe = Command::cargo(subcommand).argument("--version");
        if probe.succeeds(directory) {
            continue;
        }
        let rustup = Command::new("rustup", "component add").argument(component);
        if !Command::new("rustup", "--version").succeeds(directory) {
            return Err(format!(
                "`cargo {subcommand}` is missing, and there is no rustup to add it: install the \
                 package of your system that contains {component}, or rustup (https://rustup.rs)"
            ));
        }
        println!("`cargo {subcommand}` is missing");
        rustup.run(directory)?;
        probe.output(directory)?;
    }
    Ok(())
}

/// Major and minor of a line like `cargo 1.95.0 (f2d3ce0bd 2026-03-21)`.
fn parse_version(line: &str) -> Option<(u32, u32)> {
    let mut numbers = line.split_whitespace().nth(1)?.split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.parse().ok()?;
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::{OLDEST_CARGO, parse_version};

    #[test]
    fn versions_compare_as_numbers() {
        let version = |line| parse_version(line).unwrap();
        assert!(version("cargo 1.95.0 (f2d3ce0bd 2026-03-21)") > OLDEST_CARGO);
        assert!(version("cargo 1.100.0-nightly (abc 2027-01-01)") > OLDEST_CARGO);
        assert!(version("cargo 1.9.0") < OLDEST_CARGO);
        assert_eq!(parse_version("cargo"), None);
        assert_eq!(parse_version(""), None);
    }
}
