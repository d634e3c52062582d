//! Models of threads that meet in the table and in the waiting room, in every order that they can.
//!
//! `RUSTFLAGS="--cfg buttress_loom" cargo test -p buttress-rate-limit --release --test loom`

#![cfg(buttress_loom)]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Wake, Waker};

use buttress_core::time::now;
use buttress_core::{Now, Policy, Ticket};
use buttress_rate_limit::model::{SpinLock, Waiter, enter};
use buttress_rate_limit::{Limits, Quota, RateDemand, RateLimiter};
use loom::thread;

/// Goes through every order in which the threads can meet, with at most so many that are not forced.
fn model(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(run);
}

fn limiter(units: u64) -> RateLimiter {
    RateLimiter::builder()
        .quota(Quota::per_hour(units))
        .keys(1)
        .seed(1)
        .build()
        .unwrap()
}

/// A limiter whose table is there.
fn warm(units: u64) -> RateLimiter {
    let limiter = limiter(units);
    limiter.check("warm", 0).unwrap();
    limiter
}

fn for_all(units: u64) -> RateLimiter {
    let quotas = [Quota::per_hour(units)];
    RateLimiter::builder().global(quotas).build().unwrap()
}

fn spawn<R: 'static>(
    limiter: &RateLimiter,
    run: impl FnOnce(RateLimiter) -> R + 'static,
) -> thread::JoinHandle<R> {
    let limiter = limiter.clone();
    thread::spawn(move || run(limiter))
}

fn left(limiter: &RateLimiter, key: &str) -> Vec<u64> {
    limiter.peek(key).iter().map(|s| s.remaining).collect()
}

fn admits(limiter: &RateLimiter, key: &str) -> u64 {
    u64::from(limiter.check(key, 1).is_ok())
}

#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Somebody who waits, with a waker of its own.
struct Sleeper {
    waiter: Waiter,
    woken: Arc<Woken>,
}

impl Sleeper {
    /// Waits for a unit, and sleeps if it is not there; none if it was.
    fn waits(limiter: &RateLimiter, key: &str) -> Option<Self> {
        let demand = RateDemand::new(limiter.hash(key), 1);
        let waiter = match enter(limiter, demand, &Now::new()) {
            Ok(answer) => {
                answer.unwrap();
                return None;
            }
            Err(waiter) => waiter,
        };
        let woken = Arc::new(Woken::default());
        let mut sleeper = Self { waiter, woken };
        match sleeper.is_served() {
            true => None,
            false => Some(sleeper),
        }
    }

    fn is_served(&mut self) -> bool {
        let waker = Waker::from(Arc::clone(&self.woken));
        let answer = self.waiter.look(&waker, &Now::at(now()));
        answer.is_some_and(|answer| answer.is_ok())
    }

    fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::SeqCst) > 0
    }
}

/// It was served, or it was woken and is served when it looks.
fn is_served_in_the_end(sleeper: Option<Sleeper>) {
    if let Some(mut sleeper) = sleeper {
        assert!(sleeper.is_woken(), "it sleeps, and its units are there");
        assert!(sleeper.is_served());
    }
}

// === the table ===

/// What is only read and written under the lock needs no order of its own.
#[test]
fn the_lock_of_a_bucket_lets_one_in_who_sees_what_the_one_before_did() {
    model(2, || {
        let shared =
            loom::sync::Arc::new((SpinLock::default(), loom::sync::atomic::AtomicU32::new(0)));
        let count = |(lock, counter): &(SpinLock, loom::sync::atomic::AtomicU32)| {
            let _guard = lock.lock();
            let read = counter.load(Ordering::Relaxed);
            counter.store(read + 1, Ordering::Relaxed);
        };
        let other = loom::sync::Arc::clone(&shared);
        let other = thread::spawn(move || count(&other));
        count(&shared);
        other.join().unwrap();
        assert_eq!(shared.1.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn of_two_who_want_the_last_unit_of_a_fresh_key_one_gets_it() {
    model(3, || {
        let limiter = warm(1);
        let other = spawn(&limiter, |limiter| admits(&limiter, "a"));
        let admitted = admits(&limiter, "a") + other.join().unwrap();
        assert_eq!(admitted, 1);
        let status = limiter.status();
        assert_eq!(status.live_keys, 1, "it stands in one place");
        assert_eq!((status.admitted, status.refused), (2, 1));
    });
}

#[test]
fn the_table_is_made_once_by_whoever_comes_first() {
    model(3, || {
        let limiter = limiter(2);
        let other = spawn(&limiter, |limiter| admits(&limiter, "a"));
        let admitted = admits(&limiter, "a") + other.join().unwrap();
        assert_eq!(admitted, 2);
        assert_eq!(
            admits(&limiter, "a"),
            0,
            "neither spent in a table of its own"
        );
    });
}

#[test]
fn keys_that_share_buckets_the_other_way_round_do_not_lock_each_other_out() {
    model(3, || {
        let limiter = warm(1);
        let first = |key: &u64| limiter.hash(*key).get() & 1;
        let even = (0..100_u64).find(|key| first(key) == 0).unwrap();
        let odd = (0..100_u64).find(|key| first(key) == 1).unwrap();
        let other = spawn(&limiter, move |limiter| limiter.check(even, 1).is_ok());
        assert!(limiter.check(odd, 1).is_ok());
        assert!(other.join().unwrap());
        assert_eq!(limiter.status().live_keys, 2);
    });
}

#[test]
fn a_refund_and_a_spending_meet_and_nothing_is_lost() {
    model(3, || {
        let limiter = warm(2);
        limiter.check("a", 2).unwrap();
        let refund = spawn(&limiter, |limiter| limiter.refund("a", 1));
        let admitted = admits(&limiter, "a");
        refund.join().unwrap();
        assert_eq!(left(&limiter, "a"), [1 - admitted]);
    });
}

// === other limits ===

#[test]
fn a_change_of_limits_and_a_spending_meet_and_every_unit_is_counted() {
    model(3, || {
        let limiter = warm(2);
        limiter.check("a", 1).unwrap();
        let change = spawn(&limiter, |limiter| limiter.set_quota(Quota::per_hour(5)));
        let admitted = admits(&limiter, "a") + admits(&limiter, "a");
        change.join().unwrap();
        assert!((1..=2).contains(&admitted));
        assert_eq!(left(&limiter, "a"), [5 - 1 - admitted]);
    });
}

#[test]
fn a_limit_for_all_that_comes_in_holds_for_everything_after_it() {
    model(3, || {
        let limiter = limiter(5);
        let change = spawn(&limiter, |limiter| {
            let global = vec![Quota::per_hour(1)];
            let limits = Limits {
                global,
                ..limiter.limits()
            };
            limiter.set_limits(limits).unwrap();
        });
        let admitted = admits(&limiter, "a");
        change.join().unwrap();
        let [keyed, global] = left(&limiter, "a")[..] else {
            panic!("both limits are in force");
        };
        assert_eq!((admitted, keyed), (1, 4));
        assert_eq!(admits(&limiter, "b"), global);
        assert_eq!(admits(&limiter, "c"), 0);
    });
}

#[test]
fn of_two_changes_at_once_none_is_lost() {
    model(2, || {
        let limiter = limiter(5);
        let other = spawn(&limiter, |limiter| {
            limiter.set_override("a", [Quota::per_hour(1)]).unwrap();
        });
        limiter.set_override("b", [Quota::per_hour(2)]).unwrap();
        other.join().unwrap();
        assert_eq!(limiter.limits().overrides.len(), 2);
    });
}

// === the waiting room ===

#[test]
fn a_refund_while_somebody_comes_to_wait_is_not_slept_through() {
    for make in [warm, for_all] {
        model(3, move || {
            let limiter = make(1);
            limiter.check("a", 1).unwrap();
            let refund = spawn(&limiter, |limiter| limiter.refund("a", 1));
            let sleeper = Sleeper::waits(&limiter, "a");
            refund.join().unwrap();
            is_served_in_the_end(sleeper);
            assert_eq!(left(&limiter, "a"), [0]);
            assert_eq!(limiter.status().waiting, 0);
        });
    }
}

#[test]
fn a_larger_limit_while_somebody_comes_to_wait_is_not_slept_through() {
    model(2, || {
        let limiter = warm(1);
        limiter.check("a", 1).unwrap();
        let change = spawn(&limiter, |limiter| limiter.set_quota(Quota::per_hour(2)));
        let sleeper = Sleeper::waits(&limiter, "a");
        change.join().unwrap();
        is_served_in_the_end(sleeper);
        assert_eq!(left(&limiter, "a"), [0]);
    });
}

#[test]
fn shadow_while_somebody_comes_to_wait_is_not_slept_through() {
    model(3, || {
        let limiter = warm(1);
        limiter.check("a", 1).unwrap();
        let change = spawn(&limiter, |limiter| limiter.set_shadow(true));
        let sleeper = Sleeper::waits(&limiter, "a");
        change.join().unwrap();
        is_served_in_the_end(sleeper);
        assert_eq!(limiter.status().waiting, 0);
    });
}

#[test]
fn a_unit_that_comes_back_while_the_first_leaves_goes_to_the_next() {
    model(2, || {
        let limiter = warm(1);
        limiter.check("a", 1).unwrap();
        let leaves = Sleeper::waits(&limiter, "a").unwrap();
        let stays = Sleeper::waits(&limiter, "a");
        let refund = spawn(&limiter, |limiter| limiter.refund("a", 1));
        let leave = thread::spawn(move || drop(leaves));
        refund.join().unwrap();
        leave.join().unwrap();
        is_served_in_the_end(stays);
        assert_eq!(left(&limiter, "a"), [0]);
        assert_eq!(limiter.status().admitted, 3, "the warm one, and two");
    });
}

#[test]
fn one_unit_goes_to_the_first_and_to_nobody_else() {
    model(2, || {
        let limiter = warm(1);
        limiter.check("a", 1).unwrap();
        let first = Sleeper::waits(&limiter, "a");
        let refund = spawn(&limiter, |limiter| limiter.refund("a", 1));
        let second = Sleeper::waits(&limiter, "a");
        refund.join().unwrap();
        is_served_in_the_end(first);
        let mut second = second.expect("the unit is the first's");
        assert!(!second.is_served());
        drop(second);
        assert_eq!(left(&limiter, "a"), [0]);
    });
}

#[test]
fn when_all_leave_everything_is_given_back() {
    model(2, || {
        let limiter = warm(1);
        limiter.check("a", 1).unwrap();
        let [one, two] = [(); 2].map(|()| Sleeper::waits(&limiter, "a"));
        let refund = spawn(&limiter, |limiter| limiter.refund("a", 1));
        let leave = thread::spawn(move || drop(one));
        drop(two);
        refund.join().unwrap();
        leave.join().unwrap();
        assert_eq!(left(&limiter, "a"), [1]);
        let status = limiter.status();
        assert_eq!((status.waiting, status.live_keys), (0, 0));
        assert_eq!(status.admitted, 2, "the warm one, and the first");
    });
}

#[test]
fn whoever_does_not_wait_takes_a_unit_before_or_after_those_who_do_and_none_is_spent_twice() {
    model(2, || {
        let limiter = warm(1);
        limiter.check("a", 1).unwrap();
        let refund = spawn(&limiter, |limiter| limiter.refund("a", 1));
        let check = spawn(&limiter, |limiter| admits(&limiter, "a"));
        let sleeper = Sleeper::waits(&limiter, "a");
        refund.join().unwrap();
        match check.join().unwrap() {
            0 => is_served_in_the_end(sleeper),
            _ => assert!(!sleeper.expect("the unit is gone").is_served()),
        }
        assert_eq!(left(&limiter, "a"), [0]);
    });
}

// === subscribers ===

#[test]
fn whoever_subscribes_and_then_looks_hears_of_what_comes_after() {
    model(3, || {
        let limiter = warm(1);
        limiter.check("a", 1).unwrap();
        let refund = spawn(&limiter, |limiter| limiter.refund("a", 1));
        let woken = Arc::new(Woken::default());
        limiter.subscribe(&Waker::from(Arc::clone(&woken)));
        let demand = RateDemand::new(limiter.hash("a"), 1);
        let fits = limiter.would_admit("a", 1).is_ok();
        refund.join().unwrap();
        assert!(fits || woken.0.load(Ordering::SeqCst) == 1);
        let permit = limiter.try_admit(&demand, &Now::new()).unwrap();
        assert!(!permit.ticket().is_some_and(Ticket::shadowed));
    });
}
