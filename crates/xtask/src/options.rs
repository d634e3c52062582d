//! The command line.

/// What `cargo xtask help` prints.
pub(crate) const HELP: &str = "\
Usage: cargo xtask <command>

Commands:
  check            every check that needs no server: format, lints, each crate and feature alone,
                   documentation, tests, loom models, examples, benches, house rules, packages
  check --system   the same, then the tests that need real servers or browsers
  help             this text
";

/// What the user asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Print the help.
    Help,
    /// Run the checks, with the system tests or without them.
    Check { system: bool },
}

/// Reads the arguments that follow the program's name.
///
/// # Errors
///
/// A sentence that names the argument which is missing or not known.
pub(crate) fn parse(arguments: &[String]) -> Result<Task, String> {
    let mut words = arguments.iter().map(String::as_str);
    let command = words
        .next()
        .ok_or("no command given: use `check` or `help`")?;
    let task = match command {
        "help" | "--help" | "-h" => Task::Help,
        "check" => {
            let mut system = false;
            for option in words.by_ref() {
                match option {
                    "--system" => system = true,
                    "--help" | "-h" => return Ok(Task::Help),
                    other => {
                        return Err(format!(
                            "`check` has no option `{other}`: the only one is `--system`"
                        ));
                    }
                }
            }
            Task::Check { system }
        }
        other => return Err(format!("no command `{other}`: use `check` or `help`")),
    };
    match words.next() {
        Some(extra) => Err(format!("`{command}` takes no argument, found `{extra}`")),
        None => Ok(task),
    }
}

#[cfg(test)]
mod tests {
    use super::{Task, parse};

    fn parsed(line: &str) -> Result<Task, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn commands_are_read() {
        assert_eq!(parsed("check"), Ok(Task::Check { system: false }));
        assert_eq!(parsed("check --system"), Ok(Task::Check { system: true }));
        assert_eq!(parsed("help"), Ok(Task::Help));
        assert_eq!(parsed("check --help"), Ok(Task::Help));
    }

    #[test]
    fn mistakes_name_the_argument() {
        assert!(parsed("").unwrap_err().contains("no command given"));
        assert!(parsed("chekc").unwrap_err().contains("`chekc`"));
        assert!(parsed("check --all").unwrap_err().contains("`--all`"));
        assert!(parsed("help check").unwrap_err().contains("`check`"));
    }
}
