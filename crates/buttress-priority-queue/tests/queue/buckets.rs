//! Token buckets as plain as can be, to stand behind a queue: one per key, one for all keys together, and
//! keys that are shut as a breaker shuts them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::Duration;

use buttress_core::time::Instant;
use buttress_core::{
    End, KeyHash, LimitId, Now, Permit, Policy, PolicyId, Reason, Rejection, Ticket, When,
};

/// Which bucket a cost is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Name {
    Of(char),
    OfAll,
}

/// What a request takes, and from whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) key: char,
    pub(crate) units: u32,
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    every: Duration,
    burst: u32,
}

#[derive(Debug, Default)]
struct Books {
    /// When a bucket is full again.
    full_at: HashMap<Name, Instant>,
    shut: HashSet<char>,
    subscribers: Vec<Waker>,
}

impl Books {
    /// How long until a bucket holds so many units.
    fn wait(&self, name: Name, rule: Rule, units: u32, now: &Now) -> Duration {
        let full_at = self.full_at.get(&name).copied().unwrap_or(now.get());
        let filled_by = full_at.max(now.get()) + rule.every * units;
        filled_by.saturating_duration_since(now.get() + rule.every * rule.burst)
    }
}

/// The policy. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Buckets {
    id: PolicyId,
    keyed: Rule,
    global: Option<Rule>,
    books: Arc<Mutex<Books>>,
}

impl Buckets {
    /// A unit for each key every so often, and so many at most.
    pub(crate) fn new(every: Duration, burst: u32) -> Self {
        Self {
            id: PolicyId::unique(),
            keyed: Rule { every, burst },
            global: None,
            books: Arc::default(),
        }
    }

    /// And for all keys together.
    pub(crate) fn global(mut self, every: Duration, burst: u32) -> Self {
        self.global = Some(Rule { every, burst });
        self
    }

    /// The bucket of a key is full, and whoever waits hears of it.
    pub(crate) fn reset(&self, key: char) {
        self.books().full_at.remove(&Name::Of(key));
        self.wake();
    }

    /// Refuses a key from now on, or no more.
    pub(crate) fn shut(&self, key: char, shut: bool) {
        match shut {
            true => self.books().shut.insert(key),
            false => self.books().shut.remove(&key),
        };
        self.wake();
    }

    fn wake(&self) {
        let subscribers = std::mem::take(&mut self.books().subscribers);
        subscribers.into_iter().for_each(Waker::wake);
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    fn buckets(&self, key: char) -> impl Iterator<Item = (Name, Rule)> {
        let global = self.global.map(|rule| (Name::OfAll, rule));
        std::iter::once((Name::Of(key), self.keyed)).chain(global)
    }

    /// As a rejection of this key names it.
    fn limit(&self, name: Name, key: char) -> LimitId {
        LimitId {
            policy: self.id,
            key: KeyHash::from_number(u64::from(u32::from(key))),
            quota: u8::from(name == Name::OfAll),
        }
    }
}

impl Policy for Buckets {
    type Demand = Cost;
    type Ticket = Taken;

    fn would_admit(&self, cost: &Cost, now: &Now) -> Result<(), Rejection> {
        let books = self.books();
        if books.shut.contains(&cost.key) {
            return Err(Rejection::new(Reason::CircuitOpen, When::Unknown));
        }
        let mut longest: Option<(Duration, Name)> = None;
        for (name, rule) in self.buckets(cost.key) {
            if cost.units > rule.burst {
                let never = Rejection::new(Reason::RateLimit, When::Never);
                return Err(never.by(self.limit(name, cost.key)));
            }
            let wait = books.wait(name, rule, cost.units, now);
            if !wait.is_zero() && longest.is_none_or(|(longest, _)| wait > longest) {
                longest = Some((wait, name));
            }
        }
        match longest {
            None => Ok(()),
            Some((wait, name)) => {
                let rejection = Rejection::new(Reason::RateLimit, When::After(wait));
                Err(rejection.by(self.limit(name, cost.key)))
            }
        }
    }

    fn try_admit(&self, cost: &Cost, now: &Now) -> Result<Permit<Taken>, Rejection> {
        self.would_admit(cost, now)?;
        let mut books = self.books();
        for (name, Rule { every, .. }) in self.buckets(cost.key) {
            let full_at = books.full_at.entry(name).or_insert(now.get());
            *full_at = (*full_at).max(now.get()) + every * cost.units;
        }
        Ok(Permit::new(Taken {
            buckets: self.clone(),
            cost: *cost,
        }))
    }

    fn refusals(&self, cost: &Cost, now: &Now, each: &mut dyn FnMut(Rejection)) {
        match self.would_admit(cost, now) {
            Err(rejection) if rejection.retry_after().is_some() => {}
            answer => return answer.err().into_iter().for_each(each),
        }
        for (name, rule) in self.buckets(cost.key) {
            let wait = self.books().wait(name, rule, cost.units, now);
            if !wait.is_zero() {
                let rejection = Rejection::new(Reason::RateLimit, When::After(wait));
                each(rejection.by(self.limit(name, cost.key)));
            }
        }
    }

    fn limits(&self, cost: &Cost, each: &mut dyn FnMut(LimitId, LimitId)) {
        for (name, _) in self.buckets(cost.key) {
            let said = self.limit(name, cost.key);
            let key = match name {
                Name::Of(_) => said.key,
                Name::OfAll => KeyHash::EVERYONE,
            };
            each(said, LimitId { key, ..said });
        }
    }

    fn subscribe(&self, waker: &Waker) {
        self.books().subscribers.push(waker.clone());
    }
}

/// What was taken; it comes back only if it was never used.
#[derive(Debug)]
pub(crate) struct Taken {
    buckets: Buckets,
    cost: Cost,
}

impl Ticket for Taken {
    fn end(self, end: End, _: &Now) {
        if end != End::Released {
            return;
        }
        let Self { buckets, cost } = self;
        for (name, Rule { every, .. }) in buckets.buckets(cost.key) {
            if let Some(full_at) = buckets.books().full_at.get_mut(&name) {
                *full_at -= every * cost.units;
            }
        }
        buckets.wake();
    }
}
