//! Which steps are taken, in which order, for a given workspace.

use crate::command::Command;
use crate::metadata::Workspace;

/// One step of the check.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) title: &'static str,
    pub(crate) work: Work,
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum Work {
    /// Runs these commands, in order.
    Commands(Vec<Command>),
    /// Applies the rules of `house`.
    HouseRules,
    /// Installs the Debian packages that are missing.
    SystemPackages,
}

/// Every step, the system tests last and only when asked for.
pub(crate) fn steps(workspace: &Workspace, system: bool) -> Vec<Step> {
    let commands = |title, commands| Step {
        title,
        work: Work::Commands(commands),
    };
    let mut steps = vec![
        commands("format", vec![Command::cargo("fmt --all --check")]),
        commands("lints", lints(workspace)),
        commands("each published crate alone", each_crate(workspace)),
        commands("each feature alone", each_feature(workspace)),
        commands("documentation", documentation()),
        commands("tests", tests()),
        commands("loom models", loom_models(workspace)),
        commands("examples", examples(workspace)),
        commands("benches", benches(workspace)),
        Step {
            title: "house rules",
            work: Work::HouseRules,
        },
        commands("packages", packages(workspace)),
    ];
    if system {
        steps.push(Step {
            title: "system packages",
            work: Work::SystemPackages,
        });
        steps.push(commands("system tests", system_tests(workspace)));
    }
    steps
}

fn lints(workspace: &Workspace) -> Vec<Command> {
    let everything = "clippy --workspace --all-targets --all-features -- -D warnings";
    let mut commands = vec![Command::cargo(everything)];
    // `--all-targets` leaves out what has `test = false`.
    commands.extend(workspace.with_test("system").map(|package| {
        Command::cargo(&format!(
            "clippy -p {} --all-features --test system -- -D warnings",
            package.name
        ))
    }));
    commands
}

fn each_crate(workspace: &Workspace) -> Vec<Command> {
    let published = workspace.published();
    published
        .flat_map(|package| {
            let default = format!("check -p {}", package.name);
            let bare = format!("{default} --no-default-features");
            [Command::cargo(&default), Command::cargo(&bare)]
        })
        .collect()
}

fn each_feature(workspace: &Workspace) -> Vec<Command> {
    let published = workspace.published();
    published
        .flat_map(|package| {
            package.features.iter().map(|feature| {
                Command::cargo(&format!(
                    "check -p {} --no-default-features --features {feature}",
                    package.name
                ))
            })
        })
        .collect()
}

fn documentation() -> Vec<Command> {
    let command = Command::cargo("doc --workspace --no-deps --all-features");
    vec![command.variable("RUSTDOCFLAGS", "-D warnings")]
}

fn tests() -> Vec<Command> {
    // `--all-targets` would run the benches.
    let targets = "test --workspace --all-features --lib --bins --tests --examples";
    vec![
        Command::cargo(targets),
        Command::cargo("test --workspace --all-features --doc"),
    ]
}

fn loom_models(workspace: &Workspace) -> Vec<Command> {
    // A directory of its own: the flags differ, and would rebuild everything twice over.
    let directory = workspace.target_directory.join("loom");
    let directory = directory
        .strip_prefix(&workspace.root)
        .unwrap_or(&directory);
    workspace
        .with_test("loom")
        .map(|package| {
            Command::cargo(&format!("test -p {} --release --test loom", package.name))
                .argument("--target-dir")
                .argument(directory.to_string_lossy())
                .variable("RUSTFLAGS", "--cfg buttress_loom")
                .variable("LOOM_MAX_PREEMPTIONS", "3")
                // Models want speed and every assertion, not the smallest code.
                .variable("CARGO_PROFILE_RELEASE_LTO", "off")
                .variable("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
        })
        .collect()
}

fn examples(workspace: &Workspace) -> Vec<Command> {
    let names: Vec<_> = workspace
        .under("examples")
        .map(|package| package.name.as_str())
        .collect();
    let command = || Command::cargo(&format!("build -p {}", names.join(" -p ")));
    (!names.is_empty()).then(command).into_iter().collect()
}

fn benches(workspace: &Workspace) -> Vec<Command> {
    let packages = workspace.under("benches");
    packages
        .map(|package| Command::cargo(&format!("check -p {} --benches", package.name)))
        .collect()
}

fn packages(workspace: &Workspace) -> Vec<Command> {
    let names: Vec<_> = workspace
        .published()
        .map(|package| package.name.as_str())
        .collect();
    let command = || {
        // All at once, so that each finds the others although no registry has them yet. Verifying
        // would build what was built above; offline, because nothing new is needed by now.
        Command::cargo(&format!(
            "package -p {} --no-verify --allow-dirty --offline",
            names.join(" -p ")
        ))
    };
    (!names.is_empty()).then(command).into_iter().collect()
}

fn system_tests(workspace: &Workspace) -> Vec<Command> {
    let packages = workspace.with_test("system");
    packages
        .map(|package| {
            Command::cargo(&format!(
                "test -p {} --all-features --test system",
                package.name
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Step, Work, steps};
    use crate::metadata::tests::sample;

    fn lines(steps: &[Step], title: &str) -> Vec<String> {
        let step = steps.iter().find(|step| step.title == title).unwrap();
        match &step.work {
            Work::Commands(commands) => commands.iter().map(ToString::to_string).collect(),
            Work::HouseRules | Work::SystemPackages => Vec::new(),
        }
    }

    #[test]
    fn crates_and_features_are_checked_alone() {
        let steps = steps(&sample(), false);
        assert_eq!(
            lines(&steps, "each published crate alone"),
            [
                "cargo check -p buttress-core",
                "cargo check -p buttress-core --no-default-features",
                "cargo check -p buttress-retry",
                "cargo check -p buttress-retry --no-default-features",
            ]
        );
        assert_eq!(
            lines(&steps, "each feature alone"),
            [
                "cargo check -p buttress-retry --no-default-features --features http",
                "cargo check -p buttress-retry --no-default-features --features serde",
            ]
        );
    }

    #[test]
    fn models_run_under_their_own_cfg_and_directory() {
        let lines = lines(&steps(&sample(), false), "loom models");
        assert_eq!(lines.len(), 1);
        assert!(
            lines[0].contains("RUSTFLAGS='--cfg buttress_loom'"),
            "{lines:?}"
        );
        assert!(lines[0].contains("LOOM_MAX_PREEMPTIONS=3"), "{lines:?}");
        assert!(
            lines[0].ends_with(
                "cargo test -p buttress-core --release --test loom --target-dir target/loom"
            ),
            "{lines:?}"
        );
    }

    #[test]
    fn only_published_crates_are_packaged() {
        assert_eq!(
            lines(&steps(&sample(), false), "packages"),
            [
                "cargo package -p buttress-core -p buttress-retry --no-verify --allow-dirty --offline"
            ]
        );
    }

    #[test]
    fn examples_and_benches_are_built() {
        let steps = steps(&sample(), false);
        assert_eq!(lines(&steps, "examples"), ["cargo build -p per-ip"]);
        assert_eq!(
            lines(&steps, "benches"),
            ["cargo check -p benches --benches"]
        );
    }

    #[test]
    fn system_tests_come_last_and_only_when_asked_for() {
        let titles = |system| -> Vec<_> {
            steps(&sample(), system)
                .iter()
                .map(|step| step.title)
                .collect()
        };
        assert!(!titles(false).contains(&"system tests"));
        assert_eq!(titles(true).last(), Some(&"system tests"));
        assert_eq!(
            lines(&steps(&sample(), true), "system tests"),
            ["cargo test -p replay --all-features --test system"]
        );
        assert!(
            lines(&steps(&sample(), false), "lints")[1]
                .contains("clippy -p replay --all-features --test system")
        );
    }
}
