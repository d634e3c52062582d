//! The `[priority_queue]` table.

#![cfg(all(feature = "serde", not(buttress_loom)))]

use std::time::Duration;

use buttress_priority_queue::PriorityQueueConfig;

fn read(text: &str) -> Result<PriorityQueueConfig, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
}

#[test]
fn a_whole_table_is_read_and_the_rest_has_defaults() {
    let config = read(
        "concurrency = 12\ncapacity = 100\nmax_wait = \"60s\"\nfair = true\nageing = \"30s\"\nrate_aware = true\n",
    )
    .unwrap();
    let settings = config.settings();
    assert_eq!((config.concurrency, settings.capacity), (12, 100));
    assert_eq!(settings.max_wait, Some(Duration::from_secs(60)));
    assert_eq!(settings.ageing, Some(Duration::from_secs(30)));
    assert!(settings.fair && config.rate_aware && config.enabled);
    let config = read("concurrency = 1\nenabled = false").unwrap();
    assert_eq!(config.capacity, 100);
    assert!(!config.fair && !config.rate_aware && !config.enabled);
    assert_eq!((config.max_wait, config.ageing), (None, None));
    assert_eq!(config.layer().queue().status().limit, 1);
}

#[test]
fn what_is_wrong_is_named_with_what_was_found() {
    for (text, words) in [
        ("", ["concurrency", "missing"]),
        ("concurrency = 0", ["`concurrency` is 0", "1 to"]),
        (
            "concurrency = 4294967296",
            ["`concurrency` is 4294967296", "1 to"],
        ),
        (
            "concurrency = 1\ncapacity = 1048577",
            ["`capacity` is 1048577", "1048576"],
        ),
        ("concurrency = 1\nmax_wait = \"0s\"", ["above zero", ""]),
        ("concurrency = 1\nageing = 3", ["a duration in quotes", ""]),
        ("concurrency = 1\nsize = 3", ["size", "expected one of"]),
    ] {
        let error = read(text).unwrap_err();
        assert!(
            words.iter().all(|word| error.contains(word)),
            "{text}: {error}"
        );
    }
}
