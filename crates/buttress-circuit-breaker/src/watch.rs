//! State changes as a stream.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::state::Change;
use crate::sync::Mutex;

/// How many changes are kept for those who have not read them yet.
pub const KEPT_CHANGES: usize = 256;

/// The last changes, for those who watch.
#[derive(Debug)]
pub(crate) struct Journal(Mutex<Pages>);

#[derive(Debug)]
struct Pages {
    changes: VecDeque<Change>,
    /// The number of the next change.
    next: u64,
    is_closed: bool,
    watchers: Vec<Watcher>,
    next_watcher: u64,
}

#[derive(Debug)]
struct Watcher {
    id: u64,
    waker: Option<Waker>,
}

impl Journal {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Pages {
            changes: VecDeque::new(),
            next: 0,
            is_closed: false,
            watchers: Vec::new(),
            next_watcher: 0,
        })))
    }

    /// Writes a change down. It only copies, so that it can be called under the lock of the circuit, and
    /// changes stand in the order in which they happened.
    pub(crate) fn write(&self, change: Change) {
        let mut pages = self.0.lock();
        pages.next += 1;
        if pages.watchers.is_empty() {
            return;
        }
        if pages.changes.len() == KEPT_CHANGES {
            pages.changes.pop_front();
        }
        pages.changes.push_back(change);
    }

    /// Wakes those who watch.
    pub(crate) fn wake(&self) {
        let wakers: Vec<Waker> = {
            let mut pages = self.0.lock();
            let watchers = pages.watchers.iter_mut();
            watchers
                .filter_map(|watcher| watcher.waker.take())
                .collect()
        };
        for waker in wakers {
            waker.wake();
        }
    }

    /// No more changes will come.
    pub(crate) fn close(&self) {
        self.0.lock().is_closed = true;
        self.wake();
    }

    pub(crate) fn watch(self: &Arc<Self>) -> Changes {
        let mut pages = self.0.lock();
        let id = pages.next_watcher;
        pages.next_watcher += 1;
        pages.watchers.push(Watcher { id, waker: None });
        Changes {
            next: pages.next,
            missed: 0,
            id,
            journal: Arc::clone(self),
        }
    }
}

/// The state changes of a breaker from the moment of [`CircuitBreaker::watch`](crate::CircuitBreaker::watch)
/// on, in order.
///
/// It keeps the last 256; who reads more slowly than that misses the oldest, and [`missed`](Self::missed)
/// counts them. With feature `futures-core` it is a `Stream`.
pub struct Changes {
    journal: Arc<Journal>,
    next: u64,
    missed: u64,
    id: u64,
}

impl Changes {
    /// The next change; none once the breaker is gone.
    pub async fn next(&mut self) -> Option<Change> {
        poll_fn(|cx| self.poll_change(cx)).await
    }

    /// The next change; none once the breaker is gone.
    pub fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Option<Change>> {
        let mut pages = self.journal.0.lock();
        let first = pages.next - pages.changes.len() as u64;
        self.missed += first.saturating_sub(self.next);
        self.next = self.next.max(first);
        let place = usize::try_from(self.next - first).unwrap_or(usize::MAX);
        if let Some(&change) = pages.changes.get(place) {
            self.next += 1;
            return Poll::Ready(Some(change));
        }
        if pages.is_closed {
            return Poll::Ready(None);
        }
        let id = self.id;
        let mine = pages.watchers.iter_mut().find(|watcher| watcher.id == id);
        let held = mine.map(|watcher| watcher.waker.replace(cx.waker().clone()));
        drop(pages);
        // A waker's drop is somebody else's code.
        drop(held);
        Poll::Pending
    }

    /// How many changes went by unread.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        let mut pages = self.journal.0.lock();
        let mine = pages
            .watchers
            .iter()
            .position(|watcher| watcher.id == self.id);
        let gone = mine.map(|place| pages.watchers.swap_remove(place));
        if pages.watchers.is_empty() {
            pages.changes.clear();
        }
        drop(pages);
        drop(gone);
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("next", &self.next)
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "futures-core")]
impl futures_core::Stream for Changes {
    type Item = Change;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Change>> {
        self.poll_change(cx)
    }
}
