//! Every field of a configuration in one table, of which the reference and the JSON Schema are made. A test
//! holds it against the types that really read the fields.

/// A table of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name; empty for the top level.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
}

/// A field of a table.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What holds if it is not given, as TOML writes it; none if that is nothing.
    pub default: Option<&'static str>,
    /// A value, as TOML writes it.
    pub example: &'static str,
    /// What it says.
    pub about: &'static str,
    /// Whether a change of it needs no restart.
    pub live: bool,
}

/// What a field takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Whole {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// A number, with decimals or without.
    Number {
        /// The least.
        least: f64,
        /// The most.
        most: f64,
        /// Whether the least itself is too little.
        above: bool,
    },
    /// A duration as text: `"250ms"`, `"1h30m"`.
    Duration,
    /// A list of quotas as text.
    Quotas,
    /// Lists of quotas by key.
    QuotasByKey,
    /// A list of names of methods.
    Methods,
    /// A list of names of tables.
    Stack,
    /// A time as RFC 3339 writes it.
    Time,
    /// One of these names.
    Choice(&'static [&'static str]),
    /// A number of calls, or a duration as text.
    CallsOrDuration {
        /// The most calls.
        most: u64,
    },
    /// A table of these fields, or `"none"`.
    TableOrNone(&'static [Field]),
}

impl Kind {
    /// Whether it is a list, which an environment variable may write with commas.
    #[must_use]
    pub const fn is_list(&self) -> bool {
        matches!(self, Self::Quotas | Self::Methods | Self::Stack)
    }
}

const fn field(
    name: &'static str,
    kind: Kind,
    example: &'static str,
    about: &'static str,
) -> Field {
    Field {
        name,
        kind,
        default: None,
        example,
        about,
        live: true,
    }
}

const fn default(default: &'static str, mut field: Field) -> Field {
    field.default = Some(default);
    field
}

const fn at_restart(mut field: Field) -> Field {
    field.live = false;
    field
}

const MOST_U32: u64 = u32::MAX as u64;
const MOST_CALLS: u64 = buttress_circuit_breaker::MOST_CALLS as u64;

const COUNT: Kind = Kind::Whole {
    least: 1,
    most: MOST_U32,
};

const SHARE: Kind = Kind::Number {
    least: 0.0,
    most: 1.0,
    above: true,
};

const RETRIES: Kind = Kind::Number {
    least: 0.0,
    most: 1e9,
    above: false,
};

const ENABLED: Field = default(
    "true",
    field(
        "enabled",
        Kind::Flag,
        "false",
        "Whether the layer does anything. A disabled one lets every request pass, and its table is checked all the same.",
    ),
);

const WAIT: Field = field(
    "wait",
    Kind::Duration,
    "\"30s\"",
    "Pace instead of refusing: how long a request may wait. Not below a queue with `rate_aware`, which does the waiting.",
);

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
        fields: &[
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
        ],
    },
];

const RETRY: &[Field] = &[
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

const CIRCUIT_BREAKER: &[Field] = &[
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

/// The field at a path, such as `["retry", "budget", "ratio"]`.
pub(crate) fn find(path: &[String]) -> Option<&'static Field> {
    let (table, fields) = match path {
        [_] => ("", path),
        [table, fields @ ..] => (table.as_str(), fields),
        [] => return None,
    };
    let table = TABLES.iter().find(|known| known.name == table)?;
    let (name, rest) = fields.split_first()?;
    let field = table.fields.iter().find(|field| field.name == name)?;
    match (rest, field.kind) {
        ([], _) => Some(field),
        ([inner], Kind::TableOrNone(fields)) => fields.iter().find(|field| field.name == inner),
        _ => None,
    }
}
