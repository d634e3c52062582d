use super::*;
use crate::metadata::tests::sample;

fn source(path: &str) -> Source {
    Source {
        path: path.to_owned(),
        text: None,
    }
}

#[test]
fn length_is_counted_in_lines() {
    assert_eq!(too_long("a.rs", &"x\n".repeat(400)), None);
    let violation = too_long("a.rs", &"x\n".repeat(401)).unwrap();
    assert!(violation.to_string().starts_with("a.rs: 401 lines"));
}

#[test]
fn unfinished_code_is_found_with_its_line() {
    let text = "fn a() {\n    todo!()\n}\n#[ignore = \"slow\"]\nunimplemented!(\"b\")\n";
    let places: Vec<_> = unfinished("crates/x/src/a.rs", text)
        .into_iter()
        .map(|violation| violation.place)
        .collect();
    assert_eq!(
        places,
        [
            "crates/x/src/a.rs:2",
            "crates/x/src/a.rs:4",
            "crates/x/src/a.rs:5"
        ]
    );
    assert!(unfinished("crates/xtask/src/house.rs", text).is_empty());
    assert!(unfinished("crates/x/src/a.rs", "let todo = list;").is_empty());
}

#[test]
fn sleeps_are_found_in_tests_alone() {
    let text = "tokio::time::sleep(second).await;\nstd::thread::sleep(second);\n";
    for path in [
        "tests/stacks.rs",
        "tests/src/lib.rs",
        "crates/x/tests/layer.rs",
    ] {
        assert_eq!(sleeps(path, text).len(), 2, "{path}");
    }
    for path in [
        "crates/x/src/tests/a.rs",
        "examples/a/src/main.rs",
        "crates/tests/a.rs",
    ] {
        assert!(sleeps(path, text).is_empty(), "{path}");
    }
    assert!(sleeps("tests/a.rs", "tokio::time::sleep_until(deadline).await;").is_empty());
}

#[test]
fn missing_files_are_named() {
    let sources: Vec<_> = REQUIRED[1..].iter().map(|path| source(path)).collect();
    let found = missing_files(&sources);
    assert_eq!(
        found,
        [Violation::new("CHANGELOG.md", "the file is missing")]
    );
}

#[test]
fn a_layer_on_a_layer_is_found_except_for_development() {
    let mut workspace = sample();
    let retry = &mut workspace.packages[2];
    assert!(layer_on_layer(retry).is_empty());
    retry.dependencies.push("buttress-timeout".to_owned());
    let found = layer_on_layer(retry);
    assert_eq!(found.len(), 1);
    assert!(found[0].to_string().contains("buttress-timeout"));
    retry.name = "buttress".to_owned();
    assert!(layer_on_layer(retry).is_empty());
}

#[test]
fn a_system_test_must_wait_to_be_asked() {
    let mut workspace = sample();
    let replay = &mut workspace.packages[4];
    assert_eq!(unasked_system_test(replay), None);
    replay.tests[0].runs_unasked = true;
    assert!(unasked_system_test(replay).is_some());
}

#[test]
fn every_rule_is_applied() {
    let mut sources: Vec<_> = REQUIRED.iter().map(|path| source(path)).collect();
    let mut workspace = sample();
    assert!(violations(&sources, &workspace).is_empty());
    sources.remove(0);
    sources.push(Source {
        path: "tests/a.rs".to_owned(),
        text: Some("todo!(); std::thread::sleep(x);\n".repeat(401)),
    });
    workspace.packages[2]
        .dependencies
        .push("buttress-metrics".to_owned());
    workspace.packages[4].tests[0].runs_unasked = true;
    assert_eq!(
        violations(&sources, &workspace).len(),
        1 + 401 + 401 + 1 + 1 + 1
    );
}
