//! Orders of layers that cannot be built.

use buttress_config::{LayerName, StackConfig};

fn build(order: &str, queue: &str) -> Result<(), (LayerName, String)> {
    let text = format!(
        "stack = [{order}]\n[priority_queue]\nconcurrency = 1\n{queue}\n[retry]\n[rate_limit]\nquotas = ['9/s']"
    );
    let config = StackConfig::from_toml(&text).expect("a good file");
    let built = config.build().map(drop);
    built.map_err(|error| (error.table(), error.to_string()))
}

#[test]
fn no_attempt_passes_what_a_queue_asks_without_being_asked() {
    let between = "'priority_queue', 'retry', 'rate_limit'";
    let (table, said) = build(between, "rate_aware = true").expect_err("it would");
    assert_eq!(table, LayerName::PriorityQueue);
    for part in [
        "[priority_queue]: field `rate_aware`: found `true`",
        "`retry` between `priority_queue` and `rate_limit` in `stack`",
        "expected `retry` outside of `priority_queue`",
        "`rate_aware = false`",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(build(between, "rate_aware = false"), Ok(()));
    for order in [
        "'retry', 'priority_queue', 'rate_limit'",
        "'priority_queue', 'rate_limit', 'retry'",
        "'rate_limit', 'priority_queue', 'retry'",
    ] {
        assert_eq!(build(order, "rate_aware = true"), Ok(()), "{order}");
    }
}
