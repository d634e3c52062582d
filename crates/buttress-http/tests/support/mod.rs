//! A policy that describes what a test tells it.

#![expect(dead_code, reason = "each test uses a part of it")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_core::{
    Describe, End, KeyHash, LimitId, MissingKey, Now, Outcome, PolicyId, Reason, Rejection, Seed,
    Standing, Ticket, When,
};

/// A quota of a test.
#[derive(Clone, Debug)]
pub(crate) struct Stands {
    pub(crate) name: String,
    pub(crate) capacity: u64,
    pub(crate) window: Duration,
    pub(crate) remaining: u64,
    pub(crate) until_more: Option<Duration>,
}

pub(crate) fn stands(
    name: &str,
    capacity: u64,
    seconds: u64,
    remaining: u64,
    millis: u64,
) -> Stands {
    Stands {
        name: name.to_owned(),
        capacity,
        window: Duration::from_secs(seconds),
        remaining,
        until_more: (millis > 0).then(|| Duration::from_millis(millis)),
    }
}

/// Describes the same quotas for every key but those that have their own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) quotas: Arc<Mutex<Vec<Stands>>>,
    pub(crate) special: Option<(KeyHash, Vec<Stands>)>,
}

impl Limits {
    pub(crate) fn new(quotas: impl Into<Vec<Stands>>) -> Self {
        Self {
            quotas: Arc::new(Mutex::new(quotas.into())),
            special: None,
        }
    }
}

impl Describe for Limits {
    fn standings(&self, key: KeyHash, _: &Now, each: &mut dyn FnMut(Standing<'_>)) {
        let quotas = match &self.special {
            Some((special, quotas)) if *special == key => quotas.clone(),
            _ => self
                .quotas
                .lock()
                .expect("no other thread panicked")
                .clone(),
        };
        for (index, quota) in quotas.iter().enumerate() {
            each(Standing {
                quota: u8::try_from(index).expect("few quotas"),
                name: &quota.name,
                capacity: quota.capacity,
                window: quota.window,
                remaining: quota.remaining,
                until_more: quota.until_more,
            });
        }
    }

    fn missing_key(&self) -> MissingKey {
        MissingKey::new("The request has no \"x-tenant\".")
    }
}

pub(crate) fn key(text: &str) -> KeyHash {
    Seed::fixed(1).hash(text)
}

/// A refusal by these quotas, for the key `"client"`.
pub(crate) fn refused(reason: Reason, when: When, quotas: &[u8]) -> Rejection {
    let mut rejection = Rejection::new(reason, when);
    for &quota in quotas {
        rejection = rejection.by(LimitId {
            policy: PolicyId::unique(),
            key: key("client"),
            quota,
        });
    }
    rejection
}

pub(crate) fn after(millis: u64) -> When {
    When::After(Duration::from_millis(millis))
}

/// What tickets heard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    pub(crate) heads: Arc<Mutex<Vec<Outcome>>>,
    pub(crate) ends: Arc<Mutex<Vec<End>>>,
}

impl Heard {
    pub(crate) fn ticket(&self, key: Option<KeyHash>) -> Listening {
        Listening {
            heard: self.clone(),
            key,
        }
    }

    pub(crate) fn ends(&self) -> Vec<End> {
        self.ends.lock().expect("no other thread panicked").clone()
    }

    pub(crate) fn heads(&self) -> Vec<Outcome> {
        self.heads.lock().expect("no other thread panicked").clone()
    }
}

/// A ticket that writes down what it hears.
#[derive(Debug)]
pub(crate) struct Listening {
    heard: Heard,
    key: Option<KeyHash>,
}

impl Ticket for Listening {
    fn head(&mut self, outcome: Outcome, _: &Now) {
        self.heard
            .heads
            .lock()
            .expect("no other thread panicked")
            .push(outcome);
    }

    fn end(self, end: End, _: &Now) {
        self.heard
            .ends
            .lock()
            .expect("no other thread panicked")
            .push(end);
    }

    fn key(&self) -> Option<KeyHash> {
        self.key
    }
}
