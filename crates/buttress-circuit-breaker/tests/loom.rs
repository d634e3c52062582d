//! Models of threads that meet at a circuit, in every order that they can.
//!
//! `RUSTFLAGS="--cfg buttress_loom" cargo test -p buttress-circuit-breaker --release --test loom`

#![cfg(buttress_loom)]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use buttress_circuit_breaker::{CircuitBreaker, CircuitDemand, CircuitTicket, Settings, State};
use buttress_core::time::{Instant, now};
use buttress_core::{End, KeyHash, Now, Outcome, Permit, Policy};
use loom::thread;

const OPEN: Duration = Duration::from_secs(10);
const EVERYONE: CircuitDemand = CircuitDemand {
    key: KeyHash::EVERYONE,
};

/// Goes through every order in which the threads can meet, with at most so many that are not forced.
fn model(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(run);
}

struct Bench {
    breaker: CircuitBreaker,
    start: Instant,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        let start = now();
        let builder = CircuitBreaker::builder(settings.open_for(OPEN));
        let breaker = builder.keys(1).seed(1).epoch(start).build().unwrap();
        Self { breaker, start }
    }

    fn admit(&self, after: Duration) -> Option<Permit<CircuitTicket>> {
        let now = Now::at(self.start + after);
        self.breaker.try_admit(&EVERYONE, &now).ok()
    }

    fn end(&self, permit: Permit<CircuitTicket>, outcome: Outcome) {
        permit.end(End::Settled(outcome, None), &Now::at(self.start));
    }

    fn call(&self, outcome: Outcome) {
        let permit = self.admit(Duration::ZERO).unwrap();
        self.end(permit, outcome);
    }
}

fn share(settings: Settings) -> Arc<Bench> {
    Arc::new(Bench::new(settings))
}

fn spawn<R: 'static>(
    bench: &Arc<Bench>,
    run: impl FnOnce(&Bench) -> R + 'static,
) -> thread::JoinHandle<R> {
    let bench = Arc::clone(bench);
    thread::spawn(move || run(&bench))
}

#[test]
fn failures_at_once_are_all_counted_and_trip_once() {
    model(3, || {
        let bench = share(Settings::consecutive_failures(2));
        let permits = [(); 2].map(|()| bench.admit(Duration::ZERO).unwrap());
        let threads =
            permits.map(|permit| spawn(&bench, move |bench| bench.end(permit, Outcome::Failure)));
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(bench.breaker.state(), State::Open);
        assert_eq!(bench.breaker.metrics().opened, 1);
        assert!(bench.admit(Duration::ZERO).is_none());
    });
}

#[test]
fn a_success_among_failures_ends_the_run_or_comes_too_late() {
    model(3, || {
        let bench = share(Settings::consecutive_failures(2));
        bench.call(Outcome::Failure);
        let failed = bench.admit(Duration::ZERO).unwrap();
        let good = bench.admit(Duration::ZERO).unwrap();
        let success = spawn(&bench, move |bench| bench.end(good, Outcome::Success));
        bench.end(failed, Outcome::Failure);
        success.join().unwrap();
        let metrics = bench.breaker.metrics();
        match metrics.state {
            State::Open => assert_eq!(metrics.consecutive_failures, 0),
            state => {
                assert_eq!(state, State::Closed);
                assert!(metrics.consecutive_failures <= 1);
            }
        }
    });
}

#[test]
fn rates_count_every_call_of_every_thread() {
    model(3, || {
        let bench = share(Settings::failure_rate(1.0).window(4).minimum_calls(3));
        bench.call(Outcome::Failure);
        let threads = [(); 2].map(|()| spawn(&bench, |bench| bench.call(Outcome::Failure)));
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(bench.breaker.state(), State::Open);
    });
}

#[test]
fn of_those_who_come_at_the_end_of_the_open_time_as_many_probe_as_may() {
    model(3, || {
        let bench = share(Settings::consecutive_failures(1));
        bench.call(Outcome::Failure);
        let other = spawn(&bench, |bench| bench.admit(OPEN));
        let mine = bench.admit(OPEN);
        let theirs = other.join().unwrap();
        assert!(mine.is_some() != theirs.is_some());
        assert_eq!(bench.breaker.metrics().probes_out, 1);
    });
}

#[test]
fn a_probe_that_ends_as_another_is_cancelled_leaves_no_place_taken() {
    model(3, || {
        let settings = Settings::consecutive_failures(1).probes(2).close_after(2);
        let bench = share(settings);
        bench.call(Outcome::Failure);
        let cancelled = bench.admit(OPEN).unwrap();
        let good = bench.admit(OPEN).unwrap();
        let other = spawn(&bench, move |_| drop(cancelled));
        bench.end(good, Outcome::Success);
        other.join().unwrap();
        assert_eq!(bench.breaker.metrics().probes_out, 0);
        assert_eq!(bench.breaker.state(), State::HalfOpen);
    });
}

#[test]
fn a_good_and_a_bad_probe_at_once_close_or_reopen_and_the_other_is_late() {
    model(3, || {
        let bench = share(Settings::consecutive_failures(1).probes(2));
        bench.call(Outcome::Failure);
        let bad = bench.admit(OPEN).unwrap();
        let good = bench.admit(OPEN).unwrap();
        let other = spawn(&bench, move |bench| bench.end(bad, Outcome::Failure));
        bench.end(good, Outcome::Success);
        other.join().unwrap();
        let metrics = bench.breaker.metrics();
        match metrics.state {
            State::Open => assert_eq!(metrics.opened, 2),
            state => {
                assert_eq!(state, State::Closed);
                assert_eq!((metrics.opened, metrics.consecutive_failures), (1, 0));
            }
        }
    });
}

#[test]
fn a_reset_that_meets_a_failure_leaves_nothing_of_before() {
    model(3, || {
        let bench = share(Settings::consecutive_failures(2));
        bench.call(Outcome::Failure);
        let failed = bench.admit(Duration::ZERO).unwrap();
        let other = spawn(&bench, |bench| bench.breaker.reset());
        bench.end(failed, Outcome::Failure);
        other.join().unwrap();
        let metrics = bench.breaker.metrics();
        assert_eq!(metrics.state, State::Closed);
        assert_eq!(metrics.consecutive_failures, 0);
    });
}

#[test]
fn of_two_who_tell_at_once_all_circuits_end_with_the_same_one() {
    model(3, || {
        let bench = share(Settings::consecutive_failures(1));
        assert!(bench.breaker.key("a").force_open());
        let other = spawn(&bench, |bench| bench.breaker.disable());
        bench.breaker.force_closed();
        other.join().unwrap();
        let state = bench.breaker.state();
        assert_ne!(state, State::Closed);
        assert_eq!(bench.breaker.key("a").state(), state);
        // One that is made now.
        assert_eq!(bench.breaker.key("b").state(), state);
    });
}

#[test]
fn other_settings_lose_no_failure_of_the_run() {
    model(3, || {
        let bench = share(Settings::consecutive_failures(9));
        let failed = bench.admit(Duration::ZERO).unwrap();
        let other = spawn(&bench, |bench| {
            let rates = Settings::consecutive_failures(9).or_failure_rate(1.0);
            bench.breaker.set(rates.open_for(OPEN)).unwrap();
        });
        bench.end(failed, Outcome::Failure);
        other.join().unwrap();
        assert_eq!(bench.breaker.metrics().consecutive_failures, 1);
    });
}

#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn who_waits_for_a_place_is_woken_or_finds_it() {
    model(3, || {
        let bench = share(Settings::consecutive_failures(1));
        bench.call(Outcome::Failure);
        let probe = bench.admit(OPEN).unwrap();
        let other = spawn(&bench, move |_| drop(probe));
        let woken = Arc::new(Woken::default());
        bench.breaker.subscribe(&Waker::from(Arc::clone(&woken)));
        let found = bench.admit(OPEN).is_some();
        other.join().unwrap();
        assert!(found || woken.0.load(Ordering::SeqCst) == 1);
    });
}

#[test]
fn a_key_that_is_forgotten_has_no_call_in_flight() {
    model(2, || {
        let bench = share(Settings::consecutive_failures(1));
        let key = |name: &str| bench.breaker.hash(name);
        let (one, two) = (
            CircuitDemand { key: key("a") },
            CircuitDemand { key: key("b") },
        );
        let other = spawn(&bench, move |bench| {
            let at = Now::at(bench.start);
            let permit = bench.breaker.try_admit(&one, &at).unwrap();
            let is_watched = permit.ticket().is_some();
            bench.end(permit, Outcome::Failure);
            is_watched
        });
        let at = Now::at(bench.start);
        let permit = bench.breaker.try_admit(&two, &at).unwrap();
        bench.end(permit, Outcome::Success);
        let was_watched = other.join().unwrap();
        let state = bench.breaker.key("a").state();
        assert_eq!(state == State::Open, was_watched);
    });
}
