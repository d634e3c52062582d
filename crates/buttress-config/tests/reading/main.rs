//! From a file to a value: every format, every override, and every way to be wrong.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod bad_input;
mod contradictions;
mod environment;
mod fields;
mod formats;

/// The example of `docs/configuration.md`, with every table.
const WHOLE: &str = r#"
stack = ["retry", "priority_queue", "circuit_breaker", "token_budget", "rate_limit"]
seed = 1
start = "2026-03-01T00:00:00Z"

[rate_limit]
quotas = ["1/second burst 5", "1200/day rolling"]
global = ["1400/day"]
keys = 65536
shadow = false
[rate_limit.overrides]
"vip" = ["100/second"]

[token_budget]
limits = ["150000/minute", "2000000/day"]

[retry]
attempts = 4
base = "500ms"
max = "8s"
multiplier = 2.0
jitter = "full"
methods = ["*"]
attempt_timeout = "30s"
deadline = "60s"
max_retry_after = "60s"
budget = { ratio = 0.2, per_second = 10, reserve = 100 }

[circuit_breaker]
consecutive_failures = 5
failure_rate = 0.5
slow_call_rate = 0.5
slow_call = "4s"
window = "20s"
minimum_calls = 5
open_for = "60s"
open_growth = 1.0
open_max = "10m"
probes = 3
close_after = 3
by = "key"

[priority_queue]
concurrency = 12
capacity = 100
max_wait = "60s"
fair = true
ageing = "30s"
rate_aware = true
"#;
