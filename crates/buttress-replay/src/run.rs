//! One run of the tool, from its arguments to its exit status.

use std::fmt;
use std::io::{self, BufRead, BufWriter, Write};
use std::process::ExitCode;
use std::time::Instant;

use crate::arguments::Arguments;
use crate::decision::Decision;
use crate::policy::Policy;
use crate::summary::Summary;
use crate::trace::{Request, read_trace};

/// What errors call the trace, which has no file name of its own.
const TRACE: &str = "trace (standard input)";

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Everything was good. A reader that closed the output early is no fault either.
    Done,
    /// The decisions could not be written.
    Unwritten,
    /// The policy or the trace is wrong, or could not be read. Nothing was written to the output.
    Rejected,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        match status {
            Status::Done => Self::SUCCESS,
            Status::Unwritten => Self::from(1),
            Status::Rejected => Self::from(2),
        }
    }
}

/// Checks the policy and, unless that was all, replays the trace from `input`: the decisions go to `output`,
/// everything else to `messages`.
///
/// `replay` is asked once, with a policy and a trace that were found good. It answers with a decision for
/// every request, in the order of the trace; the real time in its summary is set here.
pub fn run(
    arguments: &Arguments,
    input: impl BufRead,
    output: impl Write,
    messages: &mut impl Write,
    replay: impl FnOnce(&Policy, &[Request]) -> (Vec<Decision>, Summary),
) -> Status {
    let Some(policy) = read_policy(arguments, messages) else {
        return Status::Rejected;
    };
    if arguments.check {
        return Status::Done;
    }
    let trace = match read_trace(input) {
        Ok(trace) => trace,
        Err(error) => {
            say(messages, format_args!("error: {TRACE}, {error}\n"));
            return Status::Rejected;
        }
    };
    let (decisions, summary) = timed(|| replay(&policy, &trace));
    match write_decisions(&decisions, output) {
        Ok(()) => {
            say(messages, format_args!("{summary}"));
            Status::Done
        }
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Status::Done,
        Err(error) => {
            say(
                messages,
                format_args!("error: the decisions cannot be written: {error}\n"),
            );
            Status::Unwritten
        }
    }
}

fn read_policy(arguments: &Arguments, messages: &mut impl Write) -> Option<Policy> {
    let name = arguments.policy.display();
    let file = match std::fs::read(&arguments.policy) {
        Ok(file) => file,
        Err(error) => {
            say(
                messages,
                format_args!("error: {name}: expected a policy file, but: {error}\n"),
            );
            return None;
        }
    };
    match Policy::parse(&file) {
        Ok(policy) => {
            for warning in &policy.warnings {
                say(messages, format_args!("warning: {name}, {warning}\n"));
            }
            Some(policy)
        }
        Err(problems) => {
            for problem in problems {
                say(messages, format_args!("error: {name}, {problem}\n"));
            }
            None
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is measured is the run itself, which a paused clock hides"
)]
fn timed(replay: impl FnOnce() -> (Vec<Decision>, Summary)) -> (Vec<Decision>, Summary) {
    let started = Instant::now();
    let (decisions, mut summary) = replay();
    summary.real_time = started.elapsed();
    (decisions, summary)
}

fn write_decisions(decisions: &[Decision], output: impl Write) -> io::Result<()> {
    let mut output = BufWriter::with_capacity(1 << 16, output);
    for decision in decisions {
        decision.write_line(&mut output)?;
    }
    output.flush()
}

/// Says something to the user. Nobody is left to tell if that fails, and the exit status says it as well.
fn say(messages: &mut impl Write, text: fmt::Arguments<'_>) {
    let _ = messages.write_fmt(text);
}
