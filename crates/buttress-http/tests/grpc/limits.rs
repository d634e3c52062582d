//! A limit of so many calls a key, that tells what becomes of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_core::{
    AdmitLayer, Ask, AtHead, Describe, End, Key, KeyHash, LimitId, MissingKey, Now, Outcome, Path,
    Permit, Policy, PolicyId, Reason, Rejection, Seed, Standing, Ticket, When,
};
use buttress_http::{ByGrpcStatus, GrpcAnswer};
use http::Request;
use tokio::sync::mpsc;

/// How long refused calls are to wait.
pub(crate) const WAIT: Duration = Duration::from_micros(2_500);

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Heard {
    Admitted,
    Head(Outcome),
    End(End),
}

/// Hears what becomes of the calls, in order.
pub(crate) type Events = mpsc::UnboundedReceiver<Heard>;

/// Admits so many calls of each key.
#[derive(Debug)]
pub(crate) struct Calls {
    id: PolicyId,
    each: u32,
    seen: Mutex<HashMap<KeyHash, u32>>,
    events: mpsc::UnboundedSender<Heard>,
}

/// Tells what becomes of a call.
#[derive(Debug)]
pub(crate) struct Call(mpsc::UnboundedSender<Heard>);

/// Reads the key of a call.
#[derive(Clone, Debug)]
pub(crate) struct ByKey<K>(pub(crate) K, Seed);

/// Describes the limit.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    each: u32,
    missing: MissingKey,
}

/// A layer of it all.
pub(crate) type Limit<K, C> = AdmitLayer<ByKey<K>, Arc<Calls>, C, GrpcAnswer<Described>>;

/// Admits `each` calls of each key, and settles them at the head.
pub(crate) fn limit<K: Key<Request<()>>>(
    key: K,
    each: u32,
) -> (Limit<K, AtHead<ByGrpcStatus>>, Events) {
    limit_settling(key, each, AtHead(ByGrpcStatus::default()))
}

/// Admits `each` calls of each key.
pub(crate) fn limit_settling<K, C>(key: K, each: u32, settle: C) -> (Limit<K, C>, Events)
where
    K: Key<Request<()>>,
{
    let (sender, events) = mpsc::unbounded_channel();
    let missing = key.missing();
    let layer = AdmitLayer::from_path(Path {
        ask: ByKey(key, Seed::fixed(1)),
        admission: Arc::new(Calls {
            id: PolicyId::unique(),
            each,
            seen: Mutex::default(),
            events: sender,
        }),
        settle,
        on_reject: GrpcAnswer::new(Described { each, missing }),
    });
    (layer, events)
}

/// What was heard until now.
pub(crate) fn heard(events: &mut Events) -> Vec<Heard> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

impl<B, K: Key<Request<B>>> Ask<Request<B>> for ByKey<K> {
    type Demand = KeyHash;

    fn ask(&self, request: &Request<B>, _: &Now) -> Result<Option<KeyHash>, Rejection> {
        let mut hasher = self.1.hasher();
        if self.0.hash_key(request, &mut hasher) {
            return Ok(Some(hasher.finish()));
        }
        Err(Rejection::new(Reason::MissingKey, When::Never))
    }
}

impl Policy for Calls {
    type Demand = KeyHash;
    type Ticket = Call;

    fn would_admit(&self, key: &KeyHash, _: &Now) -> Result<(), Rejection> {
        let seen = self
            .seen
            .lock()
            .expect("no other thread panicked")
            .get(key)
            .copied();
        if seen.unwrap_or_default() < self.each {
            return Ok(());
        }
        Err(
            Rejection::new(Reason::RateLimit, When::After(WAIT)).by(LimitId {
                policy: self.id,
                key: *key,
                quota: 0,
            }),
        )
    }

    fn try_admit(&self, key: &KeyHash, now: &Now) -> Result<Permit<Call>, Rejection> {
        self.would_admit(key, now)?;
        *self
            .seen
            .lock()
            .expect("no other thread panicked")
            .entry(*key)
            .or_default() += 1;
        let call = Call(self.events.clone());
        call.tell(Heard::Admitted);
        Ok(Permit::new(call))
    }
}

impl Call {
    fn tell(&self, heard: Heard) {
        // The test may have heard enough.
        let _ = self.0.send(heard);
    }
}

impl Ticket for Call {
    fn head(&mut self, outcome: Outcome, _: &Now) {
        self.tell(Heard::Head(outcome));
    }

    fn end(self, end: End, _: &Now) {
        self.tell(Heard::End(end));
    }
}

impl Describe for Described {
    fn standings(&self, _: KeyHash, _: &Now, each: &mut dyn FnMut(Standing<'_>)) {
        each(Standing {
            quota: 0,
            name: "calls",
            capacity: self.each.into(),
            window: Duration::from_secs(1),
            remaining: 0,
            until_more: Some(WAIT),
        });
    }

    fn missing_key(&self) -> MissingKey {
        self.missing.clone()
    }
}
