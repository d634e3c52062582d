//! What becomes of a rejection.

use std::error::Error as StdError;
use std::fmt;

use crate::rejection::Rejection;
use crate::time::Now;

/// Turns a rejection into an answer, and lets the inner service's answers through.
///
/// Responses and errors pass through functions without `self`, so that a running request carries
/// nothing for them. An inner error can only become an error: nothing turns it into a response by
/// accident.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot answer a rejection with a response `{Res}` or an error `{E}`",
    note = "`respond_http()` needs an HTTP response whose body is `From<Bytes>`; `respond_http_any_body()` takes any body",
    note = "under axum, say `.respond_http()`: without it a rejection is an error, and axum's routes cannot fail (`Infallible: From<Error<Infallible>>` is not satisfied)"
)]
pub trait OnReject<Res, E> {
    /// The response that goes on outwards.
    type Response;
    /// The error that goes on outwards.
    type Error;

    /// Answers a rejection that was decided at `now`.
    ///
    /// # Errors
    ///
    /// If rejections become errors.
    fn reject(&self, rejection: Rejection, now: &Now) -> Result<Self::Response, Self::Error>;

    /// Passes a response on.
    fn response(response: Res) -> Self::Response;

    /// Passes an error on.
    fn error(error: E) -> Self::Error;
}

/// What a service fails with behind an [`Admit`](crate::Admit) that answers rejections with errors.
///
/// If a compiler says of an axum route that `Infallible: From<Error<Infallible>>` is not satisfied: the
/// layer answers with errors, and axum's routes cannot fail. Say `.respond_http()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The layer refused the request.
    Rejected(Rejection),
    /// The inner service failed.
    Inner(E),
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::Inner(error) => error.fmt(f),
        }
    }
}

impl<E: StdError + 'static> StdError for Error<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Rejected(rejection) => Some(rejection),
            Self::Inner(error) => Some(error),
        }
    }
}

/// A rejection is an [`Error::Rejected`]; the inner error keeps its type. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsError;

impl<Res, E> OnReject<Res, E> for AsError {
    type Response = Res;
    type Error = Error<E>;

    #[inline]
    fn reject(&self, rejection: Rejection, _: &Now) -> Result<Res, Error<E>> {
        Err(Error::Rejected(rejection))
    }

    #[inline]
    fn response(response: Res) -> Res {
        response
    }

    #[inline]
    fn error(error: E) -> Error<E> {
        Error::Inner(error)
    }
}

/// Any error, as tower's own middleware uses it.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// A rejection is a boxed error, for stacks with tower's Buffer, Timeout or LoadShed in them.
/// [`Rejection::find`] finds it again.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsBoxError;

impl<Res, E: Into<BoxError>> OnReject<Res, E> for AsBoxError {
    type Response = Res;
    type Error = BoxError;

    fn reject(&self, rejection: Rejection, _: &Now) -> Result<Res, BoxError> {
        Err(rejection.into())
    }

    fn response(response: Res) -> Res {
        response
    }

    fn error(error: E) -> BoxError {
        error.into()
    }
}

/// A rejection is whatever the function makes of it; both types stay the inner service's.
#[derive(Clone, Copy, Debug)]
pub struct With<F>(
    /// Answers a rejection.
    pub F,
);

impl<Res, E, F: Fn(Rejection) -> Result<Res, E>> OnReject<Res, E> for With<F> {
    type Response = Res;
    type Error = E;

    fn reject(&self, rejection: Rejection, _: &Now) -> Result<Res, E> {
        (self.0)(rejection)
    }

    fn response(response: Res) -> Res {
        response
    }

    fn error(error: E) -> E {
        error
    }
}
