//! The fields of the larger tables.

use super::parts::{COUNT, ENABLED, MOST_CALLS, RETRIES, SHARE, at_restart, default, field};
use super::{Field, Kind};

pub(super) const RETRY: &[Field] = &[
    ENABLED,
    field(
        "preset",
        Kind::Choice(&["aws_standard", "envoy", "finagle", "grpc_a6"]),
        "\"aws_standard\"",
        "The published defaults of another system; keys beside it have the last word.",
    ),
    default(
        "3",
        field(
            "attempts",
            COUNT,
            "4",
            "How many attempts there are at most, the first included.",
        ),
    ),
    default(
        "\"500ms\"",
        field(
            "base",
            Kind::Duration,
            "\"100ms\"",
            "The interval before the first retry.",
        ),
    ),
    default(
        "\"8s\"",
        field("max", Kind::Duration, "\"20s\"", "The longest interval."),
    ),
    default(
        "2.0",
        field(
            "multiplier",
            Kind::Number {
                least: 1.0,
                most: f64::MAX,
                above: false,
            },
            "1.5",
            "By how much the interval grows from one retry to the next.",
        ),
    ),
    default(
        "\"full\"",
        field(
            "jitter",
            Kind::Choice(&["none", "full", "equal", "decorrelated"]),
            "\"equal\"",
            "How pauses are spread.",
        ),
    ),
    default(
        "[\"GET\", \"HEAD\", \"OPTIONS\", \"TRACE\", \"PUT\", \"DELETE\"]",
        field(
            "methods",
            Kind::Methods,
            "[\"*\"]",
            "Which methods may be sent again after any failure; `*` is every one.",
        ),
    ),
    field(
        "attempt_timeout",
        Kind::Duration,
        "\"30s\"",
        "How long one attempt may take, up to the head of its response.",
    ),
    field(
        "deadline",
        Kind::Duration,
        "\"60s\"",
        "How long a call may take in all, pauses included.",
    ),
    default(
        "\"60s\"",
        field(
            "max_retry_after",
            Kind::Duration,
            "\"5m\"",
            "Up to how long to wait because the upstream said so. If it said more, there is no retry.",
        ),
    ),
    default(
        "{ ratio = 0.2, per_second = 10, reserve = 100 }",
        field(
            "budget",
            Kind::TableOrNone(BUDGET),
            "\"none\"",
            "How many retries there may be altogether; `\"none\"` is any number.",
        ),
    ),
];

const BUDGET: &[Field] = &[
    default(
        "0.2",
        field("ratio", RETRIES, "0.1", "So many retries a request."),
    ),
    default(
        "10",
        field(
            "per_second",
            RETRIES,
            "5",
            "So many retries a second, however few requests there are.",
        ),
    ),
    default(
        "100",
        field("reserve", RETRIES, "20", "So many retries to start with."),
    ),
];

pub(super) const CIRCUIT_BREAKER: &[Field] = &[
    ENABLED,
    field(
        "preset",
        Kind::Choice(&[
            "envoy_outlier",
            "finagle",
            "gobreaker",
            "polly",
            "resilience4j",
        ]),
        "\"resilience4j\"",
        "The published defaults of another system; keys beside it have the last word.",
    ),
    field(
        "consecutive_failures",
        Kind::Whole {
            least: 1,
            most: (1 << 29) - 1,
        },
        "5",
        "Trips at so many failures in a row.",
    ),
    field(
        "failure_rate",
        SHARE,
        "0.5",
        "Trips when this share of the calls in the window failed, or more.",
    ),
    field(
        "slow_call_rate",
        SHARE,
        "0.5",
        "Trips when this share of the calls in the window was slow, or more. Needs `slow_call`.",
    ),
    field(
        "slow_call",
        Kind::Duration,
        "\"4s\"",
        "A call is slow whose head takes longer than this.",
    ),
    default(
        "100",
        field(
            "window",
            Kind::CallsOrDuration { most: MOST_CALLS },
            "\"20s\"",
            "Over what the rates are taken: the last so many calls, or so much time.",
        ),
    ),
    default(
        "10",
        field(
            "minimum_calls",
            COUNT,
            "5",
            "Below how many calls in the window the rates say nothing.",
        ),
    ),
    default(
        "\"60s\"",
        field(
            "open_for",
            Kind::Duration,
            "\"30s\"",
            "How long the circuit stays open.",
        ),
    ),
    default(
        "1.0",
        field(
            "open_growth",
            Kind::Number {
                least: 1.0,
                most: 1000.0,
                above: false,
            },
            "2.0",
            "By what each further open time is longer while the circuit does not close.",
        ),
    ),
    default(
        "\"10m\"",
        field(
            "open_max",
            Kind::Duration,
            "\"5m\"",
            "How long an open time may become.",
        ),
    ),
    default(
        "1",
        field("probes", COUNT, "3", "How many probes may be out at once."),
    ),
    default(
        "1",
        field(
            "close_after",
            COUNT,
            "3",
            "How many good probes close the circuit.",
        ),
    ),
    at_restart(field(
        "by",
        Kind::Choice(&["key"]),
        "\"key\"",
        "Keeps one circuit per key; without it there is one for all.",
    )),
];

pub(super) const PRIORITY_QUEUE: &[Field] = &[
    ENABLED,
    field(
        "concurrency",
        COUNT,
        "12",
        "How many requests are in flight at once.",
    ),
    default(
        "100",
        field(
            "capacity",
            Kind::Whole {
                least: 0,
                most: 1 << 20,
            },
            "50",
            "How many may wait.",
        ),
    ),
    field(
        "max_wait",
        Kind::Duration,
        "\"60s\"",
        "How long one waits at most.",
    ),
    default(
        "false",
        field(
            "fair",
            Kind::Flag,
            "true",
            "Whether tenants take turns inside a priority.",
        ),
    ),
    field(
        "ageing",
        Kind::Duration,
        "\"30s\"",
        "A waiter rises one priority per this long.",
    ),
    at_restart(default(
        "false",
        field(
            "rate_aware",
            Kind::Flag,
            "true",
            "Whether the breaker, the budget and the rate limit below are asked, as one decision, before a place is handed out.",
        ),
    )),
];
