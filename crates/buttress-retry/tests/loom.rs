//! Models of threads that meet in a budget, in every order that they can.
//!
//! `RUSTFLAGS="--cfg buttress_loom" cargo test -p buttress-retry --release --test loom`

#![cfg(buttress_loom)]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use buttress_core::Now;
use buttress_core::time::{Instant, now};
use buttress_retry::{BudgetRule, RetryBudget};
use loom::thread;

fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.max_branches = 10_000;
    builder.check(run);
}

fn spawn<R: 'static>(
    budget: &RetryBudget,
    run: impl FnOnce(RetryBudget) -> R + 'static,
) -> thread::JoinHandle<R> {
    let budget = budget.clone();
    thread::spawn(move || run(budget))
}

fn withdraws(budget: &RetryBudget, at: Instant) -> u64 {
    u64::from(budget.withdraw(&Now::at(at)))
}

fn left(budget: &RetryBudget, at: Instant) -> u64 {
    (0..1_000)
        .take_while(|_| withdraws(budget, at) == 1)
        .count() as u64
}

#[test]
fn deposits_from_two_threads_pay_for_exactly_what_they_are_worth() {
    model(|| {
        let rule = BudgetRule::ratio(0.6).per_second(0.0).reserve(0.0);
        let budget = RetryBudget::new(rule);
        let at = now();
        let other = spawn(&budget, move |budget| {
            budget.deposit();
            budget.deposit();
            withdraws(&budget, at)
        });
        for _ in 0..3 {
            budget.deposit();
        }
        let paid = withdraws(&budget, at) + other.join().unwrap();
        assert_eq!(paid + left(&budget, at), 3, "five times 0.6");
    });
}

#[test]
fn of_two_who_want_the_last_retry_one_gets_it() {
    model(|| {
        let rule = BudgetRule::ratio(0.0).per_second(0.0).reserve(1.0);
        let budget = RetryBudget::new(rule);
        let at = now();
        let other = spawn(&budget, move |budget| withdraws(&budget, at));
        let paid = withdraws(&budget, at);
        assert_eq!(paid + other.join().unwrap(), 1);
    });
}

#[test]
fn what_time_brings_is_brought_once_and_nobody_is_refused_while_another_adds_it() {
    model(|| {
        let rule = BudgetRule::ratio(0.0).per_second(1.0).reserve(0.0);
        let budget = RetryBudget::new(rule);
        let start = now();
        budget.reset(&Now::at(start));
        let at = start + Duration::from_secs(2);
        let other = spawn(&budget, move |budget| withdraws(&budget, at));
        let paid = withdraws(&budget, at) + other.join().unwrap();
        assert_eq!(paid, 2);
        assert_eq!(left(&budget, at), 0);
    });
}

#[test]
fn a_reset_and_a_withdrawal_meet_and_it_is_as_if_one_came_first() {
    model(|| {
        let rule = BudgetRule::ratio(0.0).per_second(1.0).reserve(2.0);
        let budget = RetryBudget::new(rule);
        let at = now();
        budget.reset(&Now::at(at));
        assert_eq!(withdraws(&budget, at), 1);
        let other = spawn(&budget, move |budget| budget.reset(&Now::at(at)));
        let paid = withdraws(&budget, at);
        other.join().unwrap();
        let left = left(&budget, at);
        assert_eq!(paid, 1);
        assert!(left == 1 || left == 2, "{left}");
    });
}
