//! Watching what an admission decides.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::admission::{Admission, Verdict};
use crate::key::KeyHash;
use crate::outcome::Outcome;
use crate::permit::{End, Permit, Ticket};
use crate::rejection::{LimitId, Rejection};
use crate::time::{Instant, Now, now};

/// Something an admission did.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A request was admitted.
    Admitted {
        /// It would have been refused if the policy were not in shadow mode.
        shadowed: bool,
    },
    /// The request that was just admitted is a probe: whether the upstream has recovered is seen by it.
    Probing,
    /// A request was refused.
    Rejected(Rejection),
    /// A request waits; `Waited` follows, and then `Admitted`, `Rejected` or `Left`.
    Queued,
    /// A request has waited so long; what became of it follows at once.
    Waited(Duration),
    /// A request went away while it waited.
    Left,
    /// The head of the response has come.
    Head(Outcome),
    /// The permit of an admitted request has ended.
    Ended(End),
    /// A policy that has states, such as a circuit breaker, went from one to another. It is told to the
    /// observers of the policy itself, because it may happen when a call ends and when nobody calls.
    StateChanged {
        /// Whose state; [`KeyHash::EVERYONE`] if there is one for all.
        key: KeyHash,
        /// The name of the state that it left, as logs and metrics write it.
        from: &'static str,
        /// The name of the state that it is in.
        to: &'static str,
    },
    /// A failed attempt is followed by another.
    Retrying {
        /// Which attempt failed, counted from 1.
        attempt: u32,
        /// How it ended.
        cause: Outcome,
        /// How long the next one waits.
        pause: Duration,
    },
    /// A failed attempt could have been followed by another, but is not.
    GivenUp {
        /// Which attempt failed, counted from 1.
        attempt: u32,
        /// How it ended.
        cause: Outcome,
        /// What speaks against another.
        reason: GiveUp,
    },
    /// A second attempt is sent beside one that takes long.
    Hedged,
    /// So much of a quota is used, for the first time in its window. It is told to the observers of the
    /// policy itself, because it may happen when a call ends.
    Threshold {
        /// The quota, and whose.
        limit: LimitId,
        /// In percent of what it holds.
        percent: u8,
    },
}

/// Why a failed attempt is not followed by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GiveUp {
    /// It was the last.
    Attempts,
    /// The request cannot be sent again, or not after a failure of this kind.
    Request,
    /// The upstream said not to, or not for longer than may be waited.
    Hint,
    /// The next attempt would begin too late.
    Deadline,
    /// The budget for retries is used up.
    Budget,
}

impl GiveUp {
    /// The name used in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::Request => "request",
            Self::Hint => "hint",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
        }
    }
}

/// Hears events. It is called outside every lock.
pub trait Observe {
    /// Hears an event.
    fn event(&self, event: Event);
}

impl Observe for () {
    #[inline]
    fn event(&self, _: Event) {}
}

/// Both hear every event.
impl<A: Observe, B: Observe> Observe for (A, B) {
    fn event(&self, event: Event) {
        self.0.event(event);
        self.1.event(event);
    }
}

impl<O: Observe + ?Sized> Observe for Arc<O> {
    fn event(&self, event: Event) {
        (**self).event(event);
    }
}

impl<F: Fn(Event)> Observe for F {
    fn event(&self, event: Event) {
        self(event);
    }
}

/// An admission whose decisions are observed.
///
/// Observing is a decorator, so nothing is paid without it, and gates that a queue asks again and
/// again stay silent.
#[derive(Clone, Debug)]
pub struct Observed<A, O> {
    admission: A,
    observer: O,
}

impl<A, O> Observed<A, O> {
    /// Tells `observer` what `admission` decides.
    pub const fn new(admission: A, observer: O) -> Self {
        Self {
            admission,
            observer,
        }
    }
}

impl<A: Admission, O: Observe + Clone> Admission for Observed<A, O> {
    type Demand = A::Demand;
    type Ticket = ObservedTicket<A::Ticket, O>;
    type Wait = ObservedWait<A::Wait, O>;

    fn admit(&self, demand: Self::Demand, now: &Now) -> Verdict<Self::Ticket, Self::Wait> {
        match self.admission.admit(demand, now) {
            Verdict::Now(answer) => Verdict::Now(report(answer, &self.observer)),
            Verdict::Later(wait) => {
                self.observer.event(Event::Queued);
                let waiting = Waiting {
                    observer: self.observer.clone(),
                    since: now.get(),
                };
                Verdict::Later(ObservedWait {
                    wait,
                    left: Left(Some(waiting)),
                })
            }
        }
    }
}

fn report<T: Ticket, O: Observe + Clone>(
    answer: Result<Permit<T>, Rejection>,
    observer: &O,
) -> Result<Permit<ObservedTicket<T, O>>, Rejection> {
    match answer {
        Ok(permit) => {
            let shadowed = permit.ticket().is_some_and(Ticket::shadowed);
            observer.event(Event::Admitted { shadowed });
            if permit.ticket().is_some_and(Ticket::is_probe) {
                observer.event(Event::Probing);
            }
            Ok(Permit::new(ObservedTicket {
                permit,
                observer: observer.clone(),
            }))
        }
        Err(rejection) => {
            observer.event(Event::Rejected(rejection));
            Err(rejection)
        }
    }
}

/// The ticket of an observed admission.
#[derive(Debug)]
pub struct ObservedTicket<T: Ticket, O> {
    permit: Permit<T>,
    observer: O,
}

impl<T: Ticket, O> ObservedTicket<T, O> {
    /// The ticket of the admission that is observed.
    pub const fn inner(&self) -> Option<&T> {
        self.permit.ticket()
    }
}

impl<T: Ticket, O: Observe> Ticket for ObservedTicket<T, O> {
    fn head(&mut self, outcome: Outcome, now: &Now) {
        self.permit.head(outcome, now);
        self.observer.event(Event::Head(outcome));
    }

    fn end(self, end: End, now: &Now) {
        self.permit.end(end, now);
        self.observer.event(Event::Ended(end));
    }

    fn shadowed(&self) -> bool {
        self.inner().is_some_and(Ticket::shadowed)
    }

    fn is_probe(&self) -> bool {
        self.inner().is_some_and(Ticket::is_probe)
    }

    fn key(&self) -> Option<KeyHash> {
        self.inner().and_then(Ticket::key)
    }
}

pin_project! {
    /// The wait of an observed admission.
    #[derive(Debug)]
    pub struct ObservedWait<W, O: Observe> {
        #[pin]
        wait: W,
        left: Left<O>,
    }
}

/// Who is told of a wait, and when it began.
#[derive(Debug)]
struct Waiting<O> {
    observer: O,
    since: Instant,
}

impl<O: Observe> Waiting<O> {
    /// Tells how long it was.
    fn over(self) -> O {
        let waited = now().saturating_duration_since(self.since);
        self.observer.event(Event::Waited(waited));
        self.observer
    }
}

/// Tells of a waiter that went away.
#[derive(Debug)]
struct Left<O: Observe>(Option<Waiting<O>>);

impl<O: Observe> Drop for Left<O> {
    fn drop(&mut self) {
        if let Some(waiting) = self.0.take() {
            waiting.over().event(Event::Left);
        }
    }
}

impl<T, W, O> Future for ObservedWait<W, O>
where
    T: Ticket,
    W: Future<Output = Result<Permit<T>, Rejection>>,
    O: Observe + Clone,
{
    type Output = Result<Permit<ObservedTicket<T, O>>, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.wait.poll(cx));
        let waiting = this
            .left
            .0
            .take()
            .expect("a future is not polled after it was ready");
        Poll::Ready(report(answer, &waiting.over()))
    }
}
