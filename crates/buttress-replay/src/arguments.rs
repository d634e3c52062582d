//! The command line.

use std::path::PathBuf;

/// The arguments of `buttress-replay`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Parser)]
#[command(
    name = "buttress-replay",
    version,
    about = "Tries a policy on a trace, in virtual time, and prints what became of every request.",
    override_usage = "buttress-replay POLICY < TRACE > DECISIONS\n       buttress-replay --check POLICY",
    after_help = "The trace is read from standard input and the decisions go to standard output, one JSON \
                  object a line; the summary goes to standard error.\n\n\
                  Exit status: 0 when the policy and the trace are good, 2 when one of them or an argument \
                  is not, 1 when the decisions could not be written."
)]
pub struct Arguments {
    /// Only check the policy: read no trace, print its problems and contradictions
    #[arg(long)]
    pub check: bool,

    /// The policy, a TOML file
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
}
