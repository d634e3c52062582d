//! How a stack reads its requests.

use std::fmt;
use std::sync::Arc;

use buttress_core::time::Instant;
use buttress_core::{Describe, Key, KeyHash, KeyHasher, MissingKey, Now, Standing, Usage};
use buttress_http::{CallDeadline, Measure, ReadUsage};
use buttress_priority_queue::{Priority, PriorityOf, Urgency};
use buttress_rate_limit::Cost;
use buttress_token_budget::{Amounts, Estimate};
use http::Request;
use http::response::Parts;

use crate::body::StackBody;

/// A request as a stack sees it.
pub type StackRequest = Request<StackBody>;

/// Reads one thing of every request.
type Reads<T> = Arc<dyn Fn(&StackRequest) -> T + Send + Sync>;

/// What limits are kept by.
#[derive(Clone)]
pub(crate) struct AnyKey(Arc<dyn Key<StackRequest> + Send + Sync>);

/// How requests are read: what was said, or else one key for all, one unit, no tokens, medium priority.
#[derive(Clone)]
pub(crate) struct Words {
    pub(crate) key: AnyKey,
    pub(crate) tenant: AnyKey,
    pub(crate) cost: Reads<u64>,
    pub(crate) estimate: Reads<Option<Amounts>>,
    pub(crate) priority: Reads<u8>,
    pub(crate) measure: AnyMeasure,
}

impl Default for Words {
    fn default() -> Self {
        let medium = Priority::default().level();
        Self {
            key: AnyKey::new(()),
            tenant: AnyKey::new(()),
            cost: Arc::new(|_| 1),
            estimate: Arc::new(|_| None),
            priority: Arc::new(move |_| medium),
            measure: AnyMeasure::default(),
        }
    }
}

impl Words {
    pub(crate) fn cost(cost: impl Cost<StackRequest> + Send + Sync + 'static) -> Reads<u64> {
        Arc::new(move |request| cost.cost(request))
    }

    pub(crate) fn estimate(
        estimate: impl Estimate<StackRequest> + Send + Sync + 'static,
    ) -> Reads<Option<Amounts>> {
        Arc::new(move |request| estimate.estimate(request))
    }

    pub(crate) fn priority(
        priority: impl PriorityOf<StackRequest> + Send + Sync + 'static,
    ) -> Reads<u8> {
        Arc::new(move |request| priority.level_of(request))
    }
}

pub(crate) fn deadline(request: &StackRequest) -> Option<Instant> {
    CallDeadline::of(request)
}

impl AnyKey {
    pub(crate) fn new(key: impl Key<StackRequest> + Send + Sync + 'static) -> Self {
        Self(Arc::new(key))
    }
}

impl Key<StackRequest> for AnyKey {
    fn hash_key(&self, request: &StackRequest, hasher: &mut KeyHasher<'_>) -> bool {
        self.0.hash_key(request, hasher)
    }

    fn missing(&self) -> MissingKey {
        self.0.missing()
    }

    fn is_everyone(&self) -> bool {
        self.0.is_everyone()
    }
}

/// What an answer is told: where limits stand, and what a request lacks that has no key.
#[derive(Clone)]
pub(crate) struct Described<P> {
    pub(crate) limits: P,
    pub(crate) key: AnyKey,
}

impl<P: Describe> Describe for Described<P> {
    fn standings(&self, key: KeyHash, now: &Now, each: &mut dyn FnMut(Standing<'_>)) {
        self.limits.standings(key, now, each);
    }

    fn missing_key(&self) -> MissingKey {
        self.key.missing()
    }
}

type Begins = dyn Fn(&Parts) -> AnyReader + Send + Sync;

/// Any way to find out what a call used, or none.
#[derive(Clone, Default)]
pub(crate) struct AnyMeasure(Option<Arc<Begins>>);

/// Follows a body, if anybody wants to know.
pub(crate) struct AnyReader(Option<Box<dyn ReadUsage + Send>>);

impl AnyMeasure {
    pub(crate) fn new<M>(measure: M) -> Self
    where
        M: Measure + Send + Sync + 'static,
        M::Reader: Send + 'static,
    {
        let begin = move |head: &Parts| AnyReader(Some(Box::new(measure.begin(head))));
        Self(Some(Arc::new(begin)))
    }
}

impl Measure for AnyMeasure {
    type Reader = AnyReader;

    fn begin(&self, head: &Parts) -> AnyReader {
        match &self.0 {
            Some(begin) => begin(head),
            None => AnyReader(None),
        }
    }
}

impl ReadUsage for AnyReader {
    fn data(&mut self, piece: &[u8]) {
        if let Some(reader) = &mut self.0 {
            reader.data(piece);
        }
    }

    fn usage(&mut self) -> Option<Usage> {
        self.0.as_mut().and_then(|reader| reader.usage())
    }

    fn wants_data(&self) -> bool {
        self.0.as_ref().is_some_and(|reader| reader.wants_data())
    }
}

impl fmt::Debug for AnyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyReader").finish_non_exhaustive()
    }
}
