//! Budgets that refuse, that only report, that only look, and that are closed; keys with limits of their own.

use buttress_core::test_util::advance;
use buttress_core::{End, LimitId, Now, Outcome, Policy, Reason, Ticket, When};
use buttress_token_budget::{Amounts, Dimension, Limit, LimitsError, Quota, TokenBudget};
use std::time::Duration;

fn quota(text: &str) -> Quota {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn total(text: &str) -> TokenBudget {
    TokenBudget::new(Dimension::TOTAL, quota(text))
}

#[tokio::test(start_paused = true)]
async fn in_shadow_what_does_not_fit_goes_on_and_spends_nothing() {
    let budget = total("100/minute rolling");
    budget.set_shadow(true);
    let fits = budget.reserve("a", Amounts::total(80)).unwrap();
    let over = budget.reserve("a", Amounts::total(80)).unwrap();
    let shadowed = |permit: &buttress_core::Permit<buttress_token_budget::Reserved>| {
        permit.ticket().is_some_and(Ticket::shadowed)
    };
    assert!(!shadowed(&fits) && shadowed(&over));
    assert_eq!(budget.balances("a")[0].remaining, 20);
    let usage = Amounts::total(500).usage();
    over.end(End::Settled(Outcome::Success, Some(usage)), &Now::new());
    assert_eq!(
        budget.balances("a")[0].remaining,
        20,
        "not even what it used"
    );
    let status = budget.status();
    assert_eq!((status.refused, status.outstanding), (1, 1));
    assert!(status.shadow && !status.soft);
    assert!(budget.would_fit("a", Amounts::total(80)).is_ok());
    budget.set_shadow(false);
    assert!(budget.would_fit("a", Amounts::total(80)).is_err());
    drop(fits);
}

#[tokio::test(start_paused = true)]
async fn a_closed_budget_refuses_for_good_so_that_a_queue_does_not_wait_for_it() {
    let budget = total("100/minute");
    budget.close();
    let refused = budget.reserve("a", Amounts::total(1)).unwrap_err();
    assert_eq!(
        (refused.reason(), refused.when()),
        (Reason::Overloaded, When::Never)
    );
}

fn tiers() -> TokenBudget {
    TokenBudget::builder()
        .limit(Dimension::TOTAL, quota("10/minute rolling"))
        .override_for(
            "vip",
            [
                Limit::new(Dimension::REQUESTS, quota("3/minute rolling")),
                Limit::new(Dimension::TOTAL, quota("50/minute rolling")),
            ],
        )
        .global(Dimension::TOTAL, quota("70/minute rolling"))
        .seed(3)
        .build()
        .expect("they can be enforced")
}

#[tokio::test(start_paused = true)]
async fn a_key_can_have_limits_of_its_own() {
    let budget = tiers();
    assert_eq!(
        budget.reserve("a", Amounts::total(11)).unwrap_err().when(),
        When::Never
    );
    let first = budget.reserve("vip", Amounts::total(48)).unwrap();
    let refused = budget.reserve("vip", Amounts::total(3)).unwrap_err();
    assert_eq!(refused.limit().unwrap().quota, 1, "the second of its own");
    let names: Vec<_> = budget
        .balances("vip")
        .into_iter()
        .map(|one| (one.name, one.remaining))
        .collect();
    let left = |name: &str, left| (name.to_owned(), left);
    assert_eq!(
        names,
        [
            left("requests 3/minute rolling", 2),
            left("total 50/minute rolling", 2),
            left("total 70/minute rolling", 22),
        ]
    );
    let spenders = budget.top_spenders(Dimension::TOTAL, 5);
    assert_eq!(spenders[0].spent, 48);
    // Other limits for the rest leave it alone.
    budget
        .set_limits(
            0,
            [Limit::new(Dimension::TOTAL, quota("20/minute rolling"))],
        )
        .unwrap();
    assert!(budget.would_fit("a", Amounts::total(20)).is_ok());
    assert_eq!(budget.balances("vip")[1].remaining, 2);
    first.end(End::Settled(Outcome::Success, None), &Now::new());
    advance(Duration::from_secs(60)).await;
    assert_eq!(budget.balances("vip")[1].remaining, 50);
    let none = TokenBudget::builder()
        .limit(Dimension::TOTAL, quota("1/s"))
        .override_for("a", []);
    assert_eq!(none.build().unwrap_err(), LimitsError::NothingForKey);
}

/// By these names a queue finds whom a limit holds back.
#[tokio::test(start_paused = true)]
async fn limits_have_one_name_for_all_who_share_them() {
    let budget = tiers();
    let told = |key, amounts| {
        let demand = budget.demand(&[budget.hash(key)], amounts);
        let mut told: Vec<(LimitId, LimitId)> = Vec::new();
        Policy::limits(&budget, &demand, &mut |said, shared| {
            told.push((said, shared));
        });
        assert!(told.iter().all(|(said, _)| budget.touches(&demand, *said)));
        told
    };
    let (plain, vip) = (told("a", Amounts::total(1)), told("vip", Amounts::total(1)));
    assert_eq!((plain.len(), vip.len()), (2, 3));
    let said: Vec<_> = vip.iter().map(|(said, _)| said.quota).collect();
    assert_eq!(said, [0, 1, 2], "as a rejection of it says them");
    let (all, vips) = (plain[1].1, vip[2].1);
    assert_eq!(all, vips, "one limit of all, whatever its number for a key");
    assert_ne!(plain[0].1, vip[1].1);
    let refused = budget.reserve("a", Amounts::total(11)).unwrap_err();
    assert_eq!(refused.limit(), Some(plain[0].0));
    // Who counts nothing of a dimension, and does not say so, does not need it.
    assert!(told("a", Amounts::request()).is_empty());
    assert_eq!(told("a", Amounts::total(0)).len(), 2);
    let stranger = LimitId {
        key: budget.hash("b"),
        ..plain[0].0
    };
    let demand = budget.demand(&[budget.hash("a")], Amounts::total(1));
    assert!(!budget.touches(&demand, stranger));
}

#[test]
fn limits_for_all_keys_together_come_later_where_room_was_left_for_them() {
    let limit = |text| Limit::new(Dimension::TOTAL, quota(text));
    let budget = TokenBudget::builder()
        .limit(Dimension::TOTAL, quota("100/minute"))
        .global_later()
        .build()
        .unwrap();
    assert_eq!(budget.limits().len(), 2);
    assert!(budget.would_fit("alice", Amounts::total(100)).is_ok());
    budget.set_limits(1, [limit("50/minute")]).unwrap();
    assert!(budget.would_fit("alice", Amounts::total(51)).is_err());
    budget.set_limits(1, []).unwrap();
    assert!(budget.would_fit("alice", Amounts::total(51)).is_ok());
    let [few, many] = [1, 12].map(|count| vec![limit("50/minute"); count]);
    budget
        .set_all_limits(vec![few.clone(), many.clone()])
        .unwrap();
    // One scope after the other there would be too many for a while.
    budget.set_all_limits(vec![many.clone(), few]).unwrap();
    assert_eq!(
        budget.limits().iter().map(Vec::len).collect::<Vec<_>>(),
        [12, 1]
    );
    let refused = budget.set_all_limits(vec![many.clone(), many.clone()]);
    assert_eq!(refused, Err(LimitsError::TooManyLimits(24)));
    assert_eq!(
        budget.set_all_limits(vec![many]),
        Err(LimitsError::NoSuchScope(1))
    );
    assert_eq!(budget.limits()[1].len(), 1);
}
