//! What the tables are written with.

use super::{Field, Kind};

pub(super) const fn field(
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

pub(super) const fn default(default: &'static str, mut field: Field) -> Field {
    field.default = Some(default);
    field
}

pub(super) const fn at_restart(mut field: Field) -> Field {
    field.live = false;
    field
}

pub(super) const MOST_U32: u64 = u32::MAX as u64;
pub(super) const MOST_CALLS: u64 = buttress_circuit_breaker::MOST_CALLS as u64;

pub(super) const COUNT: Kind = Kind::Whole {
    least: 1,
    most: MOST_U32,
};

pub(super) const SHARE: Kind = Kind::Number {
    least: 0.0,
    most: 1.0,
    above: true,
};

pub(super) const RETRIES: Kind = Kind::Number {
    least: 0.0,
    most: 1e9,
    above: false,
};

pub(super) const ENABLED: Field = default(
    "true",
    field(
        "enabled",
        Kind::Flag,
        "false",
        "Whether the layer does anything. A disabled one lets every request pass, and its table is checked all the same.",
    ),
);

pub(super) const WAIT: Field = field(
    "wait",
    Kind::Duration,
    "\"30s\"",
    "Pace instead of refusing: how long a request may wait. Not below a queue with `rate_aware`, which does the waiting.",
);
