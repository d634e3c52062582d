//! How a call ended, and what it used.

use std::error::Error as StdError;
use std::time::Duration;

use crate::rejection::Rejection;

/// How a call ended. Retry, breaker, cooldown, adaptive limit and metrics all read the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream did what it was asked.
    Success,
    /// The upstream, or the way to it, failed.
    Failure,
    /// The upstream refused this caller for asking too often; it may have said when to come back.
    Throttled(Option<Duration>),
    /// The upstream has no capacity for anyone.
    Overloaded,
    /// A timeout or a deadline of ours ended the attempt.
    TimedOut,
    /// A layer further in refused: nothing is known of the upstream, so breakers and adaptive limits
    /// stay neutral, budgets refund, and nothing is retried.
    Refused,
}

/// Tells how a call ended from its result's head.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell how a call ended that gives a `{Res}` or an error `{E}`",
    note = "`ByError` needs an error that is a `std::error::Error`, `ByBoxError` one in a box; `ByResult` takes any",
    note = "a closure is one if its argument is annotated: `|result: Result<&Response, &Error>| ..`"
)]
pub trait Classify<Res, E> {
    /// Classifies a response's head or an error.
    fn classify(&self, result: Result<&Res, &E>) -> Outcome;
}

/// `Ok` is a success and `Err` a failure: all that can be said of any response and any error.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByResult;

impl<Res, E> Classify<Res, E> for ByResult {
    #[inline]
    fn classify(&self, result: Result<&Res, &E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure,
        }
    }
}

/// `Ok` is a success; an error that a [`Rejection`] caused, at any depth, is a refusal from further
/// in, or a call that was cut off ([`Rejection::outcome`]); other errors are failures.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByError;

impl<Res, E: StdError + 'static> Classify<Res, E> for ByError {
    fn classify(&self, result: Result<&Res, &E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(error) => match Rejection::find(error) {
                Some(rejection) => rejection.outcome(),
                None => Outcome::Failure,
            },
        }
    }
}

/// As [`ByError`], for errors in a box, as tower's Buffer, Timeout and LoadShed have them.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByBoxError;

impl<Res, E> Classify<Res, E> for ByBoxError
where
    E: AsRef<dyn StdError + Send + Sync + 'static>,
{
    fn classify(&self, result: Result<&Res, &E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(error) => match Rejection::find(error.as_ref()) {
                Some(rejection) => rejection.outcome(),
                None => Outcome::Failure,
            },
        }
    }
}

impl<Res, E, F: Fn(Result<&Res, &E>) -> Outcome> Classify<Res, E> for F {
    fn classify(&self, result: Result<&Res, &E>) -> Outcome {
        self(result)
    }
}

impl Rejection {
    /// The rejection that caused an error, found by walking its sources.
    #[must_use]
    pub fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(rejection) = error.downcast_ref() {
                return Some(rejection);
            }
            next = error.source();
        }
        None
    }
}

/// How much of each dimension a call really used: tokens, bytes, money, or whatever a budget counts.
///
/// A dimension is a small number whose meaning is the budget's. What the upstream did not say is
/// unknown, which is not the same as nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    amounts: [u64; Self::DIMENSIONS],
    known: u8,
}

impl Usage {
    /// How many dimensions a usage has room for.
    pub const DIMENSIONS: usize = 8;

    /// Nothing was done: known to be nothing in every dimension, so that budgets give all back.
    pub const NOTHING: Self = Self {
        amounts: [0; Self::DIMENSIONS],
        known: u8::MAX,
    };

    /// Sets the amount of a dimension; one that there is no room for is ignored.
    #[must_use]
    pub fn with(mut self, dimension: usize, amount: u64) -> Self {
        if let Some(slot) = self.amounts.get_mut(dimension) {
            *slot = amount;
            self.known |= 1 << dimension;
        }
        self
    }

    /// The amount of a dimension, if it is known.
    #[must_use]
    pub fn get(&self, dimension: usize) -> Option<u64> {
        let amount = *self.amounts.get(dimension)?;
        (self.known & (1 << dimension) != 0).then_some(amount)
    }
}
