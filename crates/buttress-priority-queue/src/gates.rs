//! What a queue asks before it hands out a place.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

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

    /// The refusal for which waiting does not help, if there is one among all that the demand would meet.
    pub(crate) fn last_word(&self, demand: &G::Demand, now: &Now) -> Option<Rejection> {
        let mut last_word = None;
        self.policy.refusals(demand, now, &mut |rejection| {
            last_word = last_word.or(Some(rejection).filter(is_final));
        });
        last_word
    }

    /// All that somebody lacks who was refused, what refused it first.
    ///
    /// # Errors
    ///
    /// The refusal for which waiting does not help.
    pub(crate) fn lacks(
        &self,
        demand: &G::Demand,
        refused: Rejection,
        now: &Now,
        lacks: &mut Vec<Lack>,
    ) -> Result<(), Rejection> {
        lacks.clear();
        let mut last_word = Some(refused).filter(is_final);
        if last_word.is_none() {
            self.note(demand, &refused, lacks);
            self.policy
                .refusals(demand, now, &mut |rejection| match is_final(&rejection) {
                    true => last_word = last_word.or(Some(rejection)),
                    false => self.note(demand, &rejection, lacks),
                });
        }
        last_word.map_or(Ok(()), Err)
    }

    /// Notes what refuses, by the name that all who need it know.
    fn note(&self, demand: &G::Demand, rejection: &Rejection, lacks: &mut Vec<Lack>) {
        let mut name = rejection.limit().map_or(Name::Unnamed, Name::Asked);
        if let Some(limit) = rejection.limit() {
            self.policy.limits(demand, &mut |said, shared| {
                if said == limit {
                    name = Name::Limit(shared);
                }
            });
        }
        if !lacks.iter().any(|lack| lack.name == name) {
            let wait = rejection.retry_after();
            lacks.push(Lack { name, wait });
        }
    }
}

/// What somebody lacks, and in how long that comes, if it is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lack {
    pub(crate) name: Name,
    pub(crate) wait: Option<Duration>,
}
