//! `cargo xtask check`: takes the steps of the plan in order and stops at the first that fails.

use std::time::Instant;

use crate::metadata::Workspace;
use crate::plan::{Step, Work};
use crate::report::{Line, Outcome, Report};
use crate::{house, plan, sources, system, tools};

/// Runs the check, with the system tests or without them.
///
/// # Errors
///
/// What failed first.
pub(crate) fn run(with_system: bool) -> Result<(), String> {
    let workspace = Workspace::load()?;
    tools::prepare(&workspace.root)?;
    let steps = plan::steps(&workspace, with_system);
    let mut report = Report::default();
    let mut failure = None;
    for (index, step) in steps.iter().enumerate() {
        if failure.is_some() {
            report.push(Line::not_run(step.title));
            continue;
        }
        println!("\n=== {}/{} {} ===", index + 1, steps.len(), step.title);
        let began = now();
        let result = take(step, &workspace);
        let elapsed = began.elapsed();
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(error) => {
                failure = Some(format!("step `{}`: {error}", step.title));
                Outcome::Failed
            }
        };
        let line = Line::run(step.title, outcome, elapsed);
        println!("=== {line}");
        report.push(line);
    }
    print!("\n{report}");
    failure.map_or(Ok(()), Err)
}

fn take(step: &Step, workspace: &Workspace) -> Result<Outcome, String> {
    let did_something = match &step.work {
        Work::Commands(commands) => {
            for command in commands {
                command.run(&workspace.root)?;
            }
            !commands.is_empty()
        }
        Work::HouseRules => {
            house_rules(workspace)?;
            true
        }
        Work::SystemPackages => system::install(workspace)?,
    };
    if did_something {
        Ok(Outcome::Passed)
    } else {
        println!("the workspace has nothing of this kind");
        Ok(Outcome::NothingToDo)
    }
}

fn house_rules(workspace: &Workspace) -> Result<(), String> {
    let sources = sources::load(&workspace.root)?;
    let violations = house::violations(&sources, workspace);
    for violation in &violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => {
            println!("{} files keep the rules", sources.len());
            Ok(())
        }
        1 => Err("1 rule is broken, see above".to_owned()),
        count => Err(format!("{count} rules are broken, see above")),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a step really took, which no paused clock should change"
)]
fn now() -> Instant {
    Instant::now()
}
