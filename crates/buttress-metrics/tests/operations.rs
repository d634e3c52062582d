//! The dashboard and the rules name metrics that there are, with labels that they have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use buttress_metrics::names::{Kind, all};

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations");
    fs::read_to_string(path.join(name)).expect("a file of the repository")
}

/// Every series that an exporter with recommended naming makes of a metric, and its labels.
fn series() -> BTreeMap<String, Vec<String>> {
    let mut series = BTreeMap::new();
    for name in all() {
        let plain = name.name.replace('.', "_");
        let labels: Vec<_> = name
            .labels
            .iter()
            .map(|label| label.replace('.', "_"))
            .collect();
        let unit = match name.unit.as_str() {
            "count" => String::new(),
            unit if plain.ends_with(&format!("_{unit}")) => String::new(),
            unit => format!("_{unit}"),
        };
        let endings: &[&str] = match name.kind {
            Kind::Counter => &["_total"],
            Kind::Gauge => &[""],
            Kind::Histogram => &["_bucket", "_count", "_sum"],
        };
        for ending in endings {
            series.insert(format!("{plain}{unit}{ending}"), labels.clone());
        }
    }
    series
}

/// Words that begin like a name of ours.
fn named(text: &str) -> BTreeSet<&str> {
    let words =
        text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_' || char == ':'));
    let starts = [
        "buttress_",
        "http_client_",
        "http_server_",
        "rpc_client_",
        "rpc_server_",
    ];
    words
        .filter(|word| starts.iter().any(|start| word.starts_with(start)))
        .collect()
}

fn assert_known(text: &str, whose: &str) {
    let series = series();
    // Labels, and names of rules.
    let other = ["buttress_recorded", "buttress_alerts"];
    let found = named(text);
    assert!(found.len() > 10, "{whose}: {found:?}");
    for name in found {
        let known = series.contains_key(name) || other.contains(&name);
        assert!(
            known,
            "{whose} names `{name}`, which no metric becomes: {:#?}",
            series.keys()
        );
    }
}

#[test]
fn rules_name_metrics_that_there_are() {
    assert_known(&file("alerts.yml"), "alerts.yml");
    assert_known(&file("alerts.test.yml"), "alerts.test.yml");
}

/// Every query of every panel.
fn queries(dashboard: &serde_json::Value) -> Vec<&str> {
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets
        .map(|target| target["expr"].as_str().expect("a query"))
        .collect()
}

#[test]
fn the_dashboard_names_metrics_that_there_are() {
    let dashboard: serde_json::Value = serde_json::from_str(&file("dashboard.json")).unwrap();
    let queries = queries(&dashboard);
    assert!(queries.len() > 12, "{queries:?}");
    assert_known(&queries.join("\n"), "dashboard.json");
    // What it asks of recorded rules is recorded.
    let rules = file("alerts.yml");
    for query in &queries {
        for word in query.split(|char: char| !(char.is_ascii_alphanumeric() || "_:".contains(char)))
        {
            let is_recorded = rules.contains(&format!("- record: {word}\n"));
            assert!(!word.starts_with("buttress:") || is_recorded, "{word}");
        }
    }
}

#[test]
fn panels_have_titles_and_do_not_lie_on_each_other() {
    let dashboard: serde_json::Value = serde_json::from_str(&file("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(
            panel["title"]
                .as_str()
                .is_some_and(|title| !title.is_empty()),
            "{panel}"
        );
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let at = |field: &str| panel["gridPos"][field].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            assert!(x < 24, "{panel}");
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{panel}");
            }
        }
    }
}
