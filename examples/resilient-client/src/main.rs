//! `resilient-client`: see the library for what it does, and `--help` for how to start it.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use resilient_client::{Options, Say, run};

/// A client through retry, pacing, circuit breaker and timeout, against an upstream on loopback that fails
/// for a while.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let say: Say = Arc::new(|line| {
        // Whoever closed the output wants no more lines.
        let _ = writeln!(io::stdout(), "{line}");
    });
    match run(&arguments.options, Arc::clone(&say)).await {
        Ok(summary) => {
            say(&summary.to_string());
            if arguments.options.listen.is_some() {
                // What is served is looked at until then; without signals it ends at once.
                let _ = tokio::signal::ctrl_c().await;
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Nobody is left to be told if this fails.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}
