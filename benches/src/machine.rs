//! What the figures were measured on.

use std::env;
use std::fs;
use std::process::Command;
use std::thread;

/// One line: compiler, processor, number of cores.
#[must_use]
pub fn describe() -> String {
    let compiler = compiler().unwrap_or_else(|| "an unknown rustc".to_owned());
    let processor = processor().unwrap_or_else(|| "an unknown processor".to_owned());
    let cores = thread::available_parallelism().map_or(0, usize::from);
    format!("{compiler}, {processor}, {cores} cores")
}

fn compiler() -> Option<String> {
    let program = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
