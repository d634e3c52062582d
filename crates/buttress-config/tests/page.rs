//! The page `docs/configuration.md` says what the code does, and its examples are read by it.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::PathBuf;

use buttress_config::{Environment, StackConfig, reference};

const BEGIN: &str =
    "<!-- what follows is made of the code: see crates/buttress-config/tests/page.rs -->\n\n";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md")
}

/// To make the page anew after a field has changed: `BUTTRESS_WRITE_DOCS=1 cargo test -p buttress-config
/// --test page`.
#[test]
fn its_reference_is_the_one_that_is_made_of_the_code() {
    let page = std::fs::read_to_string(path()).unwrap();
    let (written, held) = page.split_once(BEGIN).unwrap();
    let made = reference();
    if held != made && std::env::var_os("BUTTRESS_WRITE_DOCS").is_some() {
        std::fs::write(path(), format!("{written}{BEGIN}{made}")).unwrap();
        return;
    }
    assert!(
        held == made,
        "docs/configuration.md is out of date: say BUTTRESS_WRITE_DOCS=1 cargo test -p buttress-config --test page"
    );
}

/// Blocks of a page with a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let blocks = page.split(&fence).skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn its_examples_are_good() {
    let page = std::fs::read_to_string(path()).unwrap();
    let examples = blocks(&page, "toml");
    assert!(examples.len() >= 3);
    for text in examples {
        let config =
            StackConfig::from_toml(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
        assert!(
            config.warnings().is_empty(),
            "{text}\n{:?}",
            config.warnings()
        );
        config.build().unwrap();
    }
    let json = blocks(&page, "json");
    assert!(!json.is_empty());
    for text in json {
        serde_json::from_str::<StackConfig>(&text)
            .unwrap_or_else(|error| panic!("{text}\n{error}"));
    }
    let variables = blocks(&page, "sh");
    let variables = variables
        .iter()
        .flat_map(|block| block.lines())
        .filter_map(|line| {
            let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
            Some((name.to_owned(), value.trim_matches('\'').to_owned()))
        });
    let variables: Vec<_> = variables.collect();
    assert!(variables.len() >= 4);
    StackConfig::from_toml_and("", &Environment::of(variables)).unwrap();
}
