//! Which requests want to be polled.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::{Wake, Waker};

use parking_lot::Mutex;

/// The woken requests, by their line of the trace, which is the order in which they are polled.
#[derive(Debug, Default)]
pub(super) struct Ready(Mutex<Woken>);

#[derive(Debug, Default)]
struct Woken {
    requests: BTreeSet<usize>,
    driver: Option<Waker>,
}

impl Ready {
    /// Takes the first of the woken.
    pub(super) fn pop(&self) -> Option<usize> {
        self.0.lock().requests.pop_first()
    }

    /// Takes all of the woken.
    pub(super) fn take(&self) -> BTreeSet<usize> {
        std::mem::take(&mut self.0.lock().requests)
    }

    /// Whether any is woken; if not, `driver` is woken when one is.
    pub(super) fn any_or_wake(&self, driver: &Waker) -> bool {
        let mut woken = self.0.lock();
        woken.driver = Some(driver.clone());
        !woken.requests.is_empty()
    }

    /// A waker for one request.
    pub(super) fn waker(self: &Arc<Self>, request: usize) -> Waker {
        Waker::from(Arc::new(RequestWaker {
            request,
            ready: Arc::clone(self),
        }))
    }
}

struct RequestWaker {
    request: usize,
    ready: Arc<Ready>,
}

impl Wake for RequestWaker {
    fn wake(self: Arc<Self>) {
        let mut woken = self.ready.0.lock();
        woken.requests.insert(self.request);
        let driver = woken.driver.take();
        drop(woken);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}
