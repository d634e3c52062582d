//! `buttress-replay POLICY < TRACE > DECISIONS`

use std::io;
use std::process::ExitCode;

use buttress_replay::arguments::Arguments;
use clap::Parser;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut messages = io::stderr().lock();
    buttress_replay::run(
        &arguments,
        io::stdin().lock(),
        io::stdout().lock(),
        &mut messages,
        buttress_replay::replay,
    )
    .into()
}
