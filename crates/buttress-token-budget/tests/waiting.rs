//! Waiting for a budget: order, bounds, deadlines, and those who leave.

use std::time::Duration;

use buttress_core::time::{Instant, now};
use buttress_core::{Admission, End, Now, Outcome, Permit, Reason, Rejection, Verdict, When};
use buttress_token_budget::{
    Amounts, BudgetWait, Dimension, Quota, Reserved, TokenBudget, Waiting,
};
use tokio::task::JoinHandle;
use tokio::time::advance;

fn quota(text: &str) -> Quota {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn total(text: &str) -> TokenBudget {
    TokenBudget::new(Dimension::TOTAL, quota(text))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn admit(budget: &TokenBudget, key: &str, units: u64) -> Verdict<Reserved, BudgetWait> {
    let demand = budget.demand(&[budget.hash(key)], Amounts::total(units));
    Waiting::new(budget.clone(), seconds(100)).admit(demand, &Now::new())
}

fn later(verdict: Verdict<Reserved, BudgetWait>) -> BudgetWait {
    match verdict {
        Verdict::Later(wait) => wait,
        Verdict::Now(answer) => panic!("{answer:?}"),
    }
}

fn at_once(verdict: Verdict<Reserved, BudgetWait>) -> Result<Permit<Reserved>, Rejection> {
    match verdict {
        Verdict::Now(answer) => answer,
        Verdict::Later(_) => panic!("it waits"),
    }
}

fn keep(permit: Permit<Reserved>) {
    permit.end(End::Settled(Outcome::Success, None), &Now::new());
}

/// When a wait was over, and how.
fn spawn(wait: BudgetWait, start: Instant) -> JoinHandle<(Duration, Result<(), Rejection>)> {
    tokio::spawn(async move {
        let answer = wait.await.map(keep);
        (start.elapsed(), answer)
    })
}

#[tokio::test(start_paused = true)]
async fn in_order_of_arrival_so_that_the_large_are_not_starved() {
    let budget = total("60/minute");
    let start = now();
    keep(at_once(admit(&budget, "a", 60)).unwrap());
    let large = spawn(later(admit(&budget, "a", 50)), start);
    advance(seconds(10)).await;
    // One unit would fit now, and waits behind.
    let small = spawn(later(admit(&budget, "a", 1)), start);
    let refused = budget.reserve("a", Amounts::total(1)).unwrap_err();
    assert_eq!(refused.retry_after(), Some(seconds(42)), "behind both");
    // Another key does not wait.
    assert!(at_once(admit(&budget, "b", 1)).is_ok());
    assert_eq!(large.await.unwrap(), (seconds(50), Ok(())));
    assert_eq!(small.await.unwrap(), (seconds(51), Ok(())));
}

#[tokio::test(start_paused = true)]
async fn never_and_too_long_are_refused_at_once() {
    let budget = total("60/minute");
    keep(at_once(admit(&budget, "a", 60)).unwrap());
    assert_eq!(
        at_once(admit(&budget, "a", 61)).unwrap_err().when(),
        When::Never
    );
    let waits = later(admit(&budget, "a", 55));
    let refused = at_once(admit(&budget, "a", 46)).unwrap_err();
    assert_eq!(refused.retry_after(), Some(seconds(101)));
    let equal = later(admit(&budget, "a", 45));
    drop((waits, equal));
    assert_eq!(budget.status().waiting, 0);
    assert_eq!(budget.balances("a")[0].remaining, 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_cannot_be_met_is_told_at_once() {
    let budget = total("60/minute");
    keep(at_once(admit(&budget, "a", 60)).unwrap());
    let by = |units, after| {
        let demand = budget.demand(&[budget.hash("a")], Amounts::total(units));
        let demand = demand.deadline(Some(now() + seconds(after)));
        Waiting::new(budget.clone(), seconds(100)).admit(demand, &Now::new())
    };
    assert_eq!(at_once(by(10, 10)).unwrap_err().reason(), Reason::Deadline);
    let _met = later(by(10, 11));
}

#[tokio::test(start_paused = true)]
async fn what_settles_lets_others_go_at_once() {
    let budget = total("60/minute rolling");
    let start = now();
    let running = at_once(admit(&budget, "a", 60)).unwrap();
    let first = spawn(later(admit(&budget, "a", 30)), start);
    let second = spawn(later(admit(&budget, "a", 20)), start);
    advance(seconds(5)).await;
    let usage = Amounts::total(10).usage();
    running.end(End::Settled(Outcome::Success, Some(usage)), &Now::new());
    assert_eq!(first.await.unwrap(), (seconds(5), Ok(())));
    assert_eq!(second.await.unwrap(), (seconds(5), Ok(())));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_makes_room_for_those_behind() {
    let budget = total("60/minute");
    let start = now();
    keep(at_once(admit(&budget, "a", 60)).unwrap());
    let leaves = later(admit(&budget, "a", 60));
    let behind = spawn(later(admit(&budget, "a", 10)), start);
    tokio::task::yield_now().await;
    drop(leaves);
    assert_eq!(behind.await.unwrap(), (seconds(10), Ok(())));
}

/// Nobody polls the first, which keeps nobody from going; dropped, it gives back what it was granted.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_nobody_polls_holds_nobody_up() {
    let budget = total("60/minute rolling");
    let start = now();
    keep(at_once(admit(&budget, "a", 60)).unwrap());
    let idle = later(admit(&budget, "a", 40));
    let behind = spawn(later(admit(&budget, "a", 20)), start);
    assert_eq!(behind.await.unwrap(), (seconds(60), Ok(())));
    assert_eq!(budget.balances("a")[0].remaining, 0);
    drop(idle);
    assert_eq!(budget.balances("a")[0].remaining, 40);
    assert_eq!(budget.status().outstanding, 0);
}

#[tokio::test(start_paused = true)]
async fn a_global_quota_is_waited_for_in_order_of_arrival() {
    let budget = TokenBudget::builder()
        .limit(Dimension::TOTAL, quota("60/minute"))
        .global(Dimension::TOTAL, quota("90/90s"))
        .build()
        .unwrap();
    let start = now();
    keep(at_once(admit(&budget, "a", 60)).unwrap());
    // Held back by its own quota: holds back nobody else.
    let own = spawn(later(admit(&budget, "a", 10)), start);
    keep(at_once(admit(&budget, "b", 30)).unwrap());
    // Held back by the one for all.
    let first = spawn(later(admit(&budget, "b", 20)), start);
    let second = spawn(later(admit(&budget, "c", 5)), start);
    assert_eq!(own.await.unwrap().0, seconds(10));
    assert_eq!(first.await.unwrap().0, seconds(30));
    assert_eq!(second.await.unwrap().0, seconds(35));
}

#[tokio::test(start_paused = true)]
async fn debt_is_waited_for() {
    let budget = total("60/minute");
    let start = now();
    let running = at_once(admit(&budget, "a", 60)).unwrap();
    let waits = spawn(later(admit(&budget, "a", 10)), start);
    tokio::task::yield_now().await;
    let usage = Amounts::total(90).usage();
    running.end(End::Settled(Outcome::Success, Some(usage)), &Now::new());
    assert_eq!(waits.await.unwrap(), (seconds(40), Ok(())));
}

#[tokio::test(start_paused = true)]
async fn close_refuses_those_who_wait() {
    let budget = total("60/minute");
    let start = now();
    keep(at_once(admit(&budget, "a", 60)).unwrap());
    let waits = spawn(later(admit(&budget, "a", 10)), start);
    tokio::task::yield_now().await;
    budget.drain().await;
    let refused = waits.await.unwrap().1.unwrap_err();
    assert_eq!(refused.reason(), Reason::Overloaded);
}
