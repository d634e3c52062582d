//! The policy: reserving, settling, debt, and what the handle tells.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_core::{
    End, Event, Now, Outcome, Permit, Policy, Reason, Rejection, Ticket, Usage, When,
};
use buttress_token_budget::{
    Amounts, BudgetDemand, Dimension, Limit, LimitsError, OnDrop, Quota, Reserved, TokenBudget,
};
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

fn tokens(budget: &TokenBudget, units: u64) -> Result<Permit<Reserved>, Rejection> {
    budget.reserve("alice", Amounts::total(units))
}

fn used(permit: Permit<Reserved>, units: u64) {
    let usage = Amounts::total(units).usage();
    permit.end(End::Settled(Outcome::Success, Some(usage)), &Now::new());
}

fn remaining(budget: &TokenBudget) -> u64 {
    budget.balances("alice")[0].remaining
}

/// The example of the replay's page.
#[tokio::test(start_paused = true)]
async fn overshoot_is_charged_at_the_moment_of_settling() {
    let budget = total("100/minute rolling");
    let permit = tokens(&budget, 60).unwrap();
    advance(seconds(1)).await;
    used(permit, 80);
    advance(seconds(1)).await;
    let refused = tokens(&budget, 30).unwrap_err();
    assert_eq!(refused.reason(), Reason::TokenBudget);
    assert_eq!(refused.retry_after(), Some(seconds(58)));
    advance(seconds(58)).await;
    assert_eq!(
        remaining(&budget),
        80,
        "the overshoot is back a second later"
    );
    advance(seconds(1)).await;
    assert_eq!(remaining(&budget), 100);
}

#[tokio::test(start_paused = true)]
async fn a_refund_goes_to_the_moment_of_the_reservation() {
    let budget = total("100/minute rolling");
    let permit = tokens(&budget, 60).unwrap();
    advance(seconds(30)).await;
    drop_ended(tokens(&budget, 40).unwrap());
    used(permit, 10);
    assert_eq!(remaining(&budget), 50);
    advance(seconds(30)).await;
    assert_eq!(remaining(&budget), 60, "10 of the first minute are back");
}

#[tokio::test(start_paused = true)]
async fn a_refund_never_credits_a_later_window() {
    let budget = total("100/minute rolling");
    let permit = tokens(&budget, 60).unwrap();
    advance(seconds(60)).await;
    drop_ended(tokens(&budget, 100).unwrap());
    used(permit, 0);
    assert_eq!(remaining(&budget), 0);
    let paced = total("60/minute");
    let permit = tokens(&paced, 10).unwrap();
    advance(seconds(60)).await;
    used(permit, 0);
    assert_eq!(remaining(&paced), 60, "never above the capacity");
}

fn drop_ended(permit: Permit<Reserved>) {
    permit.end(End::Settled(Outcome::Success, None), &Now::new());
}

#[tokio::test(start_paused = true)]
async fn below_zero_nothing_is_admitted_not_even_nothing() {
    let budget = total("60/minute");
    used(tokens(&budget, 60).unwrap(), 75);
    assert_eq!(budget.balances("alice")[0].debt, 15);
    let refused = tokens(&budget, 0).unwrap_err();
    assert_eq!(refused.retry_after(), Some(seconds(15)));
    // Another key owes nothing.
    assert!(budget.reserve("bob", Amounts::total(0)).is_ok());
    advance(seconds(15)).await;
    assert!(tokens(&budget, 0).is_ok());
    assert!(tokens(&budget, 1).is_err());
}

#[tokio::test(start_paused = true)]
async fn all_dimensions_or_none() {
    let budget = TokenBudget::builder()
        .limit(Dimension::REQUESTS, quota("10/minute"))
        .limit(Dimension::INPUT, quota("100/minute"))
        .limit(Dimension::OUTPUT, quota("50/minute"))
        .global(Dimension::COST, quota("7/minute"))
        .build()
        .unwrap();
    let ask = |output, cost| Amounts::tokens(10, output).with(Dimension::COST, cost);
    let kept = budget.reserve("alice", ask(40, 1)).unwrap();
    let refused = budget.reserve("alice", ask(20, 8)).unwrap_err();
    // What can never be decides over what comes back.
    assert_eq!(refused.when(), When::Never);
    assert!(refused.violates(2) && refused.violates(3) && !refused.violates(0));
    assert!(budget.reserve("alice", ask(20, 1)).is_err());
    let left: Vec<_> = budget
        .balances("alice")
        .iter()
        .map(|held| held.remaining)
        .collect();
    assert_eq!(left, [9, 90, 10, 6]);
    used_of(kept, Amounts::tokens(10, 5).with(Dimension::COST, 0));
    let left: Vec<_> = budget
        .balances("alice")
        .iter()
        .map(|held| held.remaining)
        .collect();
    assert_eq!(left, [9, 90, 45, 7]);
    assert_eq!(budget.status().outstanding, 0);
}

#[tokio::test(start_paused = true)]
async fn every_quota_that_refuses_tells_its_own_time() {
    let budget = TokenBudget::builder()
        .limit(Dimension::TOTAL, quota("100/10s"))
        .limit(Dimension::TOTAL, quota("100/minute rolling"))
        .build()
        .unwrap();
    let told = |units| {
        let mut told = Vec::new();
        let demand = budget.demand(&[budget.hash("alice")], Amounts::total(units));
        budget.refusals(&demand, &Now::new(), &mut |rejection| {
            told.push((rejection.limit().unwrap().quota, rejection.retry_after()));
        });
        told
    };
    let overdrawn = tokens(&budget, 100).unwrap();
    let after = |quota, wait| (quota, Some(seconds(wait)));
    assert_eq!(told(50), [after(1, 60), after(0, 5)], "first what decides");
    used(overdrawn, 110);
    assert_eq!(told(0), [after(1, 60), after(0, 1)], "below zero");
}

fn used_of(permit: Permit<Reserved>, amounts: Amounts) {
    permit.end(
        End::Settled(Outcome::Success, Some(amounts.usage())),
        &Now::new(),
    );
}

#[tokio::test(start_paused = true)]
async fn several_keys_are_one_decision() {
    let budget = TokenBudget::builder()
        .limit(Dimension::TOTAL, quota("100/minute"))
        .per([Limit::new(Dimension::TOTAL, quota("150/minute"))])
        .build()
        .unwrap();
    let demand = |model: &str, tenant: &str| -> BudgetDemand {
        budget.demand(
            &[budget.hash(model), budget.hash(tenant)],
            Amounts::total(80),
        )
    };
    let first = budget
        .try_admit(&demand("large", "acme"), &Now::new())
        .unwrap();
    let refused = budget
        .try_admit(&demand("small", "acme"), &Now::new())
        .unwrap_err();
    assert_eq!(refused.limit().unwrap().quota, 1);
    assert_eq!(
        budget.balances_of(0, budget.hash("small"))[0].remaining,
        100
    );
    let second = budget.try_admit(&demand("small", "other"), &Now::new());
    assert!(second.is_ok());
    drop_ended(first);
}

#[tokio::test(start_paused = true)]
async fn how_calls_end() {
    let end = |begins: bool, end: End, on_drop: OnDrop| {
        let budget = TokenBudget::builder()
            .limit(Dimension::TOTAL, quota("100/day"))
            .on_drop(on_drop)
            .build()
            .unwrap();
        let permit = tokens(&budget, 40).unwrap();
        let mut permit = permit;
        if begins {
            permit.head(Outcome::Success, &Now::new());
        }
        permit.end(end, &Now::new());
        100 - remaining(&budget)
    };
    let seen = |units| Some(Amounts::total(units).usage());
    let keep = OnDrop::Keep;
    assert_eq!(end(true, End::Settled(Outcome::Success, None), keep), 40);
    assert_eq!(end(true, End::Settled(Outcome::Success, seen(7)), keep), 7);
    assert_eq!(
        end(
            true,
            End::Settled(Outcome::Success, Some(Usage::NOTHING)),
            keep
        ),
        0
    );
    for outcome in [
        Outcome::Failure,
        Outcome::Throttled(None),
        Outcome::Overloaded,
        Outcome::Refused,
    ] {
        assert_eq!(
            end(false, End::Settled(outcome, None), keep),
            0,
            "{outcome:?}"
        );
    }
    assert_eq!(
        end(true, End::Settled(Outcome::Failure, None), keep),
        40,
        "it broke off"
    );
    assert_eq!(end(false, End::Settled(Outcome::TimedOut, None), keep), 40);
    assert_eq!(end(false, End::Cancelled(None), keep), 40);
    assert_eq!(end(false, End::Cancelled(seen(50)), keep), 50);
    assert_eq!(end(false, End::Cancelled(seen(9)), OnDrop::Seen), 9);
    assert_eq!(end(false, End::Cancelled(None), OnDrop::Seen), 40);
    assert_eq!(end(false, End::Cancelled(seen(9)), OnDrop::Refund), 0);
    assert_eq!(end(false, End::Released, keep), 0);
}

#[tokio::test(start_paused = true)]
async fn too_large_is_never_and_says_what_would_fit() {
    let budget = total("100/minute");
    let refused = tokens(&budget, 101).unwrap_err();
    assert_eq!(refused.when(), When::Never);
    let risk = budget.would_fit("alice", Amounts::total(101)).unwrap_err();
    assert!(risk.is_too_large());
    assert_eq!(risk.most[Dimension::TOTAL.index()], Some(100));
    assert!(
        risk.to_string().ends_with("the most that fits: 100 total"),
        "{risk}"
    );
    assert!(budget.would_fit("alice", Amounts::total(100)).is_ok());
    assert_eq!(remaining(&budget), 100);
}

#[tokio::test(start_paused = true)]
async fn a_soft_budget_only_reports() {
    let budget = TokenBudget::builder()
        .limit(Dimension::TOTAL, quota("100/minute"))
        .soft(true)
        .build()
        .unwrap();
    let permit = tokens(&budget, 250).unwrap();
    assert!(permit.ticket().unwrap().shadowed());
    assert_eq!(budget.balances("alice")[0].debt, 150);
    assert_eq!(budget.status().refused, 1);
    budget.set_soft(false);
    assert!(tokens(&budget, 0).is_err());
    used(permit, 0);
    assert_eq!(remaining(&budget), 100);
}

#[tokio::test(start_paused = true)]
async fn alerts_come_once_per_window() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&heard);
    let budget = TokenBudget::builder()
        .limit(Dimension::TOTAL, quota("100/minute rolling"))
        .alert(move |event: Event| {
            if let Event::Threshold { percent, .. } = event {
                told.lock().unwrap().push(percent);
            }
        })
        .build()
        .unwrap();
    let take = || std::mem::take(&mut *heard.lock().unwrap());
    drop_ended(tokens(&budget, 79).unwrap());
    assert_eq!(take(), [0_u8; 0]);
    let permit = tokens(&budget, 2).unwrap();
    assert_eq!(take(), [80]);
    used(permit, 1);
    drop_ended(tokens(&budget, 5).unwrap());
    assert_eq!(take(), [0_u8; 0], "told before");
    used(tokens(&budget, 1).unwrap(), 30);
    assert_eq!(take(), [100]);
    advance(seconds(60)).await;
    drop_ended(tokens(&budget, 100).unwrap());
    assert_eq!(take(), [100], "a new window: the highest of those reached");
}

#[tokio::test(start_paused = true)]
async fn limits_change_live_and_what_was_spent_stays_spent() {
    let budget = total("100/minute");
    let permit = tokens(&budget, 60).unwrap();
    budget
        .set_limits(0, [Limit::new(Dimension::TOTAL, quota("80/minute"))])
        .unwrap();
    assert_eq!(remaining(&budget), 20);
    used(permit, 10);
    assert_eq!(remaining(&budget), 70);
    assert_eq!(budget.set_limits(0, []), Err(LimitsError::Nothing));
    assert_eq!(budget.set_limits(3, []), Err(LimitsError::NoSuchScope(3)));
    budget.reset("alice");
    assert_eq!(remaining(&budget), 80);
}

#[tokio::test(start_paused = true)]
async fn top_spenders_and_outstanding_reservations() {
    let budget = total("100/minute");
    let held: Vec<_> = (1..=9_u64)
        .map(|key| budget.reserve(key, Amounts::total(key * 10)).unwrap())
        .collect();
    let status = budget.status();
    assert_eq!((status.outstanding, status.live_keys), (9, 9));
    assert_eq!(status.reserved[Dimension::TOTAL.index()], 450);
    let top: Vec<_> = budget.top_spenders(Dimension::TOTAL, 2);
    let expected = [(9_u64, 90), (8, 80)].map(|(key, spent)| (budget.hash(key), spent));
    assert_eq!(
        top.iter()
            .map(|one| (one.key, one.spent))
            .collect::<Vec<_>>(),
        expected
    );
    held.into_iter().for_each(drop_ended);
    assert_eq!(budget.status().reserved, [0; 8]);
}

#[tokio::test(start_paused = true)]
async fn drain_waits_for_those_who_run() {
    let budget = total("100/minute");
    let permit = tokens(&budget, 10).unwrap();
    let draining = tokio::spawn({
        let budget = budget.clone();
        async move { budget.drain().await }
    });
    tokio::task::yield_now().await;
    assert!(!draining.is_finished());
    assert_eq!(tokens(&budget, 1).unwrap_err().when(), When::Never);
    used(permit, 3);
    draining.await.unwrap();
}

#[test]
fn auto_traits() {
    fn shared<T: Send + Sync + Unpin + 'static>() {}
    shared::<TokenBudget>();
    shared::<Permit<Reserved>>();
    shared::<buttress_token_budget::TokenBudgetLayer>();
    fn clone<T: Clone>() {}
    clone::<TokenBudget>();
}
