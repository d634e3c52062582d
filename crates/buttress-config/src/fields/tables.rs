//! The tables.

use super::layers::{CIRCUIT_BREAKER, PRIORITY_QUEUE, RETRY};
use super::parts::{ENABLED, WAIT, at_restart, default, field};
use super::{Kind, Table};

/// All tables, the top level first.
pub const TABLES: &[Table] = &[
    Table {
        name: "",
        about: "The top level. A table that is present puts its layer into the stack.",
        fields: &[
            at_restart(field(
                "stack",
                Kind::Stack,
                "[\"retry\", \"rate_limit\"]",
                "The order of the layers, outermost first: every present table once, and no other. Without it: `retry`, `priority_queue`, `circuit_breaker`, `token_budget`, `rate_limit`.",
            )),
            at_restart(field(
                "seed",
                Kind::Whole {
                    least: 0,
                    most: u64::MAX,
                },
                "1",
                "Makes jitter and the hash of keys repeat themselves, for tests and replays. Without it both are random in a service, and of the seed 0 in `buttress-replay`.",
            )),
            at_restart(default(
                "\"1970-01-01T00:00:00Z\"",
                field(
                    "start",
                    Kind::Time,
                    "\"2026-03-01T00:00:00Z\"",
                    "What the time 0 of a trace is in civil time. Only `buttress-replay` looks at it.",
                ),
            )),
        ],
    },
    Table {
        name: "rate_limit",
        about: "How many requests there may be in which time. `quotas` or `global` must be given.",
        fields: &[
            ENABLED,
            field(
                "quotas",
                Kind::Quotas,
                "[\"1/second burst 5\", \"1200/day rolling\"]",
                "Kept per key. All quotas that concern a request are one decision.",
            ),
            field(
                "global",
                Kind::Quotas,
                "[\"100000/day\"]",
                "Kept for all keys together, in the same decision.",
            ),
            WAIT,
            at_restart(default(
                "65536",
                field(
                    "keys",
                    Kind::Whole {
                        least: 1,
                        most: 1 << 28,
                    },
                    "10000",
                    "How many live keys the table is rated for.",
                ),
            )),
            default(
                "false",
                field(
                    "shadow",
                    Kind::Flag,
                    "true",
                    "Count what would be refused, and refuse nothing.",
                ),
            ),
            field(
                "overrides",
                Kind::QuotasByKey,
                "{ vip = [\"100/second\"] }",
                "Other quotas instead of `quotas` for single keys.",
            ),
        ],
    },
    Table {
        name: "token_budget",
        about: "How many tokens may be used in which time. `limits` or `global` must be given.",
        fields: &[
            ENABLED,
            field(
                "limits",
                Kind::Quotas,
                "[\"150k/minute\", \"2M/day\"]",
                "Kept per key. All quotas that concern a request are one decision.",
            ),
            field(
                "global",
                Kind::Quotas,
                "[\"10M/day\"]",
                "Kept for all keys together, in the same decision.",
            ),
            WAIT,
        ],
    },
    Table {
        name: "retry",
        about: "Whether and when a failed request is sent again.",
        fields: RETRY,
    },
    Table {
        name: "circuit_breaker",
        about: "When to stop asking an upstream that keeps failing. A preset, `consecutive_failures`, `failure_rate` or `slow_call_rate` must be given; any that is given trips it.",
        fields: CIRCUIT_BREAKER,
    },
    Table {
        name: "priority_queue",
        about: "How many requests are in flight at once, and in which order the others wait. `concurrency` must be given.",
        fields: PRIORITY_QUEUE,
    },
];
