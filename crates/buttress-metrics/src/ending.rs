//! How a request ended, as far as those who measure it can tell.

use buttress_core::Outcome;

/// How a request ended: an [`Outcome`], or that it did not come to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// The service did what it was asked.
    Success,
    /// It failed.
    Failure,
    /// It refused this caller for asking too often.
    Throttled,
    /// It had no capacity.
    Overloaded,
    /// A timeout or a deadline of ours ended the request.
    TimedOut,
    /// A layer further in refused.
    Refused,
    /// The caller went away before the head of the response.
    Aborted,
    /// The caller went away before the end of the response's body.
    BodyAborted,
    /// The response's body broke off.
    BodyBroken,
}

impl Ending {
    /// How many there are.
    pub(crate) const COUNT: usize = 9;

    /// All of them.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Success,
        Self::Failure,
        Self::Throttled,
        Self::Overloaded,
        Self::TimedOut,
        Self::Refused,
        Self::Aborted,
        Self::BodyAborted,
        Self::BodyBroken,
    ];

    /// The value of the label `outcome`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Throttled => "throttled",
            Self::Overloaded => "overloaded",
            Self::TimedOut => "timed_out",
            Self::Refused => "refused",
            Self::Aborted => "aborted",
            Self::BodyAborted => "body_aborted",
            Self::BodyBroken => "body_broken",
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::Success,
            Outcome::Failure => Self::Failure,
            Outcome::Throttled(_) => Self::Throttled,
            Outcome::Overloaded => Self::Overloaded,
            Outcome::TimedOut => Self::TimedOut,
            Outcome::Refused => Self::Refused,
        }
    }
}
