//! Which tasks want to be polled.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::{Wake, Waker};

use parking_lot::Mutex;

/// What the driver polls, in the order in which it does: by the line of the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Task {
    /// The line of the trace, from 0.
    pub(super) request: usize,
    pub(super) part: Part,
}

/// Which part of a request's way through the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// An attempt, from its entry into the layers inside `[retry]`.
    Attempt,
    /// All of it, but for what an attempt is by itself.
    Whole,
}

/// The woken tasks.
#[derive(Debug, Default)]
pub(super) struct Ready(Mutex<Woken>);

#[derive(Debug, Default)]
struct Woken {
    tasks: BTreeSet<Task>,
    driver: Option<Waker>,
}

impl Ready {
    /// Takes the first of the woken tasks of a request.
    pub(super) fn pop_of(&self, request: usize) -> Option<Task> {
        let tasks = &mut self.0.lock().tasks;
        let first = tasks.iter().find(|task| task.request == request).copied()?;
        tasks.take(&first)
    }

    /// Takes the one of the woken that comes first by `rank`.
    pub(super) fn pop<R: Ord>(&self, rank: impl Fn(&Task) -> R) -> Option<Task> {
        let tasks = &mut self.0.lock().tasks;
        let first = tasks.iter().min_by_key(|task| rank(task)).copied()?;
        tasks.take(&first)
    }

    /// Takes all of the woken.
    pub(super) fn take(&self) -> BTreeSet<Task> {
        std::mem::take(&mut self.0.lock().tasks)
    }

    /// Whether any is woken; if not, `driver` is woken when one is.
    pub(super) fn any_or_wake(&self, driver: &Waker) -> bool {
        let mut woken = self.0.lock();
        woken.driver = Some(driver.clone());
        !woken.tasks.is_empty()
    }

    /// A waker for one task.
    pub(super) fn waker(self: &Arc<Self>, task: Task) -> Waker {
        Waker::from(Arc::new(TaskWaker {
            task,
            ready: Arc::clone(self),
        }))
    }
}

struct TaskWaker {
    task: Task,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut woken = self.ready.0.lock();
        woken.tasks.insert(self.task);
        let driver = woken.driver.take();
        drop(woken);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}
