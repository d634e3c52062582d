//! Who may also answer later.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::permit::{Permit, Ticket};
use crate::policy::Policy;
use crate::rejection::Rejection;
use crate::time::Now;

/// The answer of an [`Admission`].
#[must_use]
#[derive(Debug)]
pub enum Verdict<T: Ticket, W> {
    /// At once.
    Now(Result<Permit<T>, Rejection>),
    /// When the future is ready. Dropping it gives the place back.
    Later(W),
}

/// Answers at once, or later.
///
/// Every [`Policy`] is one that never waits; a queue, paced waiting and a remote store are admissions
/// that may.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can admit nothing",
    note = "an admission is a `Policy`, or something that waits, such as a queue"
)]
pub trait Admission {
    /// What must be known of a request.
    type Demand;
    /// What is remembered of an admission.
    type Ticket: Ticket;
    /// The wait for a later answer.
    type Wait: Future<Output = Result<Permit<Self::Ticket>, Rejection>>;

    /// Decides on a demand.
    fn admit(&self, demand: Self::Demand, now: &Now) -> Verdict<Self::Ticket, Self::Wait>;
}

impl<P: Policy> Admission for P {
    type Demand = P::Demand;
    type Ticket = P::Ticket;
    type Wait = NeverWaits<P::Ticket>;

    #[inline]
    fn admit(&self, demand: Self::Demand, now: &Now) -> Verdict<Self::Ticket, Self::Wait> {
        Verdict::Now(self.try_admit(&demand, now))
    }
}

/// The wait of a policy: it cannot exist.
pub struct NeverWaits<T>(Infallible, PhantomData<fn() -> T>);

impl<T> fmt::Debug for NeverWaits<T> {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

impl<T: Ticket> Future for NeverWaits<T> {
    type Output = Result<Permit<T>, Rejection>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        match self.0 {}
    }
}
