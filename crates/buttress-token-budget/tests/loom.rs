//! Every interleaving of reservations and settlements.
#![cfg(buttress_loom)]

use std::task::Waker;

use buttress_core::{End, Now, Outcome, Permit, Ticket};
use buttress_token_budget::model::enter;
use buttress_token_budget::{Amounts, Dimension, Quota, Reserved, TokenBudget};
use loom::thread;

fn budget(units: u64) -> TokenBudget {
    let quota = || Quota::rolling(units, std::time::Duration::from_secs(3_600));
    TokenBudget::builder()
        .limit(Dimension::TOTAL, quota())
        .global(Dimension::TOTAL, quota())
        .keys(1)
        .seed(1)
        .build()
        .expect("two quotas can be enforced")
}

fn used(permit: Permit<Reserved>, now: &Now, units: u64) {
    let usage = Amounts::total(units).usage();
    permit.end(End::Settled(Outcome::Success, Some(usage)), now);
}

/// Two that fit only one at a time: one goes, or both in turn, and what is left is exact.
#[test]
fn one_of_two_that_do_not_fit_together() {
    loom::model(|| {
        let now = buttress_core::time::now();
        let budget = budget(10);
        let other = budget.clone();
        let ask = move |budget: &TokenBudget| {
            let answer = budget.reserve("key", Amounts::total(6));
            let went = answer.is_ok();
            if let Ok(permit) = answer {
                used(permit, &Now::at(now), 6);
            }
            went
        };
        let thread = thread::spawn(move || ask(&other));
        let mine = ask(&budget);
        let theirs = thread.join().expect("it does not panic");
        assert!(mine != theirs);
        let left: Vec<_> = budget
            .balances("key")
            .iter()
            .map(|held| held.remaining)
            .collect();
        assert_eq!(left, [4, 4]);
    });
}

/// A settlement that makes room, and an arrival: nobody is left waiting for what is free.
#[test]
fn what_settles_is_seen_by_who_waits() {
    loom::model(|| {
        let now = buttress_core::time::now();
        let budget = budget(10);
        let running = budget.reserve("key", Amounts::total(10)).expect("it fits");
        let other = budget.clone();
        let thread = thread::spawn(move || used(running, &Now::at(now), 0));
        let demand = other.demand(&[other.hash("key")], Amounts::total(4));
        let entered = enter(&other, demand, &Now::at(now));
        thread.join().expect("it does not panic");
        let granted = match entered {
            Ok(answer) => answer,
            Err(mut waiter) => waiter
                .look(Waker::noop(), &Now::at(now))
                .expect("what settled has made room"),
        };
        granted.expect("it fits").end(End::Released, &Now::at(now));
        assert_eq!(budget.balances("key")[0].remaining, 10);
        assert_eq!(budget.status().outstanding, 0);
    });
}

/// One settles to more than it reserved while another reserves: debt or not, the sums agree.
#[test]
fn overshoot_races_with_a_reservation() {
    loom::model(|| {
        let now = buttress_core::time::now();
        let budget = budget(10);
        let running = budget.reserve("key", Amounts::total(5)).expect("it fits");
        let thread = thread::spawn(move || used(running, &Now::at(now), 9));
        let went = budget.reserve("key", Amounts::total(5));
        thread.join().expect("it does not panic");
        let debt = budget.balances("key")[0].debt;
        assert_eq!(debt, if went.is_ok() { 4 } else { 0 });
        drop(went);
        assert_eq!(budget.status().outstanding, 0);
    });
}

/// One who waits goes away while a settlement grants it what it waited for: it is nobody's then, or the next
/// one's.
#[test]
fn who_leaves_races_with_its_grant() {
    loom::model(|| {
        let now = buttress_core::time::now();
        let budget = budget(10);
        let running = budget.reserve("key", Amounts::total(10)).expect("it fits");
        let demand = budget.demand(&[budget.hash("key")], Amounts::total(7));
        let first = enter(&budget, demand, &Now::at(now)).expect_err("it waits");
        let mut second = enter(&budget, demand, &Now::at(now)).expect_err("it waits behind");
        let thread = thread::spawn(move || used(running, &Now::at(now), 0));
        drop(first);
        thread.join().expect("it does not panic");
        let granted = second.look(Waker::noop(), &Now::at(now));
        let granted = granted.expect("nobody is ahead any more").expect("it fits");
        assert_eq!(budget.balances("key")[0].remaining, 3);
        granted.end(End::Released, &Now::at(now));
        assert_eq!(budget.balances("key")[0].remaining, 10);
        assert_eq!(budget.status().waiting, 0);
    });
}

/// Two reservations of one key settle at once, one with more and one with nothing, while a third looks on.
#[test]
fn settlement_and_refund_of_one_key() {
    loom::model(|| {
        let now = buttress_core::time::now();
        let budget = budget(10);
        let first = budget.reserve("key", Amounts::total(4)).expect("it fits");
        let second = budget.reserve("key", Amounts::total(4)).expect("it fits");
        let thread = thread::spawn(move || used(first, &Now::at(now), 6));
        second.end(End::Released, &Now::at(now));
        thread.join().expect("it does not panic");
        let left: Vec<_> = budget
            .balances("key")
            .iter()
            .map(|held| held.remaining)
            .collect();
        assert_eq!(left, [4, 4]);
        assert_eq!(budget.status().outstanding, 0);
    });
}

/// Closing races with an arrival: it goes, or is refused, and nobody waits for a budget that is closed.
#[test]
fn nobody_waits_for_what_is_closed() {
    loom::model(|| {
        let now = buttress_core::time::now();
        let budget = budget(10);
        let running = budget.reserve("key", Amounts::total(10)).expect("it fits");
        let other = budget.clone();
        let thread = thread::spawn(move || other.close());
        let demand = budget.demand(&[budget.hash("key")], Amounts::total(4));
        let entered = enter(&budget, demand, &Now::at(now));
        thread.join().expect("it does not panic");
        match entered {
            Ok(answer) => assert!(answer.is_err()),
            Err(mut waiter) => {
                let answer = waiter.look(Waker::noop(), &Now::at(now));
                assert!(answer.expect("it was told").is_err());
            }
        }
        used(running, &Now::at(now), 3);
        assert_eq!(budget.status().outstanding, 0);
        assert_eq!(budget.balances("key")[0].remaining, 7);
    });
}
