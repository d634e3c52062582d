//! Whatever is wrong, the error names the field, what was found, and what was expected.

use buttress_config::StackConfig;
use proptest::prelude::*;

use crate::WHOLE;

fn problems(text: &str) -> String {
    match StackConfig::from_toml(text) {
        Ok(config) => panic!("{text}: {config:?}"),
        Err(problems) => problems.to_string(),
    }
}

/// What is written, and what of the error.
const CASES: &[(&str, &str)] = &[
    (
        "[rate_limit]\nquotas = ['0/minute']",
        "line 2, field `rate_limit.quotas[0]`: found `'0/minute'`: ",
    ),
    (
        "[rate_limit]\nquotas = '5/minute'",
        "line 2, field `rate_limit.quotas`: found `'5/minute'`: expected a list",
    ),
    ("[rate_limit]", "line 1, field `rate_limit`"),
    (
        "[rate_limit]\nquotas = ['5/minute']\nwait = '0s'",
        "line 3, field `rate_limit.wait`: found `'0s'`: expected a duration above zero",
    ),
    (
        "[rate_limit]\nquotas = ['5/minute']\nkeys = 0",
        "line 3, field `rate_limit.keys`: found `0`: expected a number of keys",
    ),
    (
        "[rate_limit]\nquotas = ['5/minute']\n[rate_limit.overrides]\nvip = []",
        "expected at least one quota",
    ),
    (
        "[token_budget]\nlimits = [5]",
        "line 2, field `token_budget.limits[0]`: found `5`",
    ),
    (
        "[retry]\nattempts = 0",
        "line 2, field `retry.attempts`: found `0`",
    ),
    (
        "[retry]\njitter = 'ful'",
        "line 2, field `retry.jitter`: found `'ful'`",
    ),
    ("[retry]\nbudget = { rato = 1 }", "did you mean `ratio`?"),
    (
        "[retry]\nbudget = 'all'",
        "line 2, field `retry.budget`: found `'all'`: expected a budget such as",
    ),
    (
        "[retry]\nmethods = ['get']",
        "line 2, field `retry.methods`",
    ),
    (
        "[retry]\npreset = 'aws'",
        "line 2, field `retry.preset`: found `'aws'`",
    ),
    (
        "[circuit_breaker]",
        "field `circuit_breaker.consecutive_failures`",
    ),
    (
        "[circuit_breaker]\nfailure_rate = 1.5",
        "line 2, field `circuit_breaker.failure_rate`: found `1.5`",
    ),
    (
        "[circuit_breaker]\nslow_call_rate = 0.5",
        "line 1, field `circuit_breaker.slow_call`: found nothing",
    ),
    (
        "[circuit_breaker]\npreset = 'hystrix'",
        "line 2, field `circuit_breaker.preset`: found `'hystrix'`",
    ),
    (
        "[priority_queue]\nconcurrency = 0",
        "line 2, field `priority_queue.concurrency`: found `0`",
    ),
    (
        "[priority_queue]",
        "line 1, field `priority_queue.concurrency`: found nothing: expected a value",
    ),
    (
        "priority_queue = 5",
        "line 1, field `priority_queue`: found `5`: expected a table",
    ),
    ("[metrics]", "line 1, field `metrics`: found an unknown key"),
    ("[priorty_queue]", "did you mean `priority_queue`?"),
    ("stack = ['retry']", "line 1, field `stack[0]`"),
    ("stack = ['retry', 'retry']\n[retry]", "stands here again"),
    (
        "stack = []\n[retry]",
        "line 1, field `stack`: found `[]`: expected every present table once, and `retry` is missing",
    ),
    (
        "seed = 'x'",
        "line 1, field `seed`: found `'x'`: expected a whole number from 0",
    ),
    ("start = '2026-03-01'", "line 1, field `start`"),
    ("[retry", "line 1, "),
    (
        "[rate_limit]\nquotas = ['1/s']\nwait = '1s'\n[priority_queue]\nconcurrency = 1\nrate_aware = true",
        "line 3, field `rate_limit.wait`: found `'1s'`: expected no `wait`",
    ),
];

#[test]
fn each_names_line_field_value_and_fix() {
    for (text, expected) in CASES {
        let said = problems(text);
        assert!(said.contains(expected), "{text}\n{said}\n{expected}");
    }
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let text = "seed = -1\n[retry]\nbase = 5\nmax = 6\n[rate_limit]\nquotas = ['x']\n[metrics]";
    let said = problems(text);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 5, "{said}");
    for (line, starts) in lines
        .iter()
        .zip(["line 1", "line 3", "line 4", "line 6", "line 7"])
    {
        assert!(line.starts_with(starts), "{said}");
    }
}

#[test]
fn a_wait_is_fine_above_a_rate_aware_queue_and_below_a_disabled_one() {
    let above = "stack = ['rate_limit', 'priority_queue']\n[rate_limit]\nquotas = ['1/s']\nwait = '1s'\n[priority_queue]\nconcurrency = 1\nrate_aware = true";
    assert!(StackConfig::from_toml(above).is_ok());
    let disabled = "[rate_limit]\nquotas = ['1/s']\nwait = '1s'\n[priority_queue]\nenabled = false\nconcurrency = 1\nrate_aware = true";
    assert!(StackConfig::from_toml(disabled).is_ok());
}

#[test]
fn what_is_not_unicode_is_told_with_its_line() {
    let error = StackConfig::from_toml(b"seed = 1\n\xff".as_slice()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("line 2, column 1: found the byte 0xff"),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Half-written, overwritten and scrambled files: no panic, and never an error without a reason.
    #[test]
    fn anything_is_read_or_told_why_not(cut in 0..WHOLE.len(), put in "[ -~\n]{0,9}", at in 0..WHOLE.len()) {
        let mut bytes = WHOLE.as_bytes()[..cut].to_vec();
        let at = at.min(bytes.len());
        bytes.splice(at..at, put.bytes());
        if let Err(problems) = StackConfig::from_toml(&bytes) {
            prop_assert!(problems.iter().count() > 0);
            for problem in &problems {
                prop_assert!(!problem.reason.is_empty() && !problem.found.is_empty());
                prop_assert!(problem.line > 0);
            }
        }
    }

    /// A value of the wrong type in any field is told with the name of that field.
    #[test]
    fn a_value_of_another_type_is_told_with_its_field(which in 0_usize..40, value in "(\\[\\[1\\]\\]|\\{ x = 1 \\}|-5\\.5|\"no such thing\")") {
        let mut table = "";
        let mut text = String::new();
        let mut expected = None;
        let mut index = 0;
        for line in WHOLE.lines() {
            if line.starts_with('[') {
                table = line.trim_matches(['[', ']']);
            }
            match line.split_once(" = ") {
                Some((key, _)) => {
                    if index == which {
                        let dot = if table.is_empty() { "" } else { "." };
                        expected = Some(format!("{table}{dot}{}", key.trim_matches('"')));
                        text.push_str(&format!("{key} = {value}\n"));
                    } else {
                        text.push_str(line);
                        text.push('\n');
                    }
                    index += 1;
                }
                None => {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
        if let Some(expected) = expected {
            let said = problems(&text);
            prop_assert!(said.contains(&format!("`{expected}")), "{expected}: {said}");
        }
    }
}
