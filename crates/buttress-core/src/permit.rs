//! What an admitted request holds.

use std::cell::Cell;

use crate::key::KeyHash;
use crate::outcome::{Outcome, Usage};
use crate::time::Now;

/// How a permit ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// The call came to its end, with what it used if somebody measured it.
    Settled(Outcome, Option<Usage>),
    /// The caller went away first, with what had been used until then if somebody measured it. If the request
    /// still waited in a layer further in, and so had not been sent, that is [`Usage::NOTHING`].
    Cancelled(Option<Usage>),
    /// The permit was never used: nothing was sent.
    Released,
}

/// What a policy remembers of an admission: plain data, which hears how the request went on.
///
/// A ticket has no `Drop` of its own (a type with `Drop` cannot be taken apart by value);
/// [`Permit`] is the guard, written once.
pub trait Ticket {
    /// The head of the response has come, or the error that stands in its place. Breakers and adaptive
    /// limits must not wait for the end of a long body to learn of a refusal.
    fn head(&mut self, outcome: Outcome, now: &Now) {
        let _ = (outcome, now);
    }

    /// What the call has used is known although it goes on: a head can tell that nothing was done while its
    /// body is still to come.
    fn used(&mut self, usage: Usage, now: &Now) {
        let _ = (usage, now);
    }

    /// The permit has ended. It is called exactly once.
    fn end(self, end: End, now: &Now);

    /// Whether the policy would have refused if it were not in shadow mode.
    fn shadowed(&self) -> bool {
        false
    }

    /// The key that the request was admitted for, if the policy keeps its limits by one:
    /// [`Describe`](crate::Describe) tells where they stand.
    fn key(&self) -> Option<KeyHash> {
        None
    }
}

/// A policy that keeps nothing.
impl Ticket for () {
    #[inline]
    fn end(self, _: End, _: &Now) {}
}

macro_rules! tuple_ticket {
    ($($name:ident)+) => {
        #[expect(non_snake_case, reason = "one name serves for the type and its value")]
        impl<$($name: Ticket),+> Ticket for ($(Permit<$name>,)+) {
            fn head(&mut self, outcome: Outcome, now: &Now) {
                let ($($name,)+) = self;
                $($name.head(outcome, now);)+
            }

            fn used(&mut self, usage: Usage, now: &Now) {
                let ($($name,)+) = self;
                $($name.used(usage, now);)+
            }

            fn end(self, end: End, now: &Now) {
                let ($($name,)+) = self;
                $($name.end(end, now);)+
            }

            fn shadowed(&self) -> bool {
                let ($($name,)+) = self;
                $($name.ticket().is_some_and(Ticket::shadowed))||+
            }
        }
    };
}

tuple_ticket!(A B);
tuple_ticket!(A B C);
tuple_ticket!(A B C D);

/// The right to go on, for as long as it lives.
///
/// Dropping it means that the caller went away ([`End::Cancelled`]), or that a timeout of ours cut the
/// call off if it is dropped inside [`as_timed_out`], or that its response was not needed to the end if it
/// is dropped inside [`as_settled`]. While the request runs [`Admit`](crate::Admit) holds its permit; if a layer
/// further in still has it wait when its future is dropped, the permit hears that nothing was used.
#[must_use = "dropping a permit cancels it"]
#[derive(Debug)]
pub struct Permit<T: Ticket>(Option<T>);

impl<T: Ticket> Permit<T> {
    /// Guards a ticket.
    #[inline]
    pub const fn new(ticket: T) -> Self {
        Self(Some(ticket))
    }

    /// The permit of a request that no policy was asked about.
    #[inline]
    pub const fn exempt() -> Self {
        Self(None)
    }

    /// The ticket, unless the request was exempt.
    #[inline]
    pub const fn ticket(&self) -> Option<&T> {
        self.0.as_ref()
    }

    /// Tells the ticket of the response's head.
    #[inline]
    pub fn head(&mut self, outcome: Outcome, now: &Now) {
        if let Some(ticket) = &mut self.0 {
            ticket.head(outcome, now);
        }
    }

    /// Tells the ticket what the call has used, although it goes on.
    pub fn used(&mut self, usage: Usage, now: &Now) {
        if let Some(ticket) = &mut self.0 {
            ticket.used(usage, now);
        }
    }

    /// Ends the permit.
    #[inline]
    pub fn end(mut self, end: End, now: &Now) {
        if let Some(ticket) = self.0.take() {
            ticket.end(end, now);
        }
    }

    /// Ends the permit as dropping it does, with what had been used until then.
    pub fn leave(mut self, usage: Option<Usage>, now: &Now) {
        if let Some(ticket) = self.0.take() {
            ticket.end(dropped(usage), now);
        }
    }

    /// Takes the ticket out without ending it.
    #[inline]
    pub fn into_ticket(mut self) -> Option<T> {
        self.0.take()
    }
}

impl<T: Ticket> Drop for Permit<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.0.take() {
            ticket.end(dropped(None), &Now::new());
        }
    }
}

/// How a permit ends that is dropped.
fn dropped(usage: Option<Usage>) -> End {
    match DROPPED_AS.try_with(Cell::get) {
        Ok(Some(outcome)) => End::Settled(outcome, usage),
        _ => End::Cancelled(usage),
    }
}

thread_local! {
    static DROPPED_AS: Cell<Option<Outcome>> = const { Cell::new(None) };
}

/// Runs `f`, in which dropped permits count as timed out instead of cancelled.
///
/// Retry and timeout drop what they cut off through this, so that a hanging upstream opens a breaker
/// below them whatever lies between, and no permit has to carry a deadline.
pub fn as_timed_out<R>(f: impl FnOnce() -> R) -> R {
    dropping_as(Outcome::TimedOut, f)
}

/// Runs `f`, in which dropped permits count as settled by the head of their response instead of
/// cancelled. That head was a success, as any other ends a permit when it comes.
///
/// Retry drops a response through this whose body nobody needs, because another attempt follows: no
/// caller has gone away.
pub fn as_settled<R>(f: impl FnOnce() -> R) -> R {
    dropping_as(Outcome::Success, f)
}

fn dropping_as<R>(outcome: Outcome, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Outcome>);

    impl Drop for Restore {
        fn drop(&mut self) {
            DROPPED_AS.set(self.0);
        }
    }

    let _restore = Restore(DROPPED_AS.replace(Some(outcome)));
    f()
}
