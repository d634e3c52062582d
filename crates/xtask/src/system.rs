//! The Debian packages that system tests need.

use std::collections::BTreeSet;
use std::path::Path;

use crate::command::Command;
use crate::metadata::Workspace;

/// Installs what the packages with system tests ask for and the machine has not; returns whether
/// anything was asked for. Other systems than Debian's get a note: there the tests find out.
///
/// # Errors
///
/// The installation failed.
pub(crate) fn install(workspace: &Workspace) -> Result<bool, String> {
    let wanted = wanted(workspace);
    let directory = &workspace.root;
    let missing: Vec<&str> = wanted
        .iter()
        .copied()
        .filter(|name| !is_installed(name, directory))
        .collect();
    if missing.is_empty() {
        return Ok(!wanted.is_empty());
    }
    let names = missing.join(" ");
    if !Command::new("apt-get", "--version").succeeds(directory) {
        println!("no apt-get here: the system tests expect to find what Debian calls {names}");
        return Ok(true);
    }
    as_root("apt-get update", directory).run(directory)?;
    as_root(&format!("apt-get install -y {names}"), directory).run(directory)?;
    Ok(true)
}

fn wanted(workspace: &Workspace) -> BTreeSet<&str> {
    workspace
        .with_test("system")
        .flat_map(|package| package.system_packages.iter().map(String::as_str))
        .collect()
}

fn is_installed(name: &str, directory: &Path) -> bool {
    let query = Command::new("dpkg-query", "--show --showformat=${db:Status-Status}");
    let status = query.argument(name).output(directory);
    status.is_ok_and(|status| status == "installed")
}

fn as_root(command: &str, directory: &Path) -> Command {
    let is_root = Command::new("id", "-u")
        .output(directory)
        .is_ok_and(|user| user.trim() == "0");
    let no_questions = "DEBIAN_FRONTEND=noninteractive";
    if is_root {
        Command::new("env", no_questions)
    } else {
        // sudo drops variables, so `env` sets this one on its far side.
        Command::new("sudo", "env").argument(no_questions)
    }
    .arguments(command)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{as_root, wanted};
    use crate::metadata::tests::sample;

    #[test]
    fn only_packages_with_system_tests_ask() {
        let mut workspace = sample();
        workspace.packages[0].system_packages = vec!["nginx".to_owned()];
        assert_eq!(
            wanted(&workspace).into_iter().collect::<Vec<_>>(),
            ["redis-server"]
        );
    }

    #[test]
    fn the_installer_asks_no_questions() {
        let line = as_root("apt-get update", Path::new(".")).to_string();
        assert!(
            line.ends_with("env DEBIAN_FRONTEND=noninteractive apt-get update"),
            "{line}"
        );
    }
}
