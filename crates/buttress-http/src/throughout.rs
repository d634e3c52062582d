//! Permits that are held until the body has ended, whatever its head says.

use buttress_core::{Classify, End, KeyHash, Now, Outcome, Permit, Settle, Ticket, Usage};
use http::Response;
use http_body::Body;

use crate::body::{PermitBody, hold};
use crate::classify::ByStatus;
use crate::usage::Measure;

/// Holds the permit until the body has ended, also that of a head that is no success: what is limited is how
/// many responses are on their way, and a long page of error is one.
///
/// The permit hears of the head at once, and of a response that is not 2xx that nothing was used. How the
/// call ended is what its head said, unless that was a success and the body broke off or was left. What a
/// body used is told when it has ended, as `M` measures it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Throughout<C = ByStatus, M = ()> {
    classify: C,
    measure: M,
}

impl<C> Throughout<C> {
    /// How a call went, as its head tells.
    #[must_use]
    pub const fn new(classify: C) -> Self {
        let measure = ();
        Self { classify, measure }
    }

    /// How a call went, for whoever settles in another way.
    #[must_use]
    pub fn into_classify(self) -> C {
        self.classify
    }

    /// Tells gates such as budgets what was used.
    #[must_use]
    pub fn measure<M: Measure>(self, measure: M) -> Throughout<C, M> {
        let classify = self.classify;
        Throughout { classify, measure }
    }
}

/// A permit, and what the head has said if that is final.
#[derive(Debug)]
pub struct Told<T: Ticket> {
    permit: Permit<T>,
    said: Option<Outcome>,
}

impl<T: Ticket> Ticket for Told<T> {
    fn end(self, end: End, now: &Now) {
        let end = match (self.said, end) {
            (Some(said), End::Settled(_, usage) | End::Cancelled(usage)) => {
                End::Settled(said, usage)
            }
            (_, end) => end,
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

impl<B, E, T, M, C> Settle<Response<B>, E, T> for Throughout<C, M>
where
    B: Body,
    T: Ticket,
    M: Measure,
    C: Classify<Response<B>, E>,
{
    type Response = Response<PermitBody<B, Told<T>, M::Reader>>;

    fn settle(
        &self,
        result: Result<Response<B>, E>,
        mut permit: Permit<T>,
        now: &Now,
    ) -> Result<Self::Response, E> {
        let outcome = self.classify.classify(result.as_ref());
        permit.head(outcome, now);
        let (parts, inner) = match result {
            Ok(response) => response.into_parts(),
            Err(error) => {
                permit.end(End::Settled(outcome, None), now);
                return Err(error);
            }
        };
        if outcome == Outcome::Success && !parts.status.is_success() {
            permit.used(Usage::NOTHING, now);
        }
        let said = (outcome != Outcome::Success).then_some(outcome);
        let held = (
            Permit::new(Told { permit, said }),
            self.measure.begin(&parts),
        );
        Ok(hold(parts, inner, Some(held), now))
    }
}
