//! The latest refusals of all layers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use buttress_core::time::{Instant, now};
use buttress_core::{Event, KeyHash, LimitId, Observe, Rejection};

use super::report::{Refusal, RefusalsReport};

/// How many refusals a status remembers.
pub const RECENT: usize = 64;

/// Counts all refusals and remembers the latest.
///
/// Nobody waits for it: of two refusals at the very same time it may remember but one. All are counted.
#[derive(Debug)]
pub(super) struct Ring {
    most: usize,
    total: AtomicU64,
    latest: Mutex<VecDeque<Entry>>,
}

#[derive(Clone, Debug)]
struct Entry {
    at: Instant,
    layer: Arc<str>,
    rejection: Rejection,
}

#[derive(Debug)]
struct Named {
    name: Arc<str>,
    ring: Arc<Ring>,
}

impl Ring {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            total: AtomicU64::new(0),
            latest: Mutex::new(VecDeque::with_capacity(most)),
        }
    }

    /// All of them, the latest first.
    pub(super) fn report(&self, now: Instant) -> RefusalsReport {
        let latest = self
            .latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let recent = latest.iter().rev().map(|entry| Refusal {
            ago: now.saturating_duration_since(entry.at),
            layer: entry.layer.to_string(),
            reason: entry.rejection.reason().as_str(),
            retry_after: entry.rejection.retry_after(),
            quota: quota_of(&entry.rejection),
            key: key_of(&entry.rejection),
        });
        RefusalsReport {
            total: self.total.load(Relaxed),
            recent: recent.collect(),
        }
    }
}

fn quota_of(rejection: &Rejection) -> Option<u8> {
    let quota = rejection.limit()?.quota;
    (quota != LimitId::NO_QUOTA).then_some(quota)
}

fn key_of(rejection: &Rejection) -> Option<KeyHash> {
    let key = rejection.limit()?.key;
    (key != KeyHash::EVERYONE).then_some(key)
}

/// Keeps the latest refusals of a layer for the status that made it
/// ([`Status::observer`](super::Status::observer)).
#[derive(Clone, Debug)]
pub struct RefusalObserver(Arc<Named>);

impl RefusalObserver {
    pub(super) fn new(name: Arc<str>, ring: Arc<Ring>) -> Self {
        Self(Arc::new(Named { name, ring }))
    }
}

impl Observe for RefusalObserver {
    #[inline]
    fn event(&self, event: Event) {
        if let Event::Rejected(rejection) = event {
            self.keep(rejection);
        }
    }
}

impl RefusalObserver {
    fn keep(&self, rejection: Rejection) {
        let ring = &*self.0.ring;
        ring.total.fetch_add(1, Relaxed);
        let entry = Entry {
            at: now(),
            // Not the observer, which holds the ring that would hold it.
            layer: Arc::clone(&self.0.name),
            rejection,
        };
        let mut oldest = None;
        if let Ok(mut latest) = ring.latest.try_lock() {
            if latest.len() == ring.most {
                oldest = latest.pop_front();
            }
            latest.push_back(entry);
        }
        drop(oldest);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use buttress_core::time::now;
    use buttress_core::{Event, KeyHash, LimitId, Observe, PolicyId, Reason, Rejection, When};

    use super::{RefusalObserver, Ring};

    #[tokio::test(start_paused = true)]
    async fn the_latest_are_kept_and_all_are_counted() {
        let ring = Arc::new(Ring::new(3));
        let one = RefusalObserver::new("one".into(), Arc::clone(&ring));
        let other = RefusalObserver::new("other".into(), Arc::clone(&ring));
        let limit = LimitId {
            policy: PolicyId::unique(),
            key: KeyHash::EVERYONE,
            quota: 1,
        };
        for seconds in 1..=4 {
            let when = When::After(Duration::from_secs(seconds));
            one.event(Event::Rejected(
                Rejection::new(Reason::RateLimit, when).by(limit),
            ));
            one.event(Event::Admitted { shadowed: false });
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        other.event(Event::Rejected(Rejection::new(
            Reason::QueueFull,
            When::Unknown,
        )));
        let report = ring.report(now());
        assert_eq!(report.total, 5);
        let told: Vec<_> = report
            .recent
            .iter()
            .map(|refusal| (&*refusal.layer, refusal.ago.as_secs(), refusal.reason))
            .collect();
        let expected = [
            ("other", 0, "queue_full"),
            ("one", 1, "rate_limit"),
            ("one", 2, "rate_limit"),
        ];
        assert_eq!(told, expected);
        assert_eq!(report.recent[1].retry_after, Some(Duration::from_secs(4)));
        assert_eq!(
            (report.recent[1].quota, report.recent[1].key),
            (Some(1), None)
        );
        assert_eq!(
            (report.recent[0].quota, report.recent[0].retry_after),
            (None, None)
        );
    }

    #[test]
    fn nobody_waits_for_it() {
        let ring = Arc::new(Ring::new(3));
        let one = RefusalObserver::new("one".into(), Arc::clone(&ring));
        let held = ring.latest.lock().unwrap();
        one.event(Event::Rejected(Rejection::new(
            Reason::QueueFull,
            When::Unknown,
        )));
        drop(held);
        let report = ring.report(now());
        assert_eq!((report.total, report.recent.len()), (1, 0));
    }
}
