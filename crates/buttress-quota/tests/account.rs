//! Several quotas as one decision.

use std::time::Duration;

use buttress_quota::algorithm::{Account, Refusal, Rules, When};
use buttress_quota::{Quota, Window};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

fn rules(texts: &[&str]) -> Rules {
    let quotas: Vec<Quota> = texts
        .iter()
        .map(|text| text.parse().expect("it is a quota"))
        .collect();
    Rules::new(&quotas)
}

fn after(seconds: u64, quota: usize) -> Result<(), Refusal> {
    Err(Refusal {
        when: When::After(Duration::from_secs(seconds)),
        quota,
    })
}

fn remaining(account: &Account, rules: &Rules, now: u64) -> Vec<u64> {
    account
        .standings(rules, now)
        .map(|standing| standing.remaining)
        .collect()
}

#[test]
fn a_state_is_small_and_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + Unpin + 'static>() {}
    shared::<Account>();
    shared::<Rules>();
    assert_eq!(size_of::<Account>(), 24);
}

#[test]
fn a_refusal_spends_nothing_anywhere() {
    let rules = rules(&["10/minute", "3/second rolling"]);
    let mut account = Account::default();
    for _ in 0..3 {
        assert_eq!(account.admit(&rules, 1, 0), Ok(()));
    }
    assert_eq!(account.admit(&rules, 1, 0), after(1, 1));
    assert_eq!(account.violated(&rules, 1, 0).collect::<Vec<_>>(), [1]);
    assert_eq!(remaining(&account, &rules, 0), [7, 0]);
    let scarcest = account.scarcest(&rules, 0).unwrap();
    assert_eq!(
        (scarcest.quota, scarcest.capacity, scarcest.remaining),
        (1, 3, 0)
    );
    assert_eq!(scarcest.until_more, Some(Duration::from_secs(1)));
}

#[test]
fn the_longest_wait_decides_and_never_is_the_longest() {
    let rules = rules(&["2/second", "2/minute rolling", "2/minute rolling", "4/hour"]);
    let mut account = Account::default();
    assert_eq!(account.admit(&rules, 2, 0), Ok(()));
    assert_eq!(account.check(&rules, 1, 0), after(60, 1));
    assert_eq!(
        account.violated(&rules, 1, 0).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    assert_eq!(
        account.check(&rules, 3, 0),
        Err(Refusal {
            when: When::Never,
            quota: 0
        })
    );
    assert_eq!(account.earliest(&rules, 1, 0), Some(60 * SECOND));
    assert_eq!(account.earliest(&rules, 3, 0), None);
    assert_eq!(account.earliest(&rules, 0, 7), Some(7));
    assert_eq!(account.check(&rules, 0, 0), Ok(()));
}

#[test]
fn two_accounts_are_one_decision() {
    let (own, global) = (
        rules(&["2/second"]),
        rules(&["3/minute rolling", "100/day"]),
    );
    let (mut first, mut second, mut all) =
        (Account::default(), Account::default(), Account::default());
    let mut decide = |key: &mut Account, now| {
        let decision = key
            .check(&own, 1, now)
            .and_then(|()| all.check(&global, 1, now));
        if decision.is_ok() {
            key.spend(&own, 1, now);
            all.spend(&global, 1, now);
        }
        decision
    };
    assert_eq!(decide(&mut first, 0), Ok(()));
    assert_eq!(decide(&mut first, 0), Ok(()));
    assert!(decide(&mut first, 0).is_err());
    assert_eq!(decide(&mut second, 0), Ok(()));
    assert_eq!(decide(&mut second, 0), after(60, 0));
    assert_eq!(remaining(&second, &own, 0), [1]);
    assert_eq!(remaining(&all, &global, 0), [0, 97]);
}

#[test]
fn no_quotas_admit_everything() {
    let none = Rules::new(&[]);
    let mut account = Account::default();
    assert_eq!(account.admit(&none, u64::MAX, 0), Ok(()));
    assert_eq!(account.scarcest(&none, 0), None);
    assert!(account.is_idle(&none, 0));
    assert_eq!(account.debt(&none, 0), 0);
}

#[test]
fn refunds_give_back_under_every_quota() {
    let rules = rules(&["10/minute", "3/second rolling"]);
    let mut account = Account::default();
    account.refund(&rules, 5, 0);
    assert_eq!(remaining(&account, &rules, 0), [10, 3]);
    account.spend(&rules, 2, 0);
    account.spend(&rules, 1, SECOND / 2);
    let mut other = account.clone();
    account.refund(&rules, 1, SECOND / 2);
    assert_eq!(remaining(&account, &rules, SECOND / 2), [8, 1]);
    assert_eq!(remaining(&account, &rules, SECOND), [8, 3]);
    other.refund_at(&rules, 1, 0, SECOND / 2);
    assert_eq!(remaining(&other, &rules, SECOND / 2), [8, 1]);
    assert_eq!(remaining(&other, &rules, SECOND), [8, 2]);
    account.refund(&rules, 100, SECOND / 2);
    assert!(account.is_idle(&rules, SECOND / 2));

    let paced = self::rules(&["5/minute"]);
    let mut account = Account::default();
    account.spend(&paced, 3, 0);
    account.refund(&paced, 2, 0);
    assert_eq!(remaining(&account, &paced, 0), [4]);
}

#[test]
fn debt_and_idleness_are_those_of_the_slowest_quota() {
    let rules = rules(&["2/second", "10/minute rolling"]);
    let mut account = Account::default();
    account.spend(&rules, 1, 5);
    assert_eq!(account.debt(&rules, 5), 60 * SECOND);
    assert!(!account.is_idle(&rules, 60 * SECOND + 4));
    assert!(account.is_idle(&rules, 60 * SECOND + 5));
    assert_eq!(account.debt(&rules, 60 * SECOND + 5), 0);
}

/// The account after `spent` under one list of quotas, changed to another.
fn changed(from: &[&str], spent: u64, to: &[&str]) -> (Account, Rules) {
    let (old, new) = (rules(from), rules(to));
    let mut account = Account::default();
    account.spend(&old, spent, SECOND);
    account.convert(&old, &new, SECOND);
    (account, new)
}

/// Old quotas, what is spent under them, new quotas, and what is left under each.
type Change = (
    &'static [&'static str],
    u64,
    &'static [&'static str],
    &'static [u64],
);

#[test]
fn a_change_keeps_what_was_spent_in_units() {
    let cases: [Change; 12] = [
        (&["5/minute"], 3, &["8/minute"], &[5]),
        (&["10/minute"], 8, &["4/minute"], &[0]),
        (&["5/minute"], 3, &["8/hour rolling"], &[5]),
        (&["5/minute rolling"], 3, &["8/hour"], &[5]),
        (&["5/minute rolling"], 3, &["8/hour rolling"], &[5]),
        // The same period and kind goes before the place.
        (
            &["5/minute", "100/hour"],
            3,
            &["100/hour", "5/minute"],
            &[97, 2],
        ),
        (
            &["5/minute", "9/minute rolling"],
            3,
            &["20/minute rolling", "30/minute"],
            &[17, 27],
        ),
        (&["5/minute"], 3, &["50/second", "8/minute"], &[50, 5]),
        // One more starts fresh; one fewer is forgotten.
        (&["5/minute"], 3, &["8/hour", "9/day"], &[5, 9]),
        (&["5/minute", "7/hour"], 3, &["9/hour"], &[6]),
        (&[], 3, &["9/hour"], &[9]),
        (&["9/hour"], 3, &[], &[]),
    ];
    for (from, spent, to, expected) in cases {
        let (account, new) = changed(from, spent, to);
        assert_eq!(
            remaining(&account, &new, SECOND),
            expected,
            "{from:?} to {to:?}"
        );
    }
}

#[test]
fn what_exceeds_the_new_quota_has_to_come_back_first() {
    let (mut account, new) = changed(&["10/minute"], 8, &["4/minute"]);
    assert_eq!(account.check(&new, 1, SECOND), after(75, 0));
    assert_eq!(account.admit(&new, 1, 76 * SECOND), Ok(()));

    let (account, new) = changed(&["10/minute rolling"], 8, &["4/minute rolling"]);
    assert_eq!(account.check(&new, 1, SECOND), after(60, 0));
}

#[test]
fn a_part_of_a_unit_rounds_against_the_caller() {
    let (old, new) = (rules(&["5/minute"]), rules(&["5/minute rolling"]));
    let mut account = Account::default();
    account.spend(&old, 3, 0);
    // Half of one is back: 2.5 are spent.
    account.convert(&old, &new, 6 * SECOND);
    assert_eq!(remaining(&account, &new, 6 * SECOND), [2]);
}

#[test]
fn the_wrong_rules_do_not_panic() {
    let lists = [
        rules(&[]),
        rules(&["5/minute"]),
        rules(&["5/minute rolling"]),
        rules(&["5/minute", "9/hour rolling", "7/day"]),
    ];
    for first in &lists {
        for second in &lists {
            let mut account = Account::default();
            account.spend(first, 2, 0);
            let _ = account.admit(second, 2, 1);
            account.refund(second, 1, 2);
            account.refund_at(first, 1, 0, 2);
            account.convert(second, first, 3);
            let _ = account.scarcest(second, 4);
            let _ = account.debt(first, 4);
            account.spend(second, 1, 5);
            assert_eq!(account.standings(second, 5).count(), second.len());
        }
    }
}

fn any_quota() -> impl Strategy<Value = Quota> {
    (1..8_u64, 1..40_u64, prop::option::of(1..10_u64)).prop_map(|(units, period, burst)| {
        let period = Duration::from_nanos(period);
        match burst {
            Some(burst) => Quota::new(units, period).expect("in range").burst(burst),
            None => Quota::rolling(units, period),
        }
    })
}

fn any_rules() -> impl Strategy<Value = Rules> {
    prop::collection::vec(any_quota(), 0..4).prop_map(|quotas| Rules::new(&quotas))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// One account of many quotas decides as many accounts of one quota would together.
    #[test]
    fn all_or_nothing(rules in any_rules(), steps in prop::collection::vec((0..12_u64, 0..5_u64), 1..80)) {
        let singles: Vec<Rules> = rules.quotas().iter().map(|quota| Rules::new(std::slice::from_ref(quota))).collect();
        let mut accounts = vec![Account::default(); singles.len()];
        let mut account = Account::default();
        let mut now = 0;
        for (gap, cost) in steps {
            now += gap;
            let mut worst: Option<Refusal> = None;
            let mut violated = Vec::new();
            for (quota, (rules, account)) in singles.iter().zip(&accounts).enumerate() {
                if let Err(Refusal { when, .. }) = account.check(rules, cost, now) {
                    violated.push(quota);
                    if worst.is_none_or(|worst| when > worst.when) {
                        worst = Some(Refusal { when, quota });
                    }
                }
            }
            prop_assert_eq!(account.violated(&rules, cost, now).collect::<Vec<_>>(), violated);
            let earliest = account.earliest(&rules, cost, now);
            match worst {
                None => prop_assert_eq!(earliest, Some(now)),
                Some(Refusal { when: When::Never, .. }) => prop_assert_eq!(earliest, None),
                Some(Refusal { when: When::After(wait), .. }) => {
                    let then = now + u64::try_from(wait.as_nanos()).unwrap();
                    prop_assert_eq!(earliest, Some(then));
                    prop_assert_eq!(account.check(&rules, cost, then), Ok(()));
                    prop_assert!(account.check(&rules, cost, then - 1).is_err());
                }
            }
            prop_assert_eq!(account.admit(&rules, cost, now), worst.map_or(Ok(()), Err));
            if worst.is_none() {
                for (rules, account) in singles.iter().zip(&mut accounts) {
                    account.spend(rules, cost, now);
                }
            }
            let expected: Vec<u64> = singles.iter().zip(&accounts).flat_map(|(rules, account)| remaining(account, rules, now)).collect();
            prop_assert_eq!(remaining(&account, &rules, now), expected.clone());
            prop_assert_eq!(account.scarcest(&rules, now).map(|standing| standing.remaining), expected.into_iter().min());
            let debt = account.debt(&rules, now);
            prop_assert!(account.is_idle(&rules, now + debt));
            prop_assert_eq!(account.is_idle(&rules, now), debt == 0);
        }
    }

    /// After a change the new capacity is left, less what was spent.
    #[test]
    fn a_change_keeps_what_was_spent(old in any_quota(), new in any_quota(), spent in 0..9_u64, later in 0..20_u64) {
        let both_rolling = *old.window() == Window::Rolling && *new.window() == Window::Rolling;
        // A rolling log keeps its instants, so that a shorter period may have them behind it.
        prop_assume!(!both_rolling || u128::from(later) < new.period().as_nanos());
        let (capacity, new_capacity) = (old.capacity(), new.capacity());
        let (old, new) = (Rules::new(&[old]), Rules::new(&[new]));
        let mut account = Account::default();
        account.spend(&old, spent.min(capacity), 0);
        let owed = capacity - remaining(&account, &old, later)[0];
        account.convert(&old, &new, later);
        let left = remaining(&account, &new, later)[0];
        prop_assert_eq!(left, new_capacity.saturating_sub(owed));
    }
}
