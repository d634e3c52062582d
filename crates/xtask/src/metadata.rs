//! What `cargo metadata` says about the workspace, as far as the checks need it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command::Command;

/// The workspace and its member packages, in the order of their names.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target_directory: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// One member of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// The folder of its manifest.
    pub(crate) directory: PathBuf,
    /// False for `publish = false`.
    pub(crate) published: bool,
    /// Every feature, without `default`.
    pub(crate) features: Vec<String>,
    /// The names of what it depends on, development dependencies left out.
    pub(crate) dependencies: Vec<String>,
    pub(crate) tests: Vec<TestTarget>,
    /// Debian packages that its system tests need.
    pub(crate) system_packages: Vec<String>,
}

/// An integration test file.
#[derive(Debug)]
pub(crate) struct TestTarget {
    pub(crate) name: String,
    /// False for `test = false`: runs only when it is named.
    pub(crate) runs_unasked: bool,
}

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    ///
    /// Cargo failed, or answered with something else than expected.
    pub(crate) fn load() -> Result<Self, String> {
        let command = Command::cargo("metadata --no-deps --format-version 1");
        Self::parse(&command.output(Path::new("."))?)
    }

    /// Reads the answer of `cargo metadata`.
    ///
    /// # Errors
    ///
    /// Names the field that is missing or of another type.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let metadata: Value = serde_json::from_str(text)
            .map_err(|error| format!("cargo metadata is no JSON: {error}"))?;
        let mut packages = array(&metadata, "packages")?
            .iter()
            .map(Package::parse)
            .collect::<Result<Vec<_>, _>>()?;
        packages.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(Self {
            root: string(&metadata, "workspace_root")?.into(),
            target_directory: string(&metadata, "target_directory")?.into(),
            packages,
        })
    }

    /// The packages that go to the registry.
    pub(crate) fn published(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.published)
    }

    /// The packages whose manifest is `folder` itself or anywhere under it.
    pub(crate) fn under(&self, folder: &str) -> impl Iterator<Item = &Package> {
        let folder = self.root.join(folder);
        let inside = move |package: &&Package| package.directory.starts_with(&folder);
        self.packages.iter().filter(inside)
    }

    /// The packages that have an integration test of this name.
    pub(crate) fn with_test<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Package> {
        let has_it = move |package: &&Package| package.test(name).is_some();
        self.packages.iter().filter(has_it)
    }
}

impl Package {
    /// Its integration test of this name.
    pub(crate) fn test(&self, name: &str) -> Option<&TestTarget> {
        self.tests.iter().find(|target| target.name == name)
    }

    fn parse(package: &Value) -> Result<Self, String> {
        let name = string(package, "name")?;
        Self::parse_fields(package).map_err(|error| format!("package `{name}`: {error}"))
    }

    fn parse_fields(package: &Value) -> Result<Self, String> {
        let manifest = Path::new(string(package, "manifest_path")?);
        let directory = manifest
            .parent()
            .ok_or("cargo metadata: `manifest_path` has no folder")?;
        let features = package["features"]
            .as_object()
            .ok_or("cargo metadata: `features` is no object")?;
        let mut dependencies = Vec::new();
        for dependency in array(package, "dependencies")? {
            if dependency["kind"] != "dev" {
                dependencies.push(string(dependency, "name")?.to_owned());
            }
        }
        let mut tests = Vec::new();
        for target in array(package, "targets")? {
            if array(target, "kind")?.iter().any(|kind| kind == "test") {
                tests.push(TestTarget {
                    name: string(target, "name")?.to_owned(),
                    runs_unasked: target["test"] != false,
                });
            }
        }
        Ok(Self {
            name: string(package, "name")?.to_owned(),
            directory: directory.to_owned(),
            published: package["publish"]
                .as_array()
                .is_none_or(|list| !list.is_empty()),
            features: features
                .keys()
                .filter(|name| *name != "default")
                .cloned()
                .collect(),
            dependencies,
            tests,
            system_packages: system_packages(package)?,
        })
    }
}

/// `[package.metadata.buttress] system-packages`.
fn system_packages(package: &Value) -> Result<Vec<String>, String> {
    let list = &package["metadata"]["buttress"]["system-packages"];
    if list.is_null() {
        return Ok(Vec::new());
    }
    let mistake = |found: &Value| {
        format!(
            "[package.metadata.buttress] system-packages must be a list of names of Debian \
             packages, found {found}"
        )
    };
    list.as_array()
        .ok_or_else(|| mistake(list))?
        .iter()
        .map(|entry| match entry.as_str() {
            Some(name) if is_debian_name(name) => Ok(name.to_owned()),
            _ => Err(mistake(entry)),
        })
        .collect()
}

/// Debian Policy 5.6.1: lower case letters, digits, plus, minus and full stop, the first a letter
/// or digit. So no name is ever read as an option.
fn is_debian_name(name: &str) -> bool {
    let letter_or_digit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() >= 2
        && name.bytes().next().is_some_and(letter_or_digit)
        && name
            .bytes()
            .all(|byte| letter_or_digit(byte) || b"+-.".contains(&byte))
}

fn string<'a>(value: &'a Value, field: &str) -> Result<&'a str, String> {
    value[field]
        .as_str()
        .ok_or_else(|| format!("cargo metadata: `{field}` is no string"))
}

fn array<'a>(value: &'a Value, field: &str) -> Result<&'a Vec<Value>, String> {
    value[field]
        .as_array()
        .ok_or_else(|| format!("cargo metadata: `{field}` is no list"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::Workspace;

    /// A workspace with every kind of package that the checks tell apart.
    pub(crate) fn sample() -> Workspace {
        Workspace::parse(include_str!("../tests/metadata.json")).unwrap()
    }

    #[test]
    fn packages_are_read_and_sorted() {
        let workspace = sample();
        let names: Vec<_> = workspace
            .packages
            .iter()
            .map(|package| &package.name)
            .collect();
        assert_eq!(
            names,
            [
                "benches",
                "buttress-core",
                "buttress-retry",
                "per-ip",
                "replay"
            ]
        );
        let published: Vec<_> = workspace.published().map(|package| &package.name).collect();
        assert_eq!(published, ["buttress-core", "buttress-retry"]);
        let retry = &workspace.packages[2];
        assert_eq!(retry.features, ["http", "serde"]);
        assert_eq!(retry.dependencies, ["buttress-core", "serde"]);
    }

    #[test]
    fn targets_and_folders_are_found() {
        let workspace = sample();
        let found: Vec<_> = workspace
            .under("examples")
            .map(|package| &package.name)
            .collect();
        assert_eq!(found, ["per-ip"]);
        let found: Vec<_> = workspace
            .under("benches")
            .map(|package| &package.name)
            .collect();
        assert_eq!(found, ["benches"]);
        let found: Vec<_> = workspace
            .with_test("loom")
            .map(|package| &package.name)
            .collect();
        assert_eq!(found, ["buttress-core"]);
        let replay = &workspace.packages[4];
        assert_eq!(replay.system_packages, ["redis-server"]);
        assert!(!replay.test("system").unwrap().runs_unasked);
    }

    #[test]
    fn a_mistake_names_package_and_field() {
        let text = include_str!("../tests/metadata.json");
        let wrong = text.replace("\"redis-server\"", "\"--force\"");
        let error = Workspace::parse(&wrong).unwrap_err();
        assert!(error.contains("package `replay`"), "{error}");
        assert!(error.contains("system-packages"), "{error}");
        assert!(error.contains("found \"--force\""), "{error}");
        let wrong = text.replace("\"workspace_root\"", "\"root\"");
        let error = Workspace::parse(&wrong).unwrap_err();
        assert!(error.contains("`workspace_root`"), "{error}");
        assert!(
            Workspace::parse("nonsense")
                .unwrap_err()
                .contains("no JSON")
        );
    }
}
