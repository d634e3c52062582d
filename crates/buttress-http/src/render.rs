//! Documents and fields, prepared once for each set of quotas that a policy describes.
//!
//! A limit's quotas may change while it runs, and may differ from key to key. So what is prepared is
//! found by what it says: a hash over names, capacities and windows, and over what is refused and why.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use buttress_core::{
    Describe, KeyHash, KeyHasher, KeyMap, Now, Reason, Rejection, Seed, Standing, When,
};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};

use crate::fields::retry_after;
use crate::prepared::{Numbers, Prepared, Present, Quota};
use crate::problem;
use crate::refusal::Fields;

/// More sets of quotas than any configuration has; at this many, all are prepared anew.
const MOST_PREPARED: usize = 1024;

/// Writes what a policy describes.
pub(crate) struct Renderer<D> {
    describe: D,
    seed: Seed,
    prepared: RwLock<KeyMap<Arc<Prepared>>>,
}

// === impl Renderer ===

impl<D> Renderer<D> {
    pub(crate) fn new(describe: D) -> Self {
        Self {
            describe,
            seed: Seed::random(),
            prepared: RwLock::default(),
        }
    }
}

impl<D: Describe> Renderer<D> {
    /// The headers and the problem document of a refusal.
    pub(crate) fn refuse(
        &self,
        rejection: &Rejection,
        fields: Fields,
        now: &Now,
    ) -> (HeaderMap, Bytes) {
        let lines = 4 + if fields.x_ratelimit { 3 } else { 0 };
        let mut headers = HeaderMap::with_capacity(lines);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(problem::MEDIA_TYPE));
        let problem = self.refused(rejection, now, |prepared, numbers| {
            if let Some(wait) = rejection.retry_after() {
                headers.insert(RETRY_AFTER, retry_after(wait));
            }
            prepared.write(numbers, fields, Present::Joins, &mut headers);
            prepared.problem.clone()
        });
        (headers, problem)
    }

    /// Reads what is prepared for a refusal, and its numbers.
    pub(crate) fn refused<R>(
        &self,
        rejection: &Rejection,
        now: &Now,
        read: impl FnOnce(&Arc<Prepared>, &Numbers) -> R,
    ) -> R {
        let key = rejection.limit().map(|limit| limit.key);
        self.read(key, Some(rejection), now, read)
    }

    /// Adds the fields of an admitted request.
    pub(crate) fn admitted(
        &self,
        key: KeyHash,
        fields: Fields,
        now: &Now,
        headers: &mut HeaderMap,
    ) {
        headers.reserve(2 + if fields.x_ratelimit { 3 } else { 0 });
        self.read(Some(key), None, now, |prepared, numbers| {
            prepared.write(numbers, fields, Present::Joins, headers);
        });
    }

    /// `read` runs under a lock that all readers share: it only copies.
    fn read<R>(
        &self,
        key: Option<KeyHash>,
        rejection: Option<&Rejection>,
        now: &Now,
        read: impl FnOnce(&Arc<Prepared>, &Numbers) -> R,
    ) -> R {
        let (content, numbers) = self.content(key, rejection, now, |_| {});
        {
            let prepared = self.prepared.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(prepared) = prepared.get(&content) {
                return read(prepared, &numbers);
            }
        }
        let (prepared, numbers) = self.prepare(key, rejection, now);
        read(&prepared, &numbers)
    }

    #[cold]
    fn prepare(
        &self,
        key: Option<KeyHash>,
        rejection: Option<&Rejection>,
        now: &Now,
    ) -> (Arc<Prepared>, Numbers) {
        // The quotas may have changed since they were looked up, so all is taken from this one look.
        let mut quotas = Vec::new();
        let (content, numbers) = self.content(key, rejection, now, |standing| {
            quotas.push(Quota::from(standing));
        });
        let missing = rejection
            .filter(|rejection| rejection.reason() == Reason::MissingKey)
            .map(|_| self.describe.missing_key());
        let missing = missing.as_ref().map(|missing| missing.as_str());
        let prepared = Arc::new(Prepared::new(quotas, rejection, missing));
        let mut all = self
            .prepared
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_PREPARED {
            all.clear();
        }
        all.insert(content, Arc::clone(&prepared));
        (prepared, numbers)
    }

    /// Looks at all quotas, and tells by a hash which document and fields they need.
    fn content(
        &self,
        key: Option<KeyHash>,
        rejection: Option<&Rejection>,
        now: &Now,
        mut each: impl FnMut(&Standing<'_>),
    ) -> (KeyHash, Numbers) {
        let mut content = self.seed.hasher();
        let mut numbers = Numbers::default();
        if let Some(rejection) = rejection {
            rejection.reason().hash(&mut content);
            content.write_u8(u8::from(rejection.when() == When::Never));
            if rejection.reason() == Reason::MissingKey {
                self.describe.missing_key().hash(&mut content);
            }
        }
        if let Some(key) = key {
            self.describe.standings(key, now, &mut |standing| {
                hash_quota(&standing, rejection, &mut content);
                numbers.push(&standing);
                each(&standing);
            });
        }
        (content.finish(), numbers)
    }
}

fn hash_quota(standing: &Standing<'_>, rejection: Option<&Rejection>, content: &mut KeyHasher<'_>) {
    let violated = rejection.is_some_and(|rejection| rejection.violates(standing.quota));
    standing.name.hash(content);
    content.write_u64(standing.capacity);
    content.write_u64(standing.window.as_secs());
    content.write_u32(standing.window.subsec_nanos());
    content.write_u32(u32::from(standing.quota) << 1 | u32::from(violated));
}

/// Adds `Retry-After` unless it is there.
pub(crate) fn write_retry_after(rejection: &Rejection, headers: &mut HeaderMap) {
    if let Some(wait) = rejection.retry_after() {
        headers
            .entry(RETRY_AFTER)
            .or_insert_with(|| retry_after(wait));
    }
}
