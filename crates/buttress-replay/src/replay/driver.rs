//! Lets virtual time pass, and hands out what happens.
//!
//! All requests live in one task and are polled here, by hand, so that the order inside an instant is the
//! format's: the upstream's events, what falls due in the layers, callers who leave, arrivals; each followed
//! until nothing more can happen.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use buttress_core::time::later;
use parking_lot::Mutex;
use tokio::time::{Sleep, sleep_until};
use tower::{Service, ServiceExt};

use super::attempts::Attempts;
use super::ready::{Part, Ready, Task};
use super::stack::{Built, Stack};
use super::timeline::{Event, What};
use super::upstream::Call;
use super::world::{State, World};
use crate::decision::Decision;
use crate::policy::Policy;
use crate::summary::Summary;
use crate::trace::{Milliseconds, Request};

/// The longest step of the clock: tokio's timers reach a little over two years.
const STEP: Milliseconds = 365 * 24 * 60 * 60 * 1_000;

/// How long layers may let nobody know anything before the run counts as stuck: longer than any time that a
/// policy can name.
const PATIENCE: Milliseconds = 40_000_000_000_000;

/// What falls due in the layers at one instant, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Wait,
    Backoff,
    /// An attempt's timeout that comes before a deadline in the queue.
    TimeoutInQueue,
    /// The longest wait, or a deadline, in the queue.
    WaitInQueue,
    /// An attempt's timeout or deadline.
    Cut,
}

/// A request's way through the layers, and what lets it be polled.
struct Way {
    future: Pin<Box<dyn Future<Output = ()>>>,
    waker: Waker,
}

struct Driver {
    world: World,
    built: Built,
    ready: Arc<Ready>,
    /// Every request's way through the layers.
    ways: Vec<Option<Way>>,
    attempts: Attempts,
    /// Those for whom something falls due at this instant, as they have said themselves.
    deferred: Vec<Task>,
    attempt_timeout: Option<Duration>,
    open: usize,
}

pub(super) async fn drive(policy: &Policy, trace: &[Request]) -> (Vec<Decision>, Summary) {
    let world = Arc::new(Mutex::new(State::new(trace)));
    let ready = Arc::default();
    let attempts = Attempts::new(trace.len(), Arc::clone(&ready));
    let mut driver = Driver {
        built: Built::new(policy, &world, &attempts),
        ready,
        ways: trace.iter().map(|_| None).collect(),
        attempts,
        deferred: Vec::new(),
        attempt_timeout: policy
            .tables
            .retry
            .as_ref()
            .and_then(|retry| retry.policy.attempt_timeout()),
        open: 0,
        world,
    };
    driver.run().await;
    let limit = policy.tables.rate_limit.as_ref();
    let shadow = limit.is_some_and(|limit| limit.shadow);
    let (decisions, mut summary) = driver.world.lock().finish(shadow);
    (summary.tokens_used, summary.tokens_refunded) = driver.built.tokens();
    (decisions, summary)
}

impl Driver {
    async fn run(&mut self) {
        let mut sleep = Box::pin(sleep_until(buttress_core::time::now()));
        let mut heard = 0;
        loop {
            let next = self.world.lock().timeline.next();
            let now = self.world.lock().now();
            if next.is_none() && self.open == 0 {
                return;
            }
            assert!(
                next.is_some() || now - heard < PATIENCE,
                "{} requests wait for something that never happens",
                self.open
            );
            let target = next.map_or(now + STEP, |event| event.at.min(now + STEP));
            let due = self.pass_time(&mut sleep, target).await;
            if next.is_some() || !due.is_empty() {
                heard = self.world.lock().now();
            }
            self.instant(due).await;
        }
    }

    /// Waits until `target`, or until something falls due in the layers before; returns who is woken.
    async fn pass_time(&self, sleep: &mut Pin<Box<Sleep>>, target: Milliseconds) -> Vec<Task> {
        let deadline = self.world.lock().instant(target);
        sleep.as_mut().reset(deadline);
        poll_fn(|cx| {
            let woken = self.ready.any_or_wake(cx.waker());
            match sleep.as_mut().poll(cx) {
                Poll::Pending if !woken => Poll::Pending,
                _ => Poll::Ready(()),
            }
        })
        .await;
        self.ready.take()
    }

    /// Everything that happens at this instant. `due` are those for whom something fell due in the layers.
    async fn instant(&mut self, due: Vec<Task>) {
        let now = self.world.lock().now();
        let mut due = self.in_order(due);
        loop {
            if !self.deferred.is_empty() {
                let deferred = std::mem::take(&mut self.deferred);
                due = self.in_order(due.into_iter().chain(deferred).collect());
            }
            let followed = if let Some(event) = self.take(now, What::precedes_layers) {
                self.happen(event);
                event.request
            } else if let Some(task) = due.pop_front() {
                self.poll(task);
                task.request
            } else if let Some(event) = self.take(now, |_| true) {
                self.happen(event);
                event.request
            } else {
                // Timers that were set for this very instant fire when the runtime looks at them.
                tokio::task::yield_now().await;
                due = self.in_order(self.ready.take());
                if due.is_empty() {
                    return;
                }
                continue;
            };
            self.follow(followed, now);
        }
    }

    fn take(&self, now: Milliseconds, wanted: impl Fn(What) -> bool) -> Option<Event> {
        self.world.lock().timeline.take(now, wanted)
    }

    /// Puts those for whom something is due in the order of the format.
    fn in_order(&self, mut due: Vec<Task>) -> VecDeque<Task> {
        due.sort_by_cached_key(|task| self.rank(*task));
        due.into()
    }

    /// Waits come first, in the order in which attempts came to the layers, which promise it; then backoffs;
    /// then what ends the wait for a place, and what cuts attempts off, each in the order of the trace.
    fn rank(&self, task: Task) -> (Due, u64, usize) {
        let request = task.request;
        let order = self.attempts.order(request);
        let due = match task.part {
            // While an attempt runs, all that can fall due outside of it is its end.
            Part::Whole if order.is_some() => match self.is_timed_out_at_its_deadline(request) {
                true => Due::TimeoutInQueue,
                false => Due::Cut,
            },
            Part::Whole if self.attempts.is_between(request) => Due::Backoff,
            Part::Attempt | Part::Whole => match self.world.lock().ends_wait_in_queue(request) {
                true => Due::WaitInQueue,
                false => Due::Wait,
            },
        };
        match due {
            Due::Wait => (due, order.unwrap_or(0), request),
            _ => (due, 0, request),
        }
    }

    /// Whether an attempt times out at the very deadline at which it would leave the queue, which comes later.
    fn is_timed_out_at_its_deadline(&self, request: usize) -> bool {
        let (began, timeout) = (self.attempts.began(request), self.attempt_timeout);
        let (Some(began), Some(timeout)) = (began, timeout) else {
            return false;
        };
        let world = self.world.lock();
        later(began, timeout) == world.instant(world.now()) && world.leaves_queue_late(request)
    }

    fn happen(&mut self, event: Event) {
        let request = event.request;
        let happened = match event.what {
            What::Arrive => {
                self.arrive(request);
                true
            }
            What::Leave => self.leave(request),
            What::Head { attempt } | What::BodyEnd { attempt } => {
                let world = self.world.lock();
                let slot = world.records[request].slots.get(attempt).cloned();
                drop(world);
                slot.is_some_and(|slot| slot.deliver(event.what))
            }
        };
        if happened {
            self.world.lock().touch();
        }
    }

    /// Dropping the way gives back what the request held, and others take it.
    fn leave(&mut self, request: usize) -> bool {
        self.note_left(request);
        let way = self.ways[request].take();
        let is_there = way.is_some();
        drop(way);
        if is_there {
            self.open -= 1;
            self.world.lock().left(request);
            self.note_end(request);
        }
        is_there
    }

    fn arrive(&mut self, request: usize) {
        let mut world = self.world.lock();
        let line = &world.trace[request];
        let call = world.call(request);
        if let Some(cancel) = line.cancel {
            let leave = Event {
                at: world.now() + cancel,
                request,
                what: What::Leave,
            };
            world.timeline.add(leave);
        }
        drop(world);
        let stack = self.built.stack.clone();
        let part = Part::Whole;
        let task = Task { request, part };
        self.ways[request] = Some(Way {
            future: Box::pin(serve(stack, call, self.world.clone())),
            waker: self.ready.waker(task),
        });
        self.open += 1;
        self.poll(task);
    }

    /// Polls whoever has been woken until nobody is. Each is followed to its end before the next, also where
    /// the upstream answers in no time.
    fn follow(&mut self, mut request: usize, now: Milliseconds) {
        loop {
            if let Some(task) = self.ready.pop_of(request) {
                self.poll(task);
            } else if let Some(event) = self.take_of(request, now) {
                self.happen(event);
            } else if let Some(task) = self.ready.pop() {
                request = task.request;
                self.poll(task);
            } else {
                return;
            }
        }
    }

    fn take_of(&self, request: usize, now: Milliseconds) -> Option<Event> {
        self.world.lock().timeline.take_upstreams(request, now)
    }

    fn poll(&mut self, task: Task) {
        let request = task.request;
        let Some(way) = &mut self.ways[request] else {
            return;
        };
        let had_ended = {
            let mut world = self.world.lock();
            world.polled = request;
            world.touch();
            world.records[request].end.is_some()
        };
        match task.part {
            Part::Attempt => self.attempts.poll(request),
            Part::Whole => {
                let mut cx = Context::from_waker(&way.waker);
                if way.future.as_mut().poll(&mut cx).is_ready() {
                    self.ways[request] = None;
                    self.open -= 1;
                    self.world.lock().records[request].slots = Vec::new();
                }
            }
        }
        if !had_ended {
            self.note_end(request);
        }
        // Who waits in the queue and wakes itself has found that its time is up now, which comes after all
        // that can still happen at this instant.
        if self.world.lock().waits_in_queue(request) && self.ready.remove(task) {
            self.deferred.push(task);
        }
    }

    /// If the request has just ended without an admission, what is left is what is left now.
    fn note_end(&mut self, request: usize) {
        let mut world = self.world.lock();
        world.count_waiting(request, self.attempts.is_between(request));
        let ended = world.records[request].end.is_some();
        drop(world);
        if ended {
            self.note_left(request);
        }
    }

    /// What is left for the key of a request that was never admitted.
    fn note_left(&self, request: usize) {
        let mut world = self.world.lock();
        if world.records[request].left.is_none() {
            let left = self.built.left(&world.trace[request].key);
            world.records[request].left = left;
        }
    }
}

/// One request's way through the layers, and then through its body.
async fn serve(stack: Stack, call: Call, world: World) {
    let request = call.request;
    let mut stack = stack;
    let result = match stack.ready().await {
        Ok(ready) => ready.call(call).await,
        Err(error) => Err(error),
    };
    world.lock().answered(request, &result);
    if let Ok(reply) = result {
        let mut body = reply.into_body();
        while let Some(Ok(_)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {}
    }
}
