//! Warnings name both fields.

use buttress_config::StackConfig;

#[test]
fn each_names_both_fields() {
    let limit = "[rate_limit]\nquotas = ['1/s']\n";
    let queue = "[priority_queue]\nconcurrency = 1\n";
    let cases = [
        ("[retry]\ndeadline = '1s'\nattempt_timeout = '2s'".to_owned(), ["retry.deadline", "retry.attempt_timeout"]),
        ("[retry]\ndeadline = '1s'\nbase = '1s'\njitter = 'none'".to_owned(), ["retry.deadline", "retry.base"]),
        (format!("{limit}wait = '1s'\nshadow = true"), ["rate_limit.wait", "rate_limit.shadow"]),
        (format!("{limit}wait = '2m'\n{queue}max_wait = '1m'"), ["rate_limit.wait", "priority_queue.max_wait"]),
        (format!("[token_budget]\nlimits = ['1k/s']\nwait = '2m'\n{queue}max_wait = '1m'"), ["token_budget.wait", "priority_queue.max_wait"]),
        (format!("{queue}max_wait = '1m'\nageing = '1m'"), ["priority_queue.ageing", "priority_queue.max_wait"]),
        (format!("{queue}max_wait = '1m'\ncapacity = 0"), ["priority_queue.capacity", "priority_queue.max_wait"]),
        (format!("{limit}{queue}rate_aware = true\ncapacity = 0"), ["priority_queue.capacity", "priority_queue.rate_aware"]),
        (format!("{queue}rate_aware = true"), ["priority_queue.rate_aware", "stack"]),
        (format!("stack = ['circuit_breaker', 'priority_queue']\n{queue}[circuit_breaker]\nconsecutive_failures = 1"), ["circuit_breaker", "priority_queue"]),
        (format!("{queue}max_wait = '1m'\n[retry]\ndeadline = '30s'"), ["retry.deadline", "priority_queue.max_wait"]),
        ("[retry]\nattempt_timeout = '4s'\n[circuit_breaker]\nslow_call_rate = 0.5\nslow_call = '4s'".to_owned(), ["circuit_breaker.slow_call", "retry.attempt_timeout"]),
    ];
    for (text, fields) in cases {
        let config =
            StackConfig::from_toml(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let found: Vec<_> = config
            .warnings()
            .iter()
            .map(|warning| warning.fields)
            .collect();
        assert_eq!(found, [fields], "{text}");
        let warning = &config.warnings()[0];
        let said = warning.to_string();
        assert!(
            said.contains(fields[0]) && said.contains(fields[1]),
            "{said}"
        );
        let line = text.lines().nth(warning.line - 1).unwrap_or_default();
        let key = fields[0].rsplit('.').next().unwrap_or_default();
        assert!(line.contains(key), "{said}: {line}");
    }
}

#[test]
fn a_disabled_table_contradicts_no_other() {
    let text = "[rate_limit]\nenabled = false\nquotas = ['1/s']\nwait = '2m'\n[priority_queue]\nconcurrency = 1\nmax_wait = '1m'";
    assert!(StackConfig::from_toml(text).unwrap().warnings().is_empty());
}
