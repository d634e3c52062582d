//! What is prepared for a set of quotas, and the numbers that are not.

use std::sync::OnceLock;
use std::time::Duration;

use buttress_core::{Rejection, Standing};
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::fields::{
    FieldNames, PolicyItem, RATE_LIMIT, RATE_LIMIT_POLICY, Remaining, X_RATE_LIMIT_LIMIT,
    X_RATE_LIMIT_REMAINING, X_RATE_LIMIT_RESET, decimal, rate_limit_policy, whole_seconds,
};
use crate::grpc::Status;
use crate::problem;
use crate::refusal::Fields;

/// Quotas up to this number need no allocation of their own.
const FEW: usize = 4;

/// All that does not change from one response to the next.
pub(crate) struct Prepared {
    quotas: Box<[Quota]>,
    pub(crate) detail: Box<str>,
    /// Empty for an admitted request.
    pub(crate) problem: Bytes,
    /// None if a name cannot be written.
    names: Option<FieldNames>,
    policy: Option<HeaderValue>,
    /// Prepared when a refusal is first answered in gRPC.
    grpc: OnceLock<Status>,
}

/// What does not change of a [`Standing`].
pub(crate) struct Quota {
    quota: u8,
    name: Box<str>,
    capacity: u64,
    window: Duration,
}

/// What does change, of all quotas.
#[derive(Clone, Default)]
pub(crate) struct Numbers {
    few: [Remaining; FEW],
    many: Vec<Remaining>,
    count: usize,
    scarcest: Option<Scarcest>,
}

/// The quota with the fewest units left; of several, the first.
#[derive(Clone, Copy)]
struct Scarcest {
    capacity: u64,
    remaining: Remaining,
}

/// What becomes of a field that the response has already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Present {
    /// It stays, and nothing is added.
    Stays,
    /// Lists grow; of single values, those of the scarcer quota stay.
    Joins,
}

// === impl Prepared ===

impl Prepared {
    pub(crate) fn new(
        quotas: Vec<Quota>,
        rejection: Option<&Rejection>,
        missing: Option<&str>,
    ) -> Self {
        let names = FieldNames::new(quotas.iter().map(|quota| &*quota.name)).ok();
        let policy = rate_limit_policy(quotas.iter().map(Quota::item));
        let (detail, problem) = rejection.map_or_else(Default::default, |rejection| {
            let violated: Vec<&str> = quotas
                .iter()
                .filter(|quota| rejection.violates(quota.quota))
                .map(|quota| &*quota.name)
                .collect();
            let detail = match missing {
                Some(sentence) => sentence.to_owned(),
                None => problem::detail(rejection, &violated),
            };
            let problem = problem::document(rejection.reason(), &detail, &violated);
            (detail.into_boxed_str(), Bytes::from(problem))
        });
        Self {
            detail,
            problem,
            names,
            policy: policy.ok().flatten(),
            grpc: OnceLock::new(),
            quotas: quotas.into_boxed_slice(),
        }
    }

    /// The status of the refusal that this was prepared for, or of another that differs from it only in
    /// its wait.
    pub(crate) fn grpc_status(&self, rejection: &Rejection) -> &Status {
        self.grpc.get_or_init(|| {
            let violated: Vec<_> = self
                .quotas
                .iter()
                .filter(|quota| rejection.violates(quota.quota))
                .map(|quota| {
                    let sentence = problem::detail(rejection, &[&quota.name]);
                    (&*quota.name, quota.capacity, sentence)
                })
                .collect();
            Status::new(rejection.reason(), &self.detail, &violated)
        })
    }

    /// Adds the fields.
    pub(crate) fn write(
        &self,
        numbers: &Numbers,
        fields: Fields,
        present: Present,
        headers: &mut HeaderMap,
    ) {
        if fields.ratelimit {
            let limits = |names: &FieldNames| names.rate_limit(numbers.as_slice());
            join(RATE_LIMIT, present, headers, || {
                self.names.as_ref().and_then(limits)
            });
            join(RATE_LIMIT_POLICY, present, headers, || self.policy.clone());
        }
        if fields.x_ratelimit
            && let Some(scarcest) = numbers.scarcest
        {
            scarcest.write(present, headers);
        }
    }

    /// The quotas as they stand.
    pub(crate) fn standings(&self, numbers: &Numbers) -> Vec<Standing<'_>> {
        let quotas = self.quotas.iter().zip(numbers.as_slice());
        quotas
            .map(|(quota, remaining)| Standing {
                quota: quota.quota,
                name: &quota.name,
                capacity: quota.capacity,
                window: quota.window,
                remaining: remaining.units,
                until_more: remaining.grows_in,
            })
            .collect()
    }
}

/// Adds members to a field that is a list.
fn join(
    name: HeaderName,
    present: Present,
    headers: &mut HeaderMap,
    value: impl FnOnce() -> Option<HeaderValue>,
) {
    let stays = present == Present::Stays && headers.contains_key(&name);
    if !stays && let Some(value) = value() {
        headers.append(name, value);
    }
}

// === impl Scarcest ===

impl Scarcest {
    fn write(&self, present: Present, headers: &mut HeaderMap) {
        let units = self.remaining.units;
        let is_scarcer_than = |value: &HeaderValue| {
            let theirs = value.to_str().ok().and_then(|text| text.parse().ok());
            theirs.is_some_and(|theirs: u64| units < theirs)
        };
        let theirs = headers.get(X_RATE_LIMIT_REMAINING);
        let replaces = |value| present == Present::Joins && is_scarcer_than(value);
        if theirs.is_none_or(replaces) {
            let reset = self.remaining.grows_in.map_or(0, whole_seconds);
            headers.insert(X_RATE_LIMIT_LIMIT, decimal(self.capacity));
            headers.insert(X_RATE_LIMIT_REMAINING, decimal(self.remaining.units));
            headers.insert(X_RATE_LIMIT_RESET, decimal(reset));
        }
    }
}

// === impl Numbers ===

impl Numbers {
    pub(crate) fn push(&mut self, standing: &Standing<'_>) {
        let remaining = Remaining {
            units: standing.remaining,
            grows_in: standing.until_more,
        };
        if let Some(slot) = self.few.get_mut(self.count) {
            *slot = remaining;
        } else {
            if self.many.is_empty() {
                self.many.extend_from_slice(&self.few);
            }
            self.many.push(remaining);
        }
        self.count += 1;
        let fewest = self.scarcest.map(|scarcest| scarcest.remaining.units);
        if fewest.is_none_or(|fewest| remaining.units < fewest) {
            self.scarcest = Some(Scarcest {
                capacity: standing.capacity,
                remaining,
            });
        }
    }

    fn as_slice(&self) -> &[Remaining] {
        let few = self.few.get(..self.count);
        few.unwrap_or(&self.many)
    }
}

// === impl Quota ===

impl Quota {
    fn item(&self) -> PolicyItem<'_> {
        PolicyItem {
            name: &self.name,
            quota: self.capacity,
            window: Some(self.window),
            unit: None,
        }
    }
}

impl From<&Standing<'_>> for Quota {
    fn from(standing: &Standing<'_>) -> Self {
        Self {
            quota: standing.quota,
            name: standing.name.into(),
            capacity: standing.capacity,
            window: standing.window,
        }
    }
}
