//! Environment variables, which are given, so that no test touches those of the process.

use buttress_config::{Environment, StackConfig};

use crate::WHOLE;

fn read(text: &str, variables: &[(&str, &str)]) -> Result<StackConfig, String> {
    let environment = Environment::of(variables.iter().copied());
    StackConfig::from_toml_and(text, &environment).map_err(|problems| problems.to_string())
}

#[test]
fn variables_stand_in_for_a_file_and_override_one() {
    let said = "stack = ['rate_limit', 'retry']\nseed = 9\nstart = 2026-03-01T00:00:00Z\n[retry]\nattempts = 7\nbase = '1s'\nmethods = ['GET', 'POST']\njitter = 'none'\nbudget = { ratio = 0.5 }\n[rate_limit]\nquotas = ['1/second burst 5', '10/day']\nwait = '5s'\nshadow = true\n[rate_limit.overrides]\nVip = ['7/s', '9/min']";
    let variables = [
        ("BUTTRESS_STACK", "rate_limit,retry"),
        ("BUTTRESS_SEED", "9"),
        ("BUTTRESS_START", "2026-03-01T00:00:00Z"),
        ("BUTTRESS_RETRY__ATTEMPTS", "7"),
        ("BUTTRESS_RETRY__BASE", "1s"),
        ("BUTTRESS_RETRY__METHODS", "[\"GET\", 'POST']"),
        ("BUTTRESS_RETRY__JITTER", "\"none\""),
        ("BUTTRESS_RETRY__BUDGET__RATIO", "0.5"),
        ("BUTTRESS_RATE_LIMIT__QUOTAS", "1/second burst 5, 10/day"),
        ("BUTTRESS_RATE_LIMIT__WAIT", "5s"),
        ("BUTTRESS_RATE_LIMIT__SHADOW", "true"),
        ("BUTTRESS_RATE_LIMIT__OVERRIDES__Vip", "7/s, 9/min"),
        ("PATH", "/bin"),
    ];
    let expected = StackConfig::from_toml(said).unwrap();
    assert_eq!(read("", &variables).unwrap(), expected);
    let file = "seed = 1\n[retry]\nattempts = 2\nbudget = 'none'\n[rate_limit]\nquotas = ['3/s']\n";
    assert_eq!(read(file, &variables).unwrap(), expected);
    let json = serde_json::json!({"seed": 1, "rate_limit": {"quotas": ["3/s"]}});
    let environment = Environment::of(variables);
    assert_eq!(
        StackConfig::from_format_and(json, &environment).unwrap(),
        expected
    );
}

#[test]
fn what_no_variable_names_stays_as_the_file_says() {
    let changed = WHOLE.replace("concurrency = 12", "concurrency = 3");
    let variables = [("BUTTRESS_PRIORITY_QUEUE__CONCURRENCY", "3")];
    assert_eq!(
        read(WHOLE, &variables).unwrap(),
        StackConfig::from_toml(changed).unwrap()
    );
    assert_eq!(
        read(WHOLE, &[]).unwrap(),
        StackConfig::from_toml(WHOLE).unwrap()
    );
}

#[test]
fn a_whole_table_is_a_variable_and_its_fields_are_others() {
    let variables = [
        ("BUTTRESS_PRIORITY_QUEUE__CONCURRENCY", "3"),
        (
            "BUTTRESS_PRIORITY_QUEUE",
            "{ concurrency = 1, max_wait = '1s' }",
        ),
    ];
    let expected = "[priority_queue]\nconcurrency = 3\nmax_wait = '1s'";
    assert_eq!(
        read("", &variables).unwrap(),
        StackConfig::from_toml(expected).unwrap()
    );
}

#[test]
fn errors_name_the_variable_its_value_and_the_fix() {
    let cases = [
        (
            ("BUTTRESS_SEED", "many"),
            "environment variable `BUTTRESS_SEED`: found `many`: expected a whole number",
        ),
        (
            ("BUTTRESS_RATE_LIMIT__QUOTAS", "5/fortnight"),
            "environment variable `BUTTRESS_RATE_LIMIT__QUOTAS`: found `5/fortnight`: ",
        ),
        (
            ("BUTTRESS_RATE_LIMIT__QUOTA", "5/min"),
            "environment variable `BUTTRESS_RATE_LIMIT__QUOTA`: found an unknown key: did you mean `quotas`?",
        ),
        (
            ("BUTTRESS_RATE_LIMITS__QUOTAS", "5/min"),
            "environment variable `BUTTRESS_RATE_LIMITS__QUOTAS`: found an unknown key: did you mean `rate_limit`?",
        ),
        (
            ("BUTTRESS_PRIORITY_QUEUE__CONCURRENCY", "0"),
            "environment variable `BUTTRESS_PRIORITY_QUEUE__CONCURRENCY`: found `0`",
        ),
        (
            ("BUTTRESS_RETRY__BUDGET__RATIO", "-1"),
            "environment variable `BUTTRESS_RETRY__BUDGET__RATIO`",
        ),
        (
            ("BUTTRESS_RETRY__MAX", ""),
            "environment variable `BUTTRESS_RETRY__MAX`: found ``: ",
        ),
        (
            ("BUTTRESS_RETRY", "yes"),
            "environment variable `BUTTRESS_RETRY`: found `yes`: expected a table",
        ),
        (
            ("BUTTRESS_PRIORITY_QUEUE__FAIR", "1"),
            "environment variable `BUTTRESS_PRIORITY_QUEUE__FAIR`: found `1`: expected true or false",
        ),
    ];
    for (variable, expected) in cases {
        let said = read("", &[variable]).unwrap_err();
        assert!(said.contains(expected), "{said}\n{expected}");
        assert!(!said.contains("line"), "{said}");
    }
}

#[test]
fn keys_of_overrides_and_their_values_are_never_told() {
    let limit = ("BUTTRESS_RATE_LIMIT__QUOTAS", "5/min");
    let secrets = [
        ("BUTTRESS_RATE_LIMIT__OVERRIDES__sk-12345", "5/fortnight"),
        (
            "BUTTRESS_RATE_LIMIT__OVERRIDES",
            "{ sk-12345 = ['5/fortnight', 7] }",
        ),
    ];
    for secret in secrets {
        let said = read("", &[limit, secret]).unwrap_err();
        assert!(said.contains("BUTTRESS_RATE_LIMIT__OVERRIDES"), "{said}");
        assert!(!said.contains("sk-12345"), "{said}");
    }
    let environment = Environment::of([secrets[0], limit]);
    assert!(!format!("{environment:?}").contains("sk-12345"));
}

#[test]
fn the_prefix_is_the_users_choice() {
    let variables = [("GATEWAY_SEED", "4"), ("BUTTRESS_SEED", "5")];
    let environment = Environment::with_prefix("GATEWAY_", variables);
    let config = StackConfig::from_toml_and("", &environment).unwrap();
    assert_eq!(config.seed, Some(4));
}
