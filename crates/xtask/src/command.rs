//! A command to run: shown before it runs, and shown again when it fails.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io::IsTerminal;
use std::path::Path;
use std::process;

/// A program, its arguments and the variables set for it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    program: String,
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
}

impl Command {
    /// A program with its arguments, split at white space.
    pub(crate) fn new(program: &str, arguments: &str) -> Self {
        let command = Self {
            program: program.to_owned(),
            arguments: Vec::new(),
            variables: Vec::new(),
        };
        command.arguments(arguments)
    }

    /// The cargo that runs us, with its arguments, split at white space.
    pub(crate) fn cargo(arguments: &str) -> Self {
        Self::new("cargo", arguments)
    }

    /// More arguments, split at white space.
    pub(crate) fn arguments(mut self, arguments: &str) -> Self {
        let words = arguments.split_whitespace().map(str::to_owned);
        self.arguments.extend(words);
        self
    }

    /// One more argument, which may contain white space.
    pub(crate) fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// A variable for this command.
    pub(crate) fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Runs it in `directory`, its output going where ours goes.
    ///
    /// # Errors
    ///
    /// It could not be started, or it failed; both name the whole command.
    pub(crate) fn run(&self, directory: &Path) -> Result<(), String> {
        println!("$ {self}");
        let status = self
            .prepared(directory)
            .status()
            .map_err(|error| format!("`{self}` cannot be started: {error}"))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("`{self}` failed ({status})"))
        }
    }

    /// Runs it in `directory` and returns what it wrote to its standard output.
    ///
    /// # Errors
    ///
    /// It could not be started, or it failed; what it wrote to its standard error is included.
    pub(crate) fn output(&self, directory: &Path) -> Result<String, String> {
        let output = self
            .prepared(directory)
            .output()
            .map_err(|error| format!("`{self}` cannot be started: {error}"))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            let complaint = String::from_utf8_lossy(&output.stderr);
            Err(format!(
                "`{self}` failed ({}): {}",
                output.status,
                complaint.trim()
            ))
        }
    }

    /// Whether it starts and succeeds; its output is dropped.
    pub(crate) fn succeeds(&self, directory: &Path) -> bool {
        self.output(directory).is_ok()
    }

    fn prepared(&self, directory: &Path) -> process::Command {
        let mut command = process::Command::new(self.executable());
        command.args(&self.arguments).current_dir(directory);
        if env::var_os("CARGO_TERM_COLOR").is_none() {
            // Cargo looks at its standard error alone, which stays a terminal under `| tee log`.
            let colour = if std::io::stdout().is_terminal() {
                "always"
            } else {
                "never"
            };
            command.env("CARGO_TERM_COLOR", colour);
        }
        if env::var_os("CI").is_some() {
            // Nothing is built a second time there, so incremental files only cost.
            command.env("CARGO_INCREMENTAL", "0");
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn executable(&self) -> OsString {
        // `CARGO` names the toolchain in use, where the first `cargo` on the path may not.
        let ours = (self.program == "cargo").then(|| env::var_os("CARGO"));
        ours.flatten().unwrap_or_else(|| (&self.program).into())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.variables {
            write!(formatter, "{name}={} ", quoted(value))?;
        }
        formatter.write_str(&self.program)?;
        for argument in &self.arguments {
            write!(formatter, " {}", quoted(argument))?;
        }
        Ok(())
    }
}

fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_alphanumeric() || "-_./=:,+@".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Command;

    #[test]
    fn a_command_reads_as_one_would_type_it() {
        let command = Command::cargo("doc --workspace")
            .variable("RUSTDOCFLAGS", "-D warnings")
            .argument("it's");
        assert_eq!(
            command.to_string(),
            r"RUSTDOCFLAGS='-D warnings' cargo doc --workspace 'it'\''s'"
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let command = Command::new("no-such-program-here", "--version");
        let error = command.run(Path::new(".")).unwrap_err();
        assert!(error.contains("`no-such-program-here --version` cannot be started"));
    }

    #[test]
    fn a_failure_carries_the_complaint() {
        let command = Command::cargo("no-such-subcommand");
        let error = command.output(Path::new(".")).unwrap_err();
        assert!(error.starts_with("`cargo no-such-subcommand` failed"));
        assert!(error.contains("no such command"), "{error}");
    }
}
