//! Charging for what came of a request, and not for its coming.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use buttress_core::{
    Admission, End, KeyHash, Now, Outcome, Permit, Rejection, Ticket, Usage, Verdict,
};
use pin_project_lite::pin_project;

use crate::limiter::RateLimiter;
use crate::ticket::Spent;

/// The dimension of a [`Usage`] that tells a charged limit how much of its units a request really used: 0
/// gives back what was spent, and anything else leaves it spent.
pub const UNITS: usize = 0;

/// Tells by its outcome whether a request counts.
///
/// A closure is one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell by an outcome whether a request counts",
    note = "use a closure: `|outcome| outcome != Outcome::Success`"
)]
pub trait Charge {
    /// Whether a request counts that ended so.
    fn charges(&self, outcome: Outcome) -> bool;
}

/// Every outcome counts; the usage alone says what does not.
impl Charge for () {
    #[inline]
    fn charges(&self, _: Outcome) -> bool {
        true
    }
}

impl<F: Fn(Outcome) -> bool> Charge for F {
    #[inline]
    fn charges(&self, outcome: Outcome) -> bool {
        self(outcome)
    }
}

/// An admission to a limit that gives back what a request has spent if its outcome does not count.
///
/// Units are spent when a request is admitted, so that requests at the same time can never be more than
/// the limit, and are given back when the outcome is known, at the instant at which they were spent: those
/// who wait for them are woken. A request that was cancelled stays charged, since nobody knows what would
/// have come of it; one that was never sent is given back.
#[derive(Clone)]
pub struct Charged<A, F = ()> {
    admission: A,
    limiter: RateLimiter,
    charge: F,
}

impl<A, F> Charged<A, F> {
    /// Charges for what `admission` admits, which is to or through `limiter`, as `charge` says.
    pub const fn new(admission: A, limiter: RateLimiter, charge: F) -> Self {
        Self {
            admission,
            limiter,
            charge,
        }
    }
}

impl<A, F> Admission for Charged<A, F>
where
    A: Admission<Ticket = Spent>,
    F: Charge + Clone,
{
    type Demand = A::Demand;
    type Ticket = ChargedTicket<F>;
    type Wait = ChargedWait<A::Wait, F>;

    #[inline]
    fn admit(&self, demand: A::Demand, now: &Now) -> Verdict<Self::Ticket, Self::Wait> {
        match self.admission.admit(demand, now) {
            Verdict::Now(Ok(permit)) => {
                Verdict::Now(Ok(charged(permit, &self.limiter, &self.charge)))
            }
            Verdict::Now(Err(rejection)) => Verdict::Now(Err(rejection)),
            Verdict::Later(wait) => Verdict::Later(ChargedWait {
                wait,
                limiter: self.limiter.clone(),
                charge: self.charge.clone(),
            }),
        }
    }
}

#[inline]
fn charged<F: Charge + Clone>(
    permit: Permit<Spent>,
    limiter: &RateLimiter,
    charge: &F,
) -> Permit<ChargedTicket<F>> {
    match permit.into_ticket() {
        Some(spent) => Permit::new(ChargedTicket {
            spent,
            limiter: limiter.clone(),
            charge: charge.clone(),
        }),
        None => Permit::exempt(),
    }
}

/// What an admitted request has spent, and will get back if its outcome does not count.
pub struct ChargedTicket<F> {
    spent: Spent,
    limiter: RateLimiter,
    charge: F,
}

impl<F: Charge> Ticket for ChargedTicket<F> {
    fn end(self, end: End, now: &Now) {
        if self.spent.cost() == 0 {
            return;
        }
        match end {
            End::Settled(outcome, usage) => {
                let used = usage.and_then(|usage| usage.get(UNITS));
                if used == Some(0) || !self.charge.charges(outcome) {
                    self.limiter.uncharge(self.spent, now);
                }
            }
            End::Cancelled(_) => {}
            End::Released => self
                .limiter
                .take_back(self.spent.key_hash(), self.spent, now),
        }
    }

    fn shadowed(&self) -> bool {
        self.spent.shadowed()
    }

    fn key(&self) -> Option<KeyHash> {
        self.spent.key()
    }
}

pin_project! {
    /// A wait for a limit that is charged by outcome. Dropping it gives the place back.
    pub struct ChargedWait<W, F> {
        #[pin]
        wait: W,
        limiter: RateLimiter,
        charge: F,
    }
}

impl<W, F> Future for ChargedWait<W, F>
where
    W: Future<Output = Result<Permit<Spent>, Rejection>>,
    F: Charge + Clone,
{
    type Output = Result<Permit<ChargedTicket<F>>, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.wait.poll(cx));
        Poll::Ready(answer.map(|permit| charged(permit, this.limiter, this.charge)))
    }
}

/// A ticket of which is known by the answer whether the request counts.
#[derive(Debug)]
pub struct Judged<T: Ticket> {
    permit: Permit<T>,
    counts: bool,
}

impl<T: Ticket> Judged<T> {
    /// The permit of a request that counts, or does not.
    pub(crate) fn permit(permit: Permit<T>, counts: impl FnOnce() -> bool) -> Permit<Self> {
        match permit.ticket() {
            Some(_) => Permit::new(Self {
                permit,
                counts: counts(),
            }),
            None => Permit::exempt(),
        }
    }
}

impl<T: Ticket> Ticket for Judged<T> {
    fn head(&mut self, outcome: Outcome, now: &Now) {
        self.permit.head(outcome, now);
    }

    fn end(self, end: End, now: &Now) {
        let end = match end {
            End::Settled(outcome, usage) if !self.counts => {
                let usage: Usage = usage.unwrap_or_default();
                End::Settled(outcome, Some(usage.with(UNITS, 0)))
            }
            end => end,
        };
        self.permit.end(end, now);
    }

    fn shadowed(&self) -> bool {
        self.permit.ticket().is_some_and(Ticket::shadowed)
    }

    fn key(&self) -> Option<KeyHash> {
        self.permit.ticket().and_then(Ticket::key)
    }
}

// A closure has no `Debug`, and need not be asked for one.

impl<A: fmt::Debug, F> fmt::Debug for Charged<A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charged")
            .field("admission", &self.admission)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for ChargedTicket<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChargedTicket")
            .field("spent", &self.spent)
            .finish_non_exhaustive()
    }
}

impl<W, F> fmt::Debug for ChargedWait<W, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChargedWait").finish_non_exhaustive()
    }
}
