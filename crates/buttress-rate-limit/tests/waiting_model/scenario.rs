//! Limits and requests, drawn at random, and what can become of them.

use std::time::Duration;

use buttress_rate_limit::Quota;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;

/// Times are milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) keyed: Vec<Limit>,
    pub(crate) global: Vec<Limit>,
    pub(crate) requests: Vec<Request>,
    /// In which order those who are woken at one instant are polled.
    pub(crate) shuffle: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    Paced { units: u64, period: u64, burst: u64 },
    Rolling { units: u64, period: u64 },
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) at: u64,
    pub(crate) key: u8,
    pub(crate) cost: u64,
    pub(crate) kind: Kind,
    /// Both count from `at`.
    pub(crate) deadline: Option<u64>,
    pub(crate) cancel: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Without waiting.
    Check,
    Wait {
        max: u64,
    },
}

/// What became of a request, and in which millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Admitted {
        at: u64,
    },
    Refused {
        at: u64,
        when: When,
    },
    /// Refused because of its deadline.
    Late {
        at: u64,
    },
    Cancelled {
        at: u64,
    },
}

/// Nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Never,
    Unknown,
    After(u64),
}

impl Outcome {
    pub(crate) const fn refused(at: u64, when: When) -> Self {
        Self::Refused { at, when }
    }
}

impl Request {
    pub(crate) fn cancelled_at(&self) -> Option<u64> {
        self.cancel.map(|after| self.at + after)
    }

    pub(crate) fn deadline_at(&self) -> Option<u64> {
        match self.kind {
            Kind::Check => None,
            Kind::Wait { .. } => self.deadline.map(|after| self.at + after),
        }
    }

    pub(crate) fn is_out_of_patience(&self, at: u64) -> bool {
        match self.kind {
            Kind::Check => true,
            Kind::Wait { max } => at >= self.at + max,
        }
    }
}

impl Limit {
    pub(crate) fn quota(self) -> Quota {
        match self {
            Self::Paced {
                units,
                period,
                burst,
            } => Quota::new(units, Duration::from_millis(period))
                .and_then(|quota| quota.try_burst(burst)),
            Self::Rolling { units, period } => {
                Quota::try_rolling(units, Duration::from_millis(period))
            }
        }
        .expect("the strategies draw legal quotas")
    }
}

fn limit() -> impl Strategy<Value = Limit> {
    let paced = (1..4_u64, 1..120_u64, 1..5_u64);
    let rolling = (1..5_u64, 1..150_u64);
    prop_oneof![
        3 => paced.prop_map(|(units, period, burst)| Limit::Paced { units, period, burst }),
        2 => rolling.prop_map(|(units, period)| Limit::Rolling { units, period }),
    ]
}

fn request() -> impl Strategy<Value = (u64, Request)> {
    let gap = prop_oneof![4 => Just(0), 3 => 1..6_u64, 2 => 6..90_u64];
    let cost = prop_oneof![1 => Just(0_u64), 8 => Just(1), 3 => 2..4_u64, 1 => 4..7_u64];
    let kind = prop_oneof![
        1 => Just(Kind::Check),
        6 => prop_oneof![Just(0), 0..60_u64, 60..400_u64, Just(5_000)]
            .prop_map(|max| Kind::Wait { max }),
    ];
    let after = || prop_oneof![Just(0), 1..50_u64, 50..300_u64];
    let rest = (
        0..3_u8,
        cost,
        kind,
        weighted(0.2, after()),
        weighted(0.25, after()),
    );
    (gap, rest).prop_map(|(gap, (key, cost, kind, deadline, cancel))| {
        let request = Request {
            at: 0,
            key,
            cost,
            kind,
            deadline,
            cancel,
        };
        (gap, request)
    })
}

/// Requests against that many limits per key and for all keys.
pub(crate) fn scenario(
    keyed: impl Into<proptest::collection::SizeRange>,
    global: impl Into<proptest::collection::SizeRange>,
) -> impl Strategy<Value = Scenario> {
    let limits = (vec(limit(), keyed), vec(limit(), global));
    (limits, vec(request(), 1..24), any::<u64>()).prop_map(
        |((keyed, global), requests, shuffle)| {
            let mut at = 0;
            let requests = requests.into_iter().map(|(gap, request)| {
                at += gap;
                Request { at, ..request }
            });
            Scenario {
                keyed,
                global,
                requests: requests.collect(),
                shuffle,
            }
        },
    )
}
