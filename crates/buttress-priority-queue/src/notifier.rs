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
    /// Something may be free.
    changed: AtomicBool,
    /// The gates know whom to wake.
    subscribed: AtomicBool,
    /// How many are at the queue and will look when they leave.
    busy: AtomicUsize,
    attendant: Mutex<Option<Waker>>,
}

impl Notifier {
    pub(crate) fn new() -> Self {
        Self {
            changed: AtomicBool::new(false),
            subscribed: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            attendant: Mutex::new(None),
        }
    }

    /// Whether something may have become free since this was asked last.
    pub(crate) fn take_changed(&self) -> bool {
        self.is_changed() && self.changed.swap(false, Ordering::SeqCst) && {
            self.subscribed.store(false, Ordering::SeqCst);
            true
        }
    }

    pub(crate) fn is_changed(&self) -> bool {
        self.changed.load(Ordering::SeqCst)
    }

    /// True for whoever must subscribe to the gates.
    pub(crate) fn subscribes(&self) -> bool {
        !self.subscribed.swap(true, Ordering::SeqCst)
    }

    pub(crate) fn enter(&self) {
        self.busy.fetch_add(1, Ordering::SeqCst);
    }

    /// Leaves the queue, outside its lock.
    pub(crate) fn leave(&self) {
        let others = self.busy.fetch_sub(1, Ordering::SeqCst) - 1;
        if others == 0 && self.is_changed() {
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
        self.changed.store(true, Ordering::SeqCst);
        if self.busy.load(Ordering::SeqCst) == 0 {
            self.call();
        }
    }
}
