//! What the end of an attempt means for the next.

use std::error::Error as StdError;
use std::io;

use buttress_core::{BoxError, Outcome, Rejection, When};

/// How an attempt ended, and whether another may follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// How it ended.
    pub outcome: Outcome,
    /// Which requests may be sent again after that.
    pub again: Again,
    /// What the upstream said about when: nothing, exactly then, or not at all.
    pub hint: When,
}

/// Which requests may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// None: the answer is final.
    No,
    /// Those that do no harm when the upstream gets them twice.
    IfRepeatable,
    /// All, as the upstream has not got this one.
    Always,
}

impl Judgement {
    /// The answer is final.
    #[must_use]
    pub const fn last(outcome: Outcome) -> Self {
        Self {
            outcome,
            again: Again::No,
            hint: When::Unknown,
        }
    }

    /// Another attempt may help, if the request can be repeated without harm.
    #[must_use]
    pub const fn again(outcome: Outcome) -> Self {
        Self {
            outcome,
            again: Again::IfRepeatable,
            hint: When::Unknown,
        }
    }

    /// The upstream has not got the request, so that any can be sent again.
    #[must_use]
    pub const fn unsent() -> Self {
        Self {
            outcome: Outcome::Failure,
            again: Again::Always,
            hint: When::Unknown,
        }
    }

    /// Adds what the upstream said about when.
    #[must_use]
    pub const fn hinting(self, hint: When) -> Self {
        Self { hint, ..self }
    }

    /// What an error means, by what caused it: a refusal by a layer further in is final, a connection that
    /// could not be made was never used, and anything else may go better next time.
    #[must_use]
    pub fn of_error(error: &(dyn StdError + 'static)) -> Self {
        if let Some(rejection) = Rejection::find(error) {
            return Self::of_rejection(rejection);
        }
        let mut next = Some(error);
        while let Some(error) = next {
            if error.downcast_ref().is_some_and(is_unconnected) {
                return Self::unsent();
            }
            next = error.source();
        }
        Self::again(Outcome::Failure)
    }

    /// What a rejection means: a refusal is final, an attempt that a timeout cut off may go better next
    /// time.
    #[must_use]
    pub fn of_rejection(rejection: &Rejection) -> Self {
        match rejection.outcome() {
            Outcome::TimedOut => Self::again(Outcome::TimedOut),
            outcome => Self::last(outcome).hinting(rejection.when()),
        }
    }
}

/// Errors that only the making of a connection gives.
fn is_unconnected(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
    )
}

/// A success is final, a refusal too; any other end may go better next time, and a throttled call waits
/// as long as it was told to.
impl From<Outcome> for Judgement {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success | Outcome::Refused => Self::last(outcome),
            Outcome::Throttled(Some(wait)) => Self::again(outcome).hinting(When::After(wait)),
            _ => Self::again(outcome),
        }
    }
}

/// True is a failure after which to try again, false a success.
impl From<bool> for Judgement {
    fn from(again: bool) -> Self {
        match again {
            true => Self::again(Outcome::Failure),
            false => Self::last(Outcome::Success),
        }
    }
}

/// Tells what the end of an attempt means: [`OnError`], over HTTP `OnStatus` and `OnGrpcStatus`, or a
/// closure over `Result<&Response, &Error>` that returns a [`Judgement`], an [`Outcome`] or a `bool`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell whether to try again after a response `{Res}` or an error `{E}`",
    note = "a boxed error needs `.retry_if(OnBoxError)`, or `.boxed_errors()` over HTTP",
    note = "a closure takes `result: Result<&Response, &Error>`, with its types written out"
)]
pub trait Judge<Res, E> {
    /// Judges the head of a response, or an error.
    fn judge(&self, result: Result<&Res, &E>) -> Judgement;
}

impl<Res, E, F, T> Judge<Res, E> for F
where
    F: Fn(Result<&Res, &E>) -> T,
    T: Into<Judgement>,
{
    fn judge(&self, result: Result<&Res, &E>) -> Judgement {
        self(result).into()
    }
}

/// Every response is final; errors are judged by what caused them. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnError;

impl<Res, E: StdError + 'static> Judge<Res, E> for OnError {
    #[inline]
    fn judge(&self, result: Result<&Res, &E>) -> Judgement {
        match result {
            Ok(_) => Judgement::last(Outcome::Success),
            Err(error) => Judgement::of_error(error),
        }
    }
}

/// As [`OnError`], for boxed errors, as tower's Buffer and Timeout give them.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnBoxError;

impl<Res> Judge<Res, BoxError> for OnBoxError {
    fn judge(&self, result: Result<&Res, &BoxError>) -> Judgement {
        match result {
            Ok(_) => Judgement::last(Outcome::Success),
            Err(error) => Judgement::of_error(&**error),
        }
    }
}
