//! What a queue asks before it hands out a place.

use std::sync::Arc;
use std::task::Waker;

use buttress_core::{LimitId, Now, Permit, Policy, Rejection};

use crate::blocked::Lines;
use crate::notifier::Notifier;
use crate::queue::Key;
use crate::state::{Name, is_final};

pub(crate) struct Gates<G> {
    pub(crate) policy: G,
    pub(crate) notifier: Arc<Notifier>,
    waker: Waker,
}

impl<G: Policy> Gates<G> {
    pub(crate) fn new(policy: G) -> Self {
        let notifier = Arc::new(Notifier::new());
        Self {
            policy,
            waker: Waker::from(Arc::clone(&notifier)),
            notifier,
        }
    }

    /// Asks all gates, as one decision.
    #[inline]
    pub(crate) fn ask(
        &self,
        demand: Option<&G::Demand>,
        now: &Now,
    ) -> Result<Permit<G::Ticket>, Rejection> {
        let Some(demand) = demand else {
            return Ok(Permit::exempt());
        };
        match self.policy.try_admit(demand, now) {
            // What became free between the refusal and the subscription would be heard of by nobody.
            Err(rejection) if !is_final(&rejection) && self.notifier.subscribes() => {
                self.policy.subscribe(&self.waker);
                self.policy.try_admit(demand, now)
            }
            answer => answer,
        }
    }

    /// What somebody is held back by: what somebody ahead was refused by, and it needs too.
    pub(crate) fn held_by(
        &self,
        demand: &G::Demand,
        key: Key,
        lines: &Lines<Name>,
        asked: &[LimitId],
    ) -> Option<Name> {
        if lines.is_empty() {
            return None;
        }
        if lines.holds(Name::Unnamed, key) {
            return Some(Name::Unnamed);
        }
        let mut found = None;
        self.policy.limits(demand, &mut |_, shared| {
            let name = Name::Limit(shared);
            if found.is_none() && lines.holds(name, key) {
                found = Some(name);
            }
        });
        found.or_else(|| {
            let mut names = asked.iter().map(|limit| (*limit, Name::Asked(*limit)));
            let held = names.find(|(limit, name)| {
                lines.holds(*name, key) && self.policy.touches(demand, *limit)
            });
            held.map(|(_, name)| name)
        })
    }

    /// The name of what refused somebody.
    pub(crate) fn name_of(&self, demand: &G::Demand, rejection: &Rejection) -> Name {
        let Some(limit) = rejection.limit() else {
            return Name::Unnamed;
        };
        let mut name = Name::Asked(limit);
        self.policy.limits(demand, &mut |said, shared| {
            if said == limit {
                name = Name::Limit(shared);
            }
        });
        name
    }
}
