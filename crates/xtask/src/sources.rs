//! The files that git knows or would add.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::command::Command;

/// A file of the project.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its path from the root, with `/` between the parts.
    pub(crate) path: String,
    /// Its text, for Rust files; the rules look into no others.
    pub(crate) text: Option<String>,
}

/// Reads the list of files, and the Rust files among them.
///
/// # Errors
///
/// Git failed, or a file cannot be read.
pub(crate) fn load(root: &Path) -> Result<Vec<Source>, String> {
    // In a container the folder often belongs to another user, which git refuses by default.
    let list = Command::new("git", "-c safe.directory=*")
        .arguments("ls-files -z --cached --others --exclude-standard")
        .output(root)?;
    let mut paths: Vec<&str> = list.split('\0').filter(|path| !path.is_empty()).collect();
    // A file in the middle of a merge is listed once for each side.
    paths.sort_unstable();
    paths.dedup();
    let mut sources = Vec::with_capacity(paths.len());
    for path in paths {
        let file = root.join(path);
        let text = match path.ends_with(".rs").then(|| fs::read_to_string(&file)) {
            None if !file.exists() => continue,
            // Deleted, and git was not told yet.
            Some(Err(error)) if error.kind() == ErrorKind::NotFound => continue,
            Some(Err(error)) => return Err(format!("{path} cannot be read: {error}")),
            Some(Ok(text)) => Some(text),
            None => None,
        };
        sources.push(Source {
            path: path.to_owned(),
            text,
        });
    }
    Ok(sources)
}
