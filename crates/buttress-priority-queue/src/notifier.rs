//! How the gates tell a queue that something may be free.

use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering};

/// What the gates wake.
///
/// They may do so while the queue asks them, under its lock; so all that happens here is a note, and a call
/// to the one waiter that attends to the queue, which looks for itself. Nobody is called while somebody is
/// about to look anyway.
#[derive(Debug)]
pub(crate) struct Notifier {
    /// How many are at the queue and will look when they leave, times two, and one more if something may be
    /// free. One word, so that of those who leave and those who tell one always sees the other.
    word: AtomicUsize,
    /// The gates know whom to wake.
    subscribed: AtomicBool,
    attendant: Mutex<Option<Waker>>,
}

const CHANGED: usize = 1;
const ONE_BUSY: usize = 2;

impl Notifier {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicUsize::new(0),
            subscribed: AtomicBool::new(false),
            attendant: Mutex::new(None),
        }
    }

    /// Whether something may have become free since this was asked last.
    pub(crate) fn take_changed(&self) -> bool {
        let changed =
            self.is_changed() && self.word.fetch_and(!CHANGED, Ordering::SeqCst) & CHANGED != 0;
        if changed {
            self.subscribed.store(false, Ordering::SeqCst);
        }
        changed
    }

    pub(crate) fn is_changed(&self) -> bool {
        self.word.load(Ordering::SeqCst) & CHANGED != 0
    }

    /// True for whoever must subscribe to the gates.
    pub(crate) fn subscribes(&self) -> bool {
        !self.subscribed.swap(true, Ordering::SeqCst)
    }

    pub(crate) fn enter(&self) {
        self.word.fetch_add(ONE_BUSY, Ordering::SeqCst);
    }

    /// Leaves the queue, outside its lock.
    pub(crate) fn leave(&self) {
        if self.word.fetch_sub(ONE_BUSY, Ordering::SeqCst) == ONE_BUSY | CHANGED {
            self.call();
        }
    }

    /// Who attends to the queue from now on. Whoever did is to be dropped outside the queue's lock.
    pub(crate) fn attend(&self, waker: Option<Waker>) -> Option<Waker> {
        std::mem::replace(&mut *self.attendant.lock(), waker)
    }

    fn call(&self) {
        let waker = self.attendant.lock().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Wake for Notifier {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.word.fetch_or(CHANGED, Ordering::SeqCst) < ONE_BUSY {
            self.call();
        }
    }
}
