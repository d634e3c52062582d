//! Following a file that is edited.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::Config;
use crate::limiters::Limiters;

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// A file whose content is put in force whenever it has changed.
///
/// The content is compared and not the file's time, so that it does not matter whether the file is written
/// in place, replaced by a rename, or removed and written again. A content counts when two looks in a row
/// find it, so that a file that is just being written does not. A file that is wrong or gone changes
/// nothing, and is complained about once.
#[derive(Debug)]
pub struct Reload {
    path: PathBuf,
    base: Config,
    /// What the last look found.
    found: Content,
    /// What was put in force or complained about last.
    handled: Content,
}

type Content = Result<Vec<u8>, io::ErrorKind>;

impl Reload {
    /// Reads the file for the first time. What it does not say is as in `base`.
    ///
    /// # Errors
    ///
    /// What is wrong with it, with line and field.
    pub fn start(path: &Path, base: Config) -> Result<(Self, Config), String> {
        let content = std::fs::read(path).map_err(|error| at(path, error))?;
        let config = parse(path, &base, &content)?;
        let reload = Self {
            path: path.to_owned(),
            base,
            found: Ok(content.clone()),
            handled: Ok(content),
        };
        Ok((reload, config))
    }

    /// Looks at the file once; tells what has been put in force, or why nothing was.
    ///
    /// # Errors
    ///
    /// What is wrong with a file that has changed.
    pub fn look(&mut self, limiters: &Limiters) -> Result<Option<Config>, String> {
        let content = std::fs::read(&self.path).map_err(|error| error.kind());
        let settled = content == self.found;
        self.found = content;
        if !settled || self.found == self.handled {
            return Ok(None);
        }
        self.handled = self.found.clone();
        let content = match &self.found {
            Ok(content) => content,
            Err(kind) => return Err(at(&self.path, kind)),
        };
        let config = parse(&self.path, &self.base, content)?;
        limiters
            .apply(&config)
            .map_err(|error| at(&self.path, error))?;
        Ok(Some(config))
    }

    /// Follows the file for ever.
    pub async fn follow(mut self, limiters: Limiters) {
        let mut interval = tokio::time::interval(INTERVAL);
        loop {
            interval.tick().await;
            match self.look(&limiters) {
                Ok(None) => {}
                Ok(Some(_)) => tracing::info!(file = %self.path.display(), "limits changed"),
                Err(error) => tracing::warn!("{error}; the limits stay as they were"),
            }
        }
    }
}

fn parse(path: &Path, base: &Config, content: &[u8]) -> Result<Config, String> {
    let text = std::str::from_utf8(content).map_err(|error| {
        let before = content.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        at(path, format_args!("line {line}: the text is not UTF-8"))
    })?;
    base.read(text).map_err(|error| at(path, error))
}

fn at(path: &Path, what: impl std::fmt::Display) -> String {
    format!("{}: {what}", path.display())
}
