//! Who decides.

use std::sync::Arc;
use std::task::Waker;

use crate::permit::{Permit, Ticket};
use crate::rejection::{LimitId, Rejection};
use crate::time::Now;

/// Decides at once and never waits.
///
/// A policy does not know the request's type: its state is built before any request is seen, and a
/// queue asks it again and again without the request. A tuple of policies is a policy: all admit, or
/// none stays spent.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not decide at once, so it is no policy",
    note = "an admission that waits (a queue, `.wait(..)`, a remote store) cannot be a gate of a queue or part of a tuple"
)]
pub trait Policy {
    /// What must be known of a request.
    type Demand;
    /// What is remembered of an admission.
    type Ticket: Ticket;

    /// Whether the demand would be admitted now. It spends nothing.
    ///
    /// # Errors
    ///
    /// The rejection that [`try_admit`](Self::try_admit) would answer with.
    fn would_admit(&self, demand: &Self::Demand, now: &Now) -> Result<(), Rejection>;

    /// Admits the demand and spends what it asks for, in one step.
    ///
    /// # Errors
    ///
    /// A rejection, and then nothing is spent.
    fn try_admit(
        &self,
        demand: &Self::Demand,
        now: &Now,
    ) -> Result<Permit<Self::Ticket>, Rejection>;

    /// Takes back an admission that was never used, so that it is as if it had not been.
    fn release(&self, demand: &Self::Demand, permit: Permit<Self::Ticket>, now: &Now) {
        let _ = demand;
        permit.end(crate::End::Released, now);
    }

    /// Tells every refusal that the demand would meet now, where [`would_admit`](Self::would_admit) tells the
    /// first: a tuple those of all its members, a policy with several quotas one for each quota that refuses,
    /// with the time of that quota. It spends nothing, and `each` is called outside every lock.
    ///
    /// By this a queue refuses at once for whom waiting for one limit is of no use because of another, and
    /// saves for all limits that somebody lacks, for each until that one has room.
    fn refusals(&self, demand: &Self::Demand, now: &Now, each: &mut dyn FnMut(Rejection)) {
        if let Err(rejection) = self.would_admit(demand, now) {
            each(rejection);
        }
    }

    /// Whether the demand needs the limit: a waiter held back by it holds back those that do.
    fn touches(&self, demand: &Self::Demand, limit: LimitId) -> bool {
        let _ = (demand, limit);
        true
    }

    /// Tells the limits that the demand needs: first as a rejection of this demand names it, then by the one
    /// name under which all demands know it that need it. The names differ where a limit is kept for all keys
    /// together: the second has [`KeyHash::EVERYONE`](crate::KeyHash::EVERYONE) for its key. About a limit
    /// that is not told here [`touches`](Self::touches) is asked.
    ///
    /// By this a queue finds who holds a waiter back without looking at everybody who waits.
    fn limits(&self, demand: &Self::Demand, each: &mut dyn FnMut(LimitId, LimitId)) {
        let _ = (demand, each);
    }

    /// Asks to be woken once when room may have become free for another reason than time: a settled
    /// permit, a refund, a reset, a changed limit. A breaker wakes also when it opens: whoever is held back
    /// by something else is refused then.
    fn subscribe(&self, waker: &Waker) {
        let _ = waker;
    }
}

impl<P: Policy + ?Sized> Policy for Arc<P> {
    type Demand = P::Demand;
    type Ticket = P::Ticket;

    #[inline]
    fn would_admit(&self, demand: &Self::Demand, now: &Now) -> Result<(), Rejection> {
        (**self).would_admit(demand, now)
    }

    #[inline]
    fn try_admit(
        &self,
        demand: &Self::Demand,
        now: &Now,
    ) -> Result<Permit<Self::Ticket>, Rejection> {
        (**self).try_admit(demand, now)
    }

    fn release(&self, demand: &Self::Demand, permit: Permit<Self::Ticket>, now: &Now) {
        (**self).release(demand, permit, now);
    }

    fn refusals(&self, demand: &Self::Demand, now: &Now, each: &mut dyn FnMut(Rejection)) {
        (**self).refusals(demand, now, each);
    }

    fn touches(&self, demand: &Self::Demand, limit: LimitId) -> bool {
        (**self).touches(demand, limit)
    }

    fn limits(&self, demand: &Self::Demand, each: &mut dyn FnMut(LimitId, LimitId)) {
        (**self).limits(demand, each);
    }

    fn subscribe(&self, waker: &Waker) {
        (**self).subscribe(waker);
    }
}

/// A policy that may be absent, as a configuration has it: an absent one admits everything.
impl<P: Policy> Policy for Option<P> {
    type Demand = P::Demand;
    type Ticket = P::Ticket;

    fn would_admit(&self, demand: &P::Demand, now: &Now) -> Result<(), Rejection> {
        match self {
            Some(policy) => policy.would_admit(demand, now),
            None => Ok(()),
        }
    }

    fn try_admit(&self, demand: &P::Demand, now: &Now) -> Result<Permit<P::Ticket>, Rejection> {
        match self {
            Some(policy) => policy.try_admit(demand, now),
            None => Ok(Permit::exempt()),
        }
    }

    fn release(&self, demand: &P::Demand, permit: Permit<P::Ticket>, now: &Now) {
        if let Some(policy) = self {
            policy.release(demand, permit, now);
        }
    }

    fn refusals(&self, demand: &P::Demand, now: &Now, each: &mut dyn FnMut(Rejection)) {
        if let Some(policy) = self {
            policy.refusals(demand, now, each);
        }
    }

    fn touches(&self, demand: &P::Demand, limit: LimitId) -> bool {
        self.as_ref()
            .is_some_and(|policy| policy.touches(demand, limit))
    }

    fn limits(&self, demand: &P::Demand, each: &mut dyn FnMut(LimitId, LimitId)) {
        if let Some(policy) = self {
            policy.limits(demand, each);
        }
    }

    fn subscribe(&self, waker: &Waker) {
        if let Some(policy) = self {
            policy.subscribe(waker);
        }
    }
}

/// A policy of a tuple, asked only if the request was not exempt from it.
fn admit_member<P: Policy>(
    policy: &P,
    demand: Option<&P::Demand>,
    now: &Now,
) -> Result<Permit<P::Ticket>, Rejection> {
    match demand {
        Some(demand) => policy.try_admit(demand, now),
        None => Ok(Permit::exempt()),
    }
}

fn release_member<P: Policy>(
    policy: &P,
    demand: Option<&P::Demand>,
    permit: Permit<P::Ticket>,
    now: &Now,
) {
    if let Some(demand) = demand {
        policy.release(demand, permit, now);
    }
}

macro_rules! tuple_policy {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Policy),+> Policy for ($($name,)+) {
            type Demand = ($(Option<$name::Demand>,)+);
            type Ticket = ($(Permit<$name::Ticket>,)+);

            fn would_admit(&self, demand: &Self::Demand, now: &Now) -> Result<(), Rejection> {
                $(
                    if let Some(demand) = &demand.$index {
                        self.$index.would_admit(demand, now)?;
                    }
                )+
                Ok(())
            }

            fn try_admit(
                &self,
                demand: &Self::Demand,
                now: &Now,
            ) -> Result<Permit<Self::Ticket>, Rejection> {
                // Rolling back wakes those who wait for what it gives back, the caller among them; so
                // everything is checked before anything is spent, and the rollback is for races.
                self.would_admit(demand, now)?;
                let mut spent = ($(None::<Permit<$name::Ticket>>,)+);
                let result = (|| {
                    $(spent.$index = Some(admit_member(&self.$index, demand.$index.as_ref(), now)?);)+
                    Ok(())
                })();
                if let Err(rejection) = result {
                    $(
                        if let Some(permit) = spent.$index {
                            release_member(&self.$index, demand.$index.as_ref(), permit, now);
                        }
                    )+
                    return Err(rejection);
                }
                Ok(Permit::new(($(spent.$index.unwrap_or_else(Permit::exempt),)+)))
            }

            fn release(&self, demand: &Self::Demand, permit: Permit<Self::Ticket>, now: &Now) {
                if let Some(permits) = permit.into_ticket() {
                    $(release_member(&self.$index, demand.$index.as_ref(), permits.$index, now);)+
                }
            }

            fn refusals(
                &self,
                demand: &Self::Demand,
                now: &Now,
                each: &mut dyn FnMut(Rejection),
            ) {
                $(
                    if let Some(demand) = &demand.$index {
                        self.$index.refusals(demand, now, each);
                    }
                )+
            }

            fn touches(&self, demand: &Self::Demand, limit: LimitId) -> bool {
                $(
                    demand.$index.as_ref().is_some_and(|demand| self.$index.touches(demand, limit))
                )||+
            }

            fn limits(&self, demand: &Self::Demand, each: &mut dyn FnMut(LimitId, LimitId)) {
                $(
                    if let Some(demand) = &demand.$index {
                        self.$index.limits(demand, each);
                    }
                )+
            }

            fn subscribe(&self, waker: &Waker) {
                $(self.$index.subscribe(waker);)+
            }
        }
    };
}

tuple_policy!(A 0, B 1);
tuple_policy!(A 0, B 1, C 2);
tuple_policy!(A 0, B 1, C 2, D 3);
