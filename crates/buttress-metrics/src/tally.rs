//! Counters that events raise: where each stands, and what it is called.

use buttress_core::{End, Event, GiveUp, KeyHash, Outcome, Reason};
use metrics::Label;

use crate::names::{self, Name};

/// Why requests are refused, and what is not known here.
pub(crate) const REASONS: [&str; 11] = [
    Reason::RateLimit.as_str(),
    Reason::TokenBudget.as_str(),
    Reason::CircuitOpen.as_str(),
    Reason::QueueFull.as_str(),
    Reason::QueueTimeout.as_str(),
    Reason::Deadline.as_str(),
    Reason::AttemptTimeout.as_str(),
    Reason::Overloaded.as_str(),
    Reason::MissingKey.as_str(),
    Reason::Banned.as_str(),
    OTHER,
];

/// How admitted requests end: outcomes, and without one.
pub(crate) const ENDS: [&str; 8] = [
    "success",
    "failure",
    "throttled",
    "overloaded",
    "timed_out",
    "refused",
    "cancelled",
    "released",
];

/// How attempts end that are repeated.
const CAUSES: usize = 6;

/// Why attempts are given up.
pub(crate) const GIVE_UPS: [&str; 6] = [
    GiveUp::Attempts.as_str(),
    GiveUp::Request.as_str(),
    GiveUp::Hint.as_str(),
    GiveUp::Deadline.as_str(),
    GiveUp::Budget.as_str(),
    OTHER,
];

/// The states of a circuit breaker.
pub(crate) const STATES: [&str; 8] = [
    "closed",
    "open",
    "half_open",
    "forced_open",
    "forced_closed",
    "disabled",
    "metrics_only",
    OTHER,
];

const OTHER: &str = "other";

const ADMITTED: usize = 0;
const SHADOWED: usize = 1;
const PROBES: usize = 2;
const QUEUED: usize = 3;
const WAITED: usize = 4;
const LEFT: usize = 5;
const HEDGES: usize = 6;
const THRESHOLDS: usize = 7;
const REJECTED: usize = 8;
const ENDED: usize = REJECTED + REASONS.len();
const RETRIES: usize = ENDED + ENDS.len();
const GIVEN_UP: usize = RETRIES + CAUSES;
const TRANSITIONS: usize = GIVEN_UP + GIVE_UPS.len();

/// How many counters there are.
pub(crate) const TALLIES: usize = TRANSITIONS + STATES.len();

/// A counter, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tally(usize);

impl Tally {
    pub(crate) const ADMITTED: Self = Self(ADMITTED);
    pub(crate) const SHADOWED: Self = Self(SHADOWED);
    pub(crate) const PROBES: Self = Self(PROBES);
    pub(crate) const QUEUED: Self = Self(QUEUED);
    pub(crate) const WAITED: Self = Self(WAITED);
    pub(crate) const LEFT: Self = Self(LEFT);
    pub(crate) const HEDGES: Self = Self(HEDGES);
    pub(crate) const THRESHOLDS: Self = Self(THRESHOLDS);

    pub(crate) const fn index(self) -> usize {
        self.0
    }

    /// The counter that an event raises, if there is one.
    #[inline]
    pub(crate) fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::Admitted { .. } => Self::ADMITTED,
            Event::Probing => Self::PROBES,
            Event::Rejected(rejection) => Self(REJECTED + reason(rejection.reason())),
            Event::Queued => Self::QUEUED,
            Event::Waited(_) => Self::WAITED,
            Event::Left => Self::LEFT,
            Event::Ended(end) => Self(ENDED + ended(end)),
            Event::StateChanged { to, .. } => Self(TRANSITIONS + state(to)),
            Event::Retrying { cause, .. } => Self(RETRIES + outcome(*cause)),
            Event::GivenUp { reason, .. } => Self(GIVEN_UP + give_up(*reason)),
            Event::Hedged => Self::HEDGES,
            Event::Threshold { .. } => Self::THRESHOLDS,
            _ => return None,
        })
    }

    /// Its name and its label; none if it is told otherwise.
    pub(crate) fn name(self) -> Option<(&'static Name, Option<Label>)> {
        let (name, label) = match self.0 {
            ADMITTED => (&names::ADMITTED, None),
            SHADOWED => (&names::SHADOWED, None),
            PROBES => (&names::PROBES, None),
            QUEUED => (&names::QUEUED, None),
            LEFT => (&names::LEFT, None),
            HEDGES => (&names::HEDGES, None),
            THRESHOLDS => (&names::THRESHOLDS, None),
            REJECTED..ENDED => (
                &names::REJECTED,
                Some(("reason", REASONS[self.0 - REJECTED])),
            ),
            ENDED..RETRIES => (&names::ENDED, Some(("end", ENDS[self.0 - ENDED]))),
            RETRIES..GIVEN_UP => (&names::RETRIES, Some(("cause", ENDS[self.0 - RETRIES]))),
            GIVEN_UP..TRANSITIONS => (
                &names::GIVEN_UP,
                Some(("reason", GIVE_UPS[self.0 - GIVEN_UP])),
            ),
            TRANSITIONS..TALLIES => (
                &names::TRANSITIONS,
                Some(("to", STATES[self.0 - TRANSITIONS])),
            ),
            _ => return None,
        };
        Some((
            name,
            label.map(|(key, value)| Label::from_static_parts(key, value)),
        ))
    }

    /// Those of one kind, with their values.
    fn range(first: usize, values: &[&'static str]) -> impl Iterator<Item = (&'static str, Self)> {
        let places = (first..).map(Self);
        values.iter().copied().zip(places)
    }

    pub(crate) fn rejected() -> impl Iterator<Item = (&'static str, Self)> {
        Self::range(REJECTED, &REASONS)
    }

    pub(crate) fn ended() -> impl Iterator<Item = (&'static str, Self)> {
        Self::range(ENDED, &ENDS)
    }

    pub(crate) fn retries() -> impl Iterator<Item = (&'static str, Self)> {
        Self::range(RETRIES, &ENDS[..CAUSES])
    }

    pub(crate) fn given_up() -> impl Iterator<Item = (&'static str, Self)> {
        Self::range(GIVEN_UP, &GIVE_UPS)
    }

    pub(crate) fn transitions() -> impl Iterator<Item = (&'static str, Self)> {
        Self::range(TRANSITIONS, &STATES)
    }
}

fn reason(reason: Reason) -> usize {
    match reason {
        Reason::RateLimit => 0,
        Reason::TokenBudget => 1,
        Reason::CircuitOpen => 2,
        Reason::QueueFull => 3,
        Reason::QueueTimeout => 4,
        Reason::Deadline => 5,
        Reason::AttemptTimeout => 6,
        Reason::Overloaded => 7,
        Reason::MissingKey => 8,
        Reason::Banned => 9,
        _ => 10,
    }
}

const fn outcome(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Success => 0,
        Outcome::Failure => 1,
        Outcome::Throttled(_) => 2,
        Outcome::Overloaded => 3,
        Outcome::TimedOut => 4,
        Outcome::Refused => 5,
    }
}

const fn ended(end: &End) -> usize {
    match end {
        End::Settled(how, _) => outcome(*how),
        End::Cancelled(_) => 6,
        End::Released => 7,
    }
}

fn give_up(reason: GiveUp) -> usize {
    match reason {
        GiveUp::Attempts => 0,
        GiveUp::Request => 1,
        GiveUp::Hint => 2,
        GiveUp::Deadline => 3,
        GiveUp::Budget => 4,
        _ => 5,
    }
}

fn state(name: &str) -> usize {
    let known = STATES.iter().position(|state| *state == name);
    known.unwrap_or(STATES.len() - 1)
}

/// The state that the circuit of all calls is in, if an event tells it.
pub(crate) fn state_of_all(event: &Event) -> Option<&'static str> {
    match event {
        Event::StateChanged { key, to, .. } if *key == KeyHash::EVERYONE => Some(to),
        _ => None,
    }
}
