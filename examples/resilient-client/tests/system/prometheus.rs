//! What is scraped, with Prometheus' own tools and with Prometheus.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::http::{ask, encoded, get};
use crate::process::{Process, Program, directory, eventually, operations};

fn promtool(arguments: &[&str], input: &str) {
    let mut command = Command::new("promtool");
    command
        .args(arguments)
        .current_dir(operations(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .expect("Debian's package prometheus is installed");
    let mut pipe = child.stdin.take().expect("a pipe");
    pipe.write_all(input.as_bytes()).expect("it reads");
    drop(pipe);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

#[test]
fn rules_are_right_and_fire_at_their_thresholds() {
    promtool(&["check", "rules", "alerts.yml"], "");
    promtool(&["test", "rules", "alerts.test.yml"], "");
}

/// A client that has sent all its requests, and what it said of them.
fn done(name: &str, options: &[&str]) -> (Program, Vec<u64>) {
    let program = Program::start(name, options);
    let summary = program.process.says(" requests served with ");
    let numbers = summary.split(|c: char| !c.is_ascii_digit());
    let numbers = numbers.filter_map(|number| number.parse().ok()).collect();
    (program, numbers)
}

#[test]
fn a_scrape_is_as_prometheus_wants_it() {
    for options in [&["--requests", "30"][..], &["--requests", "30", "--grpc"]] {
        let (program, _) = done("scrape", options);
        let (code, text) = get(&program.address, "/metrics");
        assert_eq!(code, 200);
        assert!(text.contains("_duration_seconds_bucket{"), "{text}");
        promtool(&["check", "metrics"], &text);
    }
}

/// A Prometheus that scrapes a program every second, with the rules.
struct Prometheus {
    address: String,
    _process: Process,
}

impl Prometheus {
    fn start(target: &str) -> Self {
        let home = directory("prometheus");
        let config = home.join("prometheus.yml");
        let rules = operations("alerts.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: ['{}']\n\
             scrape_configs: [{{job_name: client, static_configs: [{{targets: ['{target}']}}]}}]\n",
            rules.display()
        );
        std::fs::write(&config, text).expect("a file");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a free port").to_string();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                home.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"));
        let process = Process::start(&mut command, true);
        eventually("Prometheus is ready", || {
            ask(&address, "GET", "/-/ready", "").filter(|(code, _)| *code == 200)
        });
        Self {
            address,
            _process: process,
        }
    }

    /// The series that a query gives: labels and values.
    fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let (code, text) = get(
            &self.address,
            &format!("/api/v1/query?query={}", encoded(query)),
        );
        assert_eq!(code, 200, "{query}: {text}");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        let series = answer["data"]["result"]
            .as_array()
            .expect("a vector")
            .iter();
        series
            .map(|series| {
                let value = series["value"][1].as_str().expect("a number");
                (series["metric"].clone(), value.parse().expect("a number"))
            })
            .collect()
    }

    /// The only value that a query gives, once it gives one.
    fn value(&self, query: &str) -> f64 {
        eventually(query, || match self.query(query)[..] {
            [(_, value)] => Some(value),
            _ => None,
        })
    }
}

/// One client that failed for a while, seen by Prometheus, by the status and by itself.
#[test]
#[expect(clippy::float_cmp, reason = "counts are whole")]
fn prometheus_the_status_and_the_client_agree() {
    let (program, said) = done("agree", &["--requests", "30"]);
    let [calls, retries, refused, opened] = said[..] else {
        panic!("{said:?}");
    };
    let status = program.status();
    let layers = &status["layers"];
    let client = &layers["client"]["requests"];
    assert_eq!(
        (&client["started"], &client["in_flight"]),
        (&30.into(), &0.into())
    );
    assert_eq!(layers["breaker"]["refused"], refused);
    assert_eq!(
        layers["breaker"]["events"]["refused"]["circuit_open"],
        refused
    );
    assert_eq!(layers["breaker"]["events"]["admitted"], calls);
    assert_eq!(layers["breaker"]["breaker"]["opened"], opened);
    assert_eq!(layers["retry"]["retries"]["allowed"], retries);
    assert_eq!(
        layers["pace"]["admitted"],
        calls + refused,
        "the breaker is below it"
    );
    assert_eq!(status["refusals"]["total"], refused);

    let prometheus = Prometheus::start(&program.address);
    let count = |number: u64| f64::from(u32::try_from(number).expect("a small one"));
    for (query, expected) in [
        ("sum(buttress_http_client_requests_total)", 30.0),
        ("sum(http_client_request_duration_seconds_count)", 30.0),
        ("sum(http_client_active_requests)", 0.0),
        ("buttress_admitted_total{layer=\"breaker\"}", count(calls)),
        (
            "buttress_rejected_total{reason=\"circuit_open\"}",
            count(refused),
        ),
        ("sum(buttress_retry_retries_total)", count(retries)),
        (
            "buttress_circuit_breaker_transitions_total{to=\"open\"}",
            count(opened),
        ),
        ("sum(buttress_circuit_breaker_state)", 1.0),
        ("buttress_circuit_breaker_state{state=\"closed\"}", 1.0),
    ] {
        assert_eq!(prometheus.value(query), expected, "{query}");
    }
    for (outcome, number) in client["ended"].as_object().expect("a map") {
        let query = format!("sum(buttress_http_client_requests_total{{outcome=\"{outcome}\"}})");
        assert_eq!(prometheus.value(&query), number.as_f64().expect("a number"));
    }
    rules_are_evaluated(&prometheus);
    the_dashboard_can_be_drawn(&prometheus);
}

fn rules_are_evaluated(prometheus: &Prometheus) {
    eventually("every rule is evaluated without an error", || {
        let (_, text) = get(&prometheus.address, "/api/v1/rules");
        let rules: Value = serde_json::from_str(&text).expect("JSON");
        let groups = rules["data"]["groups"].as_array().expect("groups").iter();
        let rules: Vec<_> = groups
            .flat_map(|group| group["rules"].as_array().expect("rules"))
            .collect();
        for rule in &rules {
            assert_ne!(rule["health"], "err", "{rule}");
        }
        let is_done = rules.len() > 15 && rules.iter().all(|rule| rule["health"] == "ok");
        is_done.then_some(())
    });
}

fn the_dashboard_can_be_drawn(prometheus: &Prometheus) {
    let text = std::fs::read_to_string(operations("dashboard.json")).expect("a file");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let mut drawn = 0;
    for target in panels
        .filter_map(|panel| panel["targets"].as_array())
        .flatten()
    {
        let query = target["expr"].as_str().expect("a query");
        prometheus.query(&query.replace("$layer", ".*"));
        drawn += 1;
    }
    assert!(drawn > 20, "{drawn}");
}
