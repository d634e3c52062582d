//! The documentation's tables are the code's.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use buttress_metrics::names::{Kind, all, table};

fn documented(path: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = fs::read_to_string(&path).expect("the documentation is in the repository");
    let table = table();
    assert!(
        text.contains(&table),
        "{} does not have this table:\n{table}",
        path.display()
    );
}

#[test]
fn the_crates_documentation_has_the_table() {
    documented("src/names.md");
}

#[test]
fn the_operators_documentation_has_the_table() {
    documented("../../docs/operations/metrics.md");
}

#[test]
fn names_are_unique_for_prometheus_too() {
    let names: Vec<_> = all()
        .iter()
        .map(|name| name.name.replace('.', "_"))
        .collect();
    let unique: BTreeSet<_> = names.iter().collect();
    assert_eq!(unique.len(), names.len());
    // A histogram's own series end like this.
    let endings = ["_count", "_sum", "_bucket", "_total", "_info"];
    assert!(
        !names
            .iter()
            .any(|name| endings.iter().any(|end| name.ends_with(end)))
    );
    for name in all() {
        let seconds = name.unit.as_str() == "seconds";
        assert_eq!(name.kind == Kind::Histogram, seconds, "{}", name.name);
        assert_eq!(name.labels.first(), Some(&"layer"), "{}", name.name);
        assert!(name.help.ends_with('.'), "{}", name.name);
    }
}
