//! Places: free ones, scarce ones, and those beside many who wait for something else.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use buttress_core::time::now;
use buttress_core::{Admission, Now, Verdict};
use buttress_priority_queue::{
    ConcurrencyLimitLayer, Priority, PriorityQueue, PriorityQueueLayer, QueueDemand, Settings,
};
use buttress_rate_limit::{Quota, RateDemand, RateLimiter};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tower::{Layer, Service, ServiceExt};

use crate::case::{Aim, Case, Group};
use crate::drive;

const BARE: &str = "bare service";
const CONCURRENCY: &str = "tower ConcurrencyLimit";
const SEMAPHORE: &str = "tokio Semaphore";
const ALONE: &str = "nobody held back";

#[derive(Clone, Copy)]
struct Call {
    priority: Priority,
}

#[derive(Clone, Copy)]
struct Bare;

impl Service<Call> for Bare {
    type Response = Priority;
    type Error = Infallible;
    type Future = Ready<Result<Priority, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        ready(Ok(call.priority))
    }
}

fn call() -> Call {
    Call {
        priority: Priority::High,
    }
}

/// Places are free, and nobody waits.
pub(super) fn uncontended() -> Group {
    let queue = PriorityQueueLayer::new(1_024).by(|call: &Call| call.priority);
    let shed = ConcurrencyLimitLayer::new(1_024);
    let tower = tower::limit::ConcurrencyLimitLayer::new(1_024);
    let cases = vec![
        Case::new(BARE, drive::service(Bare, call)),
        Case::new(CONCURRENCY, drive::service(tower.layer(Bare), call)),
        Case::new(
            "PriorityQueueLayer",
            drive::service(queue.layer(Bare), call),
        )
        .aim(Aim::Times(CONCURRENCY, 1.5))
        .aim(Aim::Allocations(0.0)),
        Case::new(
            "ConcurrencyLimitLayer",
            drive::service(shed.layer(Bare), call),
        )
        .aim(Aim::Times(CONCURRENCY, 1.0))
        .aim(Aim::Allocations(0.0)),
    ];
    Group::new("place, uncontended", CONCURRENCY, cases).over(BARE)
}

fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime without I/O can be made")
}

/// The same, with the worker that Buffer needs.
pub(super) fn on_a_runtime() -> Group {
    let queue = PriorityQueueLayer::new(1_024).by(|call: &Call| call.priority);
    let tower = tower::limit::ConcurrencyLimitLayer::new(1_024);
    let buffer = |runtime: &Runtime| {
        let _inside = runtime.enter();
        tower::buffer::BufferLayer::new(1_024).layer(Bare)
    };
    let cases = vec![
        Case::new(BARE, on_runtime(|_| Bare)),
        Case::new(CONCURRENCY, on_runtime(move |_| tower.layer(Bare))),
        Case::new("tower Buffer", on_runtime(buffer)),
        Case::new("PriorityQueueLayer", on_runtime(move |_| queue.layer(Bare))),
    ];
    Group::new("place, on a runtime", CONCURRENCY, cases).over(BARE)
}

fn on_runtime<S>(make: impl FnOnce(&Runtime) -> S) -> impl FnMut(u64) -> Duration
where
    S: Service<Call>,
{
    let runtime = runtime();
    let mut service = make(&runtime);
    move |count| {
        runtime.block_on(async {
            let start = now();
            for _ in 0..count {
                let ready = service.ready().await.ok().expect("it never fails");
                let answer = ready.call(call()).await;
                assert!(answer.is_ok(), "it never fails");
            }
            start.elapsed()
        })
    }
}

const TASKS: u64 = 64;

/// 64 tasks want one of 4 places, and let others go while they have it.
pub(super) fn contended() -> Group {
    let queue = PriorityQueue::new(Settings::new(4)).expect("the settings make sense");
    let semaphore = Arc::new(Semaphore::new(4));
    let cases = vec![
        Case::new(
            SEMAPHORE,
            tasks(move |_| {
                let semaphore = Arc::clone(&semaphore);
                async move { semaphore.acquire_owned().await.ok() }
            }),
        ),
        Case::new(
            "PriorityQueue, four priorities",
            tasks(move |task| {
                let queue = queue.clone();
                let priority = Priority::ALL[usize::try_from(task % 4).unwrap_or(0)];
                async move { queue.acquire(QueueDemand::new(priority)).await.ok() }
            }),
        )
        .aim(Aim::Times(SEMAPHORE, 1.3)),
    ];
    Group::new("64 tasks on 4 places, an acquire", SEMAPHORE, cases)
}

fn tasks<F, P>(acquire: impl Fn(u64) -> F + Clone + Send + 'static) -> impl FnMut(u64) -> Duration
where
    F: Future<Output = Option<P>> + Send,
    P: Send,
{
    let runtime = runtime();
    move |count| {
        let each = count.div_ceil(TASKS);
        let elapsed = runtime.block_on(async {
            let start = now();
            let all: Vec<_> = (0..TASKS)
                .map(|task| {
                    let acquire = acquire.clone();
                    tokio::spawn(async move {
                        for _ in 0..each {
                            let place = acquire(task).await;
                            assert!(place.is_some(), "nobody is refused");
                            tokio::task::yield_now().await;
                            drop(place);
                        }
                    })
                })
                .collect();
            for task in all {
                task.await.expect("no task panics");
            }
            start.elapsed()
        });
        // So many were done in all.
        let done = u32::try_from(each * TASKS).unwrap_or(u32::MAX);
        elapsed * u32::try_from(count).unwrap_or(u32::MAX) / done
    }
}

/// A place is taken and given back beside so many who are each held back by a limit of their own.
pub(super) fn held_back() -> Group {
    let case = |name, waiters| Case::new(name, beside(waiters));
    let cases = vec![
        case(ALONE, 0),
        case("10 held back", 10).aim(Aim::Times(ALONE, 3.0)),
        case("100 held back", 100).aim(Aim::Times("10 held back", 1.3)),
        case("10,000 held back", 10_000).aim(Aim::Times("10 held back", 1.5)),
    ];
    Group::new("place beside waiters of other limits", ALONE, cases)
}

fn beside(waiters: u32) -> impl FnMut(u64) -> Duration {
    let limiter = RateLimiter::new(Quota::every(Duration::from_secs(999_999)));
    let settings = Settings {
        capacity: 20_000,
        ..Settings::new(4)
    };
    let queue = PriorityQueue::after(settings, limiter.clone()).expect("the settings make sense");
    let admit = move |key: u32, cost| {
        let demand = RateDemand::new(queue.gates().hash(key), cost);
        queue.admit(
            QueueDemand::with_gates(Priority::Low, Some(demand)),
            &Now::new(),
        )
    };
    let runtime = runtime();
    let waits: Vec<_> = (0..waiters)
        .map(|key| {
            assert!(limiter.check(key, 1).is_ok(), "each key has one unit");
            match admit(key, 1) {
                Verdict::Later(wait) => Box::pin(wait),
                Verdict::Now(_) => panic!("nobody has a second one"),
            }
        })
        .collect();
    let mut waits = waits;
    {
        let _inside = runtime.enter();
        for wait in &mut waits {
            let waiting = wait.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(waiting.is_pending(), "there is no unit for it");
        }
    }
    // What costs nothing is held back by nobody; it is the queue that is measured.
    let mut run = drive::calls(move |_| match admit(u32::MAX, 0) {
        Verdict::Now(answer) => answer.is_ok(),
        Verdict::Later(_) => panic!("a place is free"),
    });
    move |count| {
        let _ = (&waits, &runtime);
        run(count)
    }
}
