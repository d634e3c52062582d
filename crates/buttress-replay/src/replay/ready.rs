//! Which tasks want to be polled.

use std::collections::{BTreeMap, BTreeSet};
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
    /// Every task with its place in the order in which they were woken.
    tasks: BTreeMap<Task, u64>,
    in_order: BTreeSet<(u64, Task)>,
    count: u64,
    driver: Option<Waker>,
}

impl Ready {
    /// Takes the first of the woken tasks of a request.
    pub(super) fn pop_of(&self, request: usize) -> Option<Task> {
        let mut woken = self.0.lock();
        let [first, last] = [Part::Attempt, Part::Whole].map(|part| Task { request, part });
        let (task, order) = woken
            .tasks
            .range(first..=last)
            .next()
            .map(|(task, order)| (*task, *order))?;
        woken.tasks.remove(&task);
        woken.in_order.remove(&(order, task));
        Some(task)
    }

    /// Takes the one that was woken first: layers wake in the order that they promise.
    pub(super) fn pop(&self) -> Option<Task> {
        let mut woken = self.0.lock();
        let (_, task) = woken.in_order.pop_first()?;
        woken.tasks.remove(&task);
        Some(task)
    }

    /// Takes this task, if it is woken; whether it was.
    pub(super) fn remove(&self, task: Task) -> bool {
        let mut woken = self.0.lock();
        let order = woken.tasks.remove(&task);
        order.is_some_and(|order| woken.in_order.remove(&(order, task)))
    }

    /// Takes all of the woken.
    pub(super) fn take(&self) -> Vec<Task> {
        let mut woken = self.0.lock();
        woken.in_order.clear();
        std::mem::take(&mut woken.tasks).into_keys().collect()
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
        if !woken.tasks.contains_key(&self.task) {
            woken.count += 1;
            let order = woken.count;
            woken.tasks.insert(self.task, order);
            woken.in_order.insert((order, self.task));
        }
        let driver = woken.driver.take();
        drop(woken);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}
