//! Models of threads that meet at a queue, in every order that they can.
//!
//! `RUSTFLAGS="--cfg buttress_loom" cargo test -p buttress-priority-queue --release --test loom`

#![cfg(buttress_loom)]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use buttress_core::{Admission, Now, Permit, Policy, Reason, Rejection, Verdict};
use buttress_priority_queue::{
    ConcurrencyLimit, NoGate, Priority, PriorityQueue, QueueDemand, QueueTicket, QueueWait,
    Settings,
};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// Goes through every order in which the threads can meet, with at most so many that are not forced.
fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.max_branches = 10_000;
    builder.check(run);
}

struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

type Answer<G> = Result<Permit<QueueTicket<G>>, Rejection>;

struct Waiter<G: Policy> {
    wait: Pin<Box<QueueWait<G>>>,
    woken: Arc<Woken>,
    answer: Option<Answer<G>>,
}

impl<G: Policy> Waiter<G> {
    fn new(wait: QueueWait<G>) -> Self {
        let woken = Arc::new(Woken(AtomicUsize::new(0)));
        let wait = Box::pin(wait);
        let mut waiter = Self {
            wait,
            woken,
            answer: None,
        };
        waiter.look();
        waiter
    }

    fn look(&mut self) {
        let waker = Waker::from(Arc::clone(&self.woken));
        if let Poll::Ready(answer) = self.wait.as_mut().poll(&mut Context::from_waker(&waker)) {
            self.answer = Some(answer);
        }
    }

    /// Looks if it was woken since it looked last, as an executor does when all has come to rest.
    fn look_if_woken(&mut self) {
        while self.answer.is_none() && self.woken.0.swap(0, Ordering::SeqCst) > 0 {
            self.look();
        }
    }

    fn is_admitted(&mut self) -> bool {
        self.look_if_woken();
        matches!(self.answer, Some(Ok(_)))
    }
}

type Place = Permit<QueueTicket<NoGate>>;

fn queue(capacity: usize) -> PriorityQueue {
    PriorityQueue::new(Settings {
        capacity,
        ..Settings::new(1)
    })
    .unwrap()
}

fn place(queue: &PriorityQueue) -> Place {
    match queue.admit(QueueDemand::new(Priority::Medium), &Now::new()) {
        Verdict::Now(answer) => answer.unwrap(),
        Verdict::Later(_) => panic!("a place is free"),
    }
}

fn wait(queue: &PriorityQueue, priority: Priority) -> Waiter<NoGate> {
    match queue.admit(QueueDemand::new(priority), &Now::new()) {
        Verdict::Later(wait) => Waiter::new(wait),
        Verdict::Now(_) => panic!("it must wait"),
    }
}

fn rest(queue: &PriorityQueue) {
    let status = queue.status();
    assert_eq!((status.in_flight, status.waiting()), (0, 0));
}

#[test]
fn a_place_that_is_given_back_while_somebody_arrives_is_not_lost() {
    model(|| {
        let queue = queue(10);
        let running = place(&queue);
        let other = thread::spawn(move || drop(running));
        let mut admitted = match queue.admit(QueueDemand::new(Priority::Medium), &Now::new()) {
            Verdict::Now(answer) => Ok(answer.unwrap()),
            Verdict::Later(wait) => Err(Waiter::new(wait)),
        };
        other.join().unwrap();
        if let Err(waiter) = &mut admitted {
            assert!(
                waiter.is_admitted(),
                "the hand-over wakes whoever looked before it"
            );
        }
        assert_eq!(queue.status().in_flight, 1);
        drop(admitted);
        rest(&queue);
    });
}

#[test]
fn a_push_out_that_meets_a_grant_leaves_one_of_the_two() {
    model(|| {
        let queue = queue(1);
        let running = place(&queue);
        let mut low = wait(&queue, Priority::Low);
        let giver = thread::spawn(move || drop(running));
        let verdict = queue.admit(QueueDemand::new(Priority::Critical), &Now::new());
        giver.join().unwrap();
        low.look_if_woken();
        let Verdict::Later(wait) = verdict else {
            panic!("somebody was ahead or in flight");
        };
        let mut urgent = Waiter::new(wait);
        match low.answer.take().expect("it was granted or pushed out") {
            Ok(place) => {
                assert!(urgent.answer.is_none());
                drop(place);
                assert!(urgent.is_admitted());
            }
            Err(rejection) => {
                assert_eq!(rejection.reason(), Reason::QueueFull);
                assert!(urgent.is_admitted());
            }
        }
        drop((low, urgent));
        rest(&queue);
    });
}

#[test]
fn the_first_goes_away_while_it_is_granted_and_the_next_has_the_place() {
    model(|| {
        let queue = queue(10);
        let running = place(&queue);
        let head = wait(&queue, Priority::Medium);
        let mut next = wait(&queue, Priority::Medium);
        let giver = thread::spawn(move || drop(running));
        drop(head);
        giver.join().unwrap();
        assert!(next.is_admitted());
        drop(next);
        rest(&queue);
    });
}

#[test]
fn closing_while_a_place_is_given_back_admits_or_refuses_everybody() {
    model(|| {
        let queue = queue(10);
        let running = place(&queue);
        let mut waiting = wait(&queue, Priority::Medium);
        let giver = thread::spawn(move || drop(running));
        queue.close();
        giver.join().unwrap();
        waiting.look_if_woken();
        assert!(waiting.answer.is_some(), "nobody waits at a closed queue");
        drop(waiting);
        rest(&queue);
    });
}

#[test]
fn two_who_wait_have_two_places_that_are_given_back_at_once() {
    model(|| {
        let queue = PriorityQueue::new(Settings::new(2)).unwrap();
        let [a, b] = [(); 2].map(|()| place(&queue));
        let mut waiting = [(); 2].map(|()| wait(&queue, Priority::Medium));
        let giver = thread::spawn(move || drop(a));
        drop(b);
        giver.join().unwrap();
        assert!(waiting.iter_mut().all(Waiter::is_admitted));
        assert_eq!(queue.status().in_flight, 2);
        drop(waiting);
        rest(&queue);
    });
}

#[test]
fn what_the_gates_tell_while_somebody_arrives_is_heard() {
    model(|| {
        let gate = ConcurrencyLimit::new(1_u32);
        let queue = PriorityQueue::after(Settings::new(2), gate.clone()).unwrap();
        let taken = gate.try_admit(&(), &Now::new()).unwrap();
        let giver = thread::spawn(move || drop(taken));
        let demand = QueueDemand::with_gates(Priority::Medium, Some(()));
        let mut admitted = match queue.admit(demand, &Now::new()) {
            Verdict::Now(answer) => Ok(answer.unwrap()),
            Verdict::Later(wait) => Err(Waiter::new(wait)),
        };
        giver.join().unwrap();
        if let Err(waiter) = &mut admitted {
            assert!(waiter.is_admitted());
        }
        drop(admitted);
        assert_eq!((queue.status().in_flight, gate.in_flight()), (0, 0));
    });
}

#[test]
fn two_who_come_at_once_for_one_place_get_it_one_after_the_other() {
    model(|| {
        let queue = queue(10);
        let come = |queue: &PriorityQueue| match queue
            .admit(QueueDemand::new(Priority::Medium), &Now::new())
        {
            Verdict::Now(answer) => Ok(answer.unwrap()),
            Verdict::Later(wait) => Err(Waiter::new(wait)),
        };
        let other = queue.clone();
        let other = thread::spawn(move || come(&other));
        let mine = come(&queue);
        let theirs = other.join().unwrap();
        assert_eq!(queue.status().in_flight, 1, "never above the limit");
        let (place, mut waiter) = match (mine, theirs) {
            (Ok(place), Err(waiter)) | (Err(waiter), Ok(place)) => (place, waiter),
            _ => panic!("one of two has the place"),
        };
        drop(place);
        assert!(waiter.is_admitted());
        drop(waiter);
        rest(&queue);
    });
}

#[test]
fn pausing_while_somebody_comes_and_somebody_goes_loses_nobody() {
    model(|| {
        let queue = PriorityQueue::new(Settings::new(2)).unwrap();
        let running = place(&queue);
        let pauser = queue.clone();
        let pauser = thread::spawn(move || {
            pauser.pause();
            drop(running);
        });
        let verdict = queue.admit(QueueDemand::new(Priority::Medium), &Now::new());
        pauser.join().unwrap();
        match verdict {
            Verdict::Now(answer) => {
                assert_eq!(queue.status().in_flight, 1);
                drop(answer);
            }
            Verdict::Later(wait) => {
                let mut waiter = Waiter::new(wait);
                assert!(!waiter.is_admitted(), "nobody goes while it is paused");
                queue.resume();
                assert!(waiter.is_admitted());
            }
        }
        rest(&queue);
    });
}

#[test]
fn the_last_to_go_while_somebody_drains_ends_the_drain() {
    model(|| {
        let queue = queue(10);
        let running = place(&queue);
        let giver = thread::spawn(move || drop(running));
        let mut drained = Box::pin(queue.drain());
        let woken = Arc::new(Woken(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut look = || drained.as_mut().poll(&mut Context::from_waker(&waker));
        let first = look();
        giver.join().unwrap();
        if first.is_pending() {
            assert!(woken.0.load(Ordering::SeqCst) > 0);
            assert!(look().is_ready());
        }
        rest(&queue);
    });
}
