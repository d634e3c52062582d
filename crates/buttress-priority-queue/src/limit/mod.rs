//! How many requests may be in flight: a fixed number, or one that is found out.
//!
//! Pure: neither lock nor clock. An adaptive limit is told of every call how long it took, how many were in
//! flight when it began, and whether the upstream refused it for want of capacity.

mod aimd;
mod fixed;
mod gradient2;
mod vegas;

use std::time::Duration;

use buttress_core::Outcome;

pub use aimd::Aimd;
pub use fixed::Fixed;
pub use gradient2::Gradient2;
pub use vegas::Vegas;

/// What an adaptive limit learns of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// How long it took, from its start to the head of its response. Waiting in a queue is no part of it.
    pub took: Duration,
    /// How many were in flight when it began, itself included.
    pub in_flight: u32,
    /// Whether the upstream refused it for want of capacity (429, 503), or it timed out.
    pub dropped: bool,
}

impl Sample {
    /// Whether a call that ended so was refused for want of capacity; none if its end says nothing of that: a
    /// failure has other causes, and a refusal from further in never reached the upstream.
    #[must_use]
    pub const fn dropped(outcome: Outcome) -> Option<bool> {
        match outcome {
            Outcome::Success => Some(false),
            Outcome::Throttled(_) | Outcome::Overloaded | Outcome::TimedOut => Some(true),
            Outcome::Failure | Outcome::Refused => None,
        }
    }
}

/// How many requests may be in flight.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Limit {
    /// A number.
    Fixed(Fixed),
    /// Grows by one while it is used, shrinks by a share when a call is refused or takes too long.
    Aimd(Aimd),
    /// Keeps the number of calls that queue at the upstream between two bounds.
    Vegas(Vegas),
    /// Follows the ratio of long-term to present latency.
    Gradient2(Gradient2),
}

/// Where a limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The limit.
    pub limit: u32,
    /// How long a call takes that waits for nobody, as far as the algorithm knows.
    pub unloaded: Option<Duration>,
    /// How long the last call took.
    pub last: Option<Duration>,
}

impl Limit {
    /// How many may be in flight, at least 1.
    #[must_use]
    pub fn get(&self) -> u32 {
        match self {
            Self::Fixed(limit) => limit.get(),
            Self::Aimd(limit) => limit.get(),
            Self::Vegas(limit) => limit.get(),
            Self::Gradient2(limit) => limit.get(),
        }
    }

    /// Whether it learns.
    #[must_use]
    pub const fn is_adaptive(&self) -> bool {
        !matches!(self, Self::Fixed(_))
    }

    /// Learns of a call.
    pub fn sample(&mut self, sample: &Sample) {
        match self {
            Self::Fixed(_) => {}
            Self::Aimd(limit) => limit.sample(sample),
            Self::Vegas(limit) => limit.sample(sample),
            Self::Gradient2(limit) => limit.sample(sample),
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn reading(&self) -> Reading {
        let (unloaded, last) = match self {
            Self::Fixed(_) | Self::Aimd(_) => (None, None),
            Self::Vegas(limit) => (limit.unloaded(), limit.last()),
            Self::Gradient2(limit) => (limit.long_term(), limit.last()),
        };
        Reading {
            limit: self.get(),
            unloaded,
            last,
        }
    }
}

impl From<u32> for Limit {
    /// At least 1.
    fn from(limit: u32) -> Self {
        Self::Fixed(Fixed::new(limit))
    }
}

macro_rules! from_kind {
    ($($kind:ident)+) => {$(
        impl From<$kind> for Limit {
            fn from(limit: $kind) -> Self {
                Self::$kind(limit)
            }
        }
    )+};
}

from_kind!(Fixed Aimd Vegas Gradient2);

/// A limit between 1 and `u32::MAX`, rounded down.
fn whole(limit: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a conversion of a float to an integer saturates, and no number is 0"
    )]
    let limit = limit as u32;
    limit.max(1)
}
