//! What the command line asks for.

/// What is to be run, and how thoroughly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// A few short rounds: shows that all cases run, and measures little.
    pub quick: bool,
    /// Parts of names; nothing means everything.
    pub filters: Vec<String>,
}

impl Options {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    ///
    /// A message that names the option that is not known.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        for argument in arguments {
            match argument.as_str() {
                // Cargo says so to every bench.
                "--bench" => {}
                "--quick" => options.quick = true,
                option if option.starts_with('-') => {
                    return Err(format!(
                        "the option {option} is not known: there is `--quick`, and parts of names"
                    ));
                }
                _ => options.filters.push(argument),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn names_and_options_are_told_apart() {
        let options = parse("layer --quick --bench http").unwrap();
        assert!(options.quick);
        assert_eq!(options.filters, ["layer", "http"]);
        assert!(parse("--slow").unwrap_err().contains("--slow"));
    }
}
