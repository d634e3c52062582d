//! The commands of the workspace: `cargo xtask check` runs every check the project has.
//!
//! What is checked is decided in `plan` from what `cargo metadata` says, so that a new crate,
//! feature or loom model is checked without an edit here.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its user through both"
)]

mod check;
mod command;
mod house;
mod metadata;
mod options;
mod plan;
mod report;
mod sources;
mod system;
mod tools;

use std::process::ExitCode;

use crate::options::Task;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    match options::parse(&arguments) {
        Ok(Task::Help) => {
            print!("{}", options::HELP);
            ExitCode::SUCCESS
        }
        Ok(Task::Check { system }) => match check::run(system) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("\nerror: {failure}");
                ExitCode::FAILURE
            }
        },
        Err(mistake) => {
            eprintln!("error: {mistake}\n\n{}", options::HELP);
            ExitCode::from(2)
        }
    }
}
