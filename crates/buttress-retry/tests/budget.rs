//! The budget alone.

#![cfg(not(buttress_loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use buttress_core::Now;
use buttress_core::time::{Instant, now};
use buttress_retry::{BudgetRule, RetryBudget};
use proptest::prelude::*;

/// Nothing but what requests pay in.
fn only_ratio(ratio: f64) -> RetryBudget {
    BudgetRule::ratio(ratio).per_second(0.0).reserve(0.0).into()
}

fn withdrawn(budget: &RetryBudget, at: Instant) -> u32 {
    let mut count = 0;
    while budget.withdraw(&Now::at(at)) {
        count += 1;
    }
    count
}

fn balance(budget: &RetryBudget, at: Instant) -> f64 {
    budget.snapshot(&Now::at(at)).balance.unwrap()
}

#[test]
fn a_hundred_deposits_of_six_tenths_pay_for_exactly_sixty_retries() {
    let budget = only_ratio(0.6);
    for _ in 0..100 {
        budget.deposit();
    }
    assert_eq!(withdrawn(&budget, now()), 60);
    for (ratio, retries) in [(0.1, 10), (0.2, 20), (0.7, 70), (0.29, 29), (1.0, 100)] {
        let budget = only_ratio(ratio);
        (0..100).for_each(|_| budget.deposit());
        assert_eq!(withdrawn(&budget, now()), retries, "{ratio}");
    }
}

#[test]
fn trap_11_from_any_number_of_threads_it_is_still_exactly_sixty() {
    for threads in [2, 5, 10] {
        let budget = only_ratio(0.6);
        let barrier = Barrier::new(threads);
        let at = now();
        let paid: u32 = thread::scope(|scope| {
            let work = || {
                barrier.wait();
                let mut paid = 0;
                for _ in 0..100 / threads {
                    budget.deposit();
                    paid += u32::from(budget.withdraw(&Now::at(at)));
                }
                barrier.wait();
                paid + withdrawn(&budget, at)
            };
            let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(paid, 60, "{threads} threads");
        assert_eq!(budget.snapshot(&Now::at(at)).allowed, 60);
    }
}

#[test]
fn time_brings_a_floor_and_no_more_than_the_bound() {
    let budget = RetryBudget::new(BudgetRule::ratio(0.0).per_second(10.0).reserve(3.0));
    let start = now();
    assert_eq!(withdrawn(&budget, start), 3);
    assert!(!budget.withdraw(&Now::at(start + Duration::from_millis(99))));
    assert!(budget.withdraw(&Now::at(start + Duration::from_millis(101))));
    let later = start + Duration::from_secs(3_600);
    assert_eq!(withdrawn(&budget, later), 100, "a hundred is the bound");
    let reserve = RetryBudget::new(BudgetRule::ratio(1.0).per_second(10.0).reserve(500.0));
    assert_eq!(withdrawn(&reserve, now() + Duration::from_secs(3_600)), 500);
}

#[test]
fn it_is_observed_and_reset() {
    let budget = RetryBudget::new(BudgetRule::ratio(0.5).per_second(0.0).reserve(2.0));
    let clone = budget.clone();
    let at = now();
    assert_eq!(balance(&clone, at), 2.0);
    budget.deposit();
    assert_eq!(balance(&clone, at), 2.5);
    assert_eq!(withdrawn(&clone, at), 2);
    let snapshot = budget.snapshot(&Now::at(at));
    assert_eq!((snapshot.allowed, snapshot.refused), (2, 1));
    assert_eq!(snapshot.balance, Some(0.5));
    budget.reset(&Now::at(at));
    assert_eq!(balance(&clone, at), 2.0);
    let unlimited = RetryBudget::new(BudgetRule::unlimited());
    assert_eq!(unlimited.snapshot(&Now::at(at)).balance, None);
    assert!((0..1_000).all(|_| unlimited.withdraw(&Now::at(at))));
}

#[test]
fn trap_23_numbers_that_make_no_sense_are_refused_and_small_ones_are_kept() {
    let rule = BudgetRule::default();
    for number in [-0.1, f64::NAN, f64::INFINITY, 1e10] {
        assert_eq!(rule.try_ratio(number).unwrap_err().field(), "ratio");
        assert_eq!(rule.try_reserve(number).unwrap_err().field(), "reserve");
        let error = rule.try_per_second(number).unwrap_err();
        assert_eq!(error.field(), "per_second");
    }
    let error = rule.try_ratio(-0.1).unwrap_err().to_string();
    assert_eq!(
        error,
        "`ratio` is -0.1; expected a number from 0 to 1000000000"
    );
    let rare = only_ratio(0.001);
    (0..1_000).for_each(|_| rare.deposit());
    assert_eq!(
        withdrawn(&rare, now()),
        1,
        "a thousandth is not cut to nothing"
    );
    let slow = RetryBudget::new(BudgetRule::ratio(0.0).per_second(0.01).reserve(0.0));
    let start = now();
    let mut paid = 0;
    for second in 0..=1_000 {
        paid += u32::from(slow.withdraw(&Now::at(start + Duration::from_secs(second))));
    }
    assert_eq!(paid, 10, "remainders of time are kept");
}

#[test]
fn trap_10_finagles_budget_forgets_what_is_older_than_ten_seconds() {
    let budget = RetryBudget::new(BudgetRule::finagle());
    let start = now();
    let at = |seconds| start + Duration::from_secs(seconds);
    assert_eq!(
        withdrawn(&budget, at(0)),
        100,
        "ten seconds at ten a second"
    );
    assert_eq!(withdrawn(&budget, at(9)), 0);
    assert_eq!(
        withdrawn(&budget, at(10)),
        100,
        "the withdrawals have aged out"
    );
    for _ in 0..50 {
        budget.deposit();
    }
    budget.reset(&Now::at(at(20)));
    assert_eq!(withdrawn(&budget, at(1 << 40)), 100, "a gap of any length");
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Deposit,
    Withdraw,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Deposit),
        3 => Just(Step::Withdraw),
        2 => (1_u64..2_000).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The slow model adds what time brings at every step, in thousandths of a millisecond's worth.
    #[test]
    fn it_pays_as_a_slow_model_does(
        ratio in 0_u32..=1_000,
        per_second in 0_u32..=50,
        reserve in 0_u32..=150,
        steps in steps(),
    ) {
        let rule = BudgetRule::ratio(f64::from(ratio) / 1e3)
            .per_second(f64::from(per_second))
            .reserve(f64::from(reserve));
        let budget = RetryBudget::new(rule);
        // Time is counted from a moment after the budget was made, which brings it less than a retry.
        let start = now();
        budget.reset(&Now::at(start));
        let bound = u64::from(reserve.max(100)) * 1_000;
        let mut model = u64::from(reserve) * 1_000;
        let mut at = start;
        for step in steps {
            match step {
                Step::Deposit => {
                    budget.deposit();
                    model = (model + u64::from(ratio)).min(bound);
                }
                Step::Wait(millis) => {
                    at += Duration::from_millis(millis);
                    // `per_second` a second is as many thousandths a millisecond.
                    model = (model + millis * u64::from(per_second)).min(bound);
                }
                Step::Withdraw => {
                    let expected = model >= 1_000;
                    prop_assert_eq!(budget.withdraw(&Now::at(at)), expected);
                    model -= if expected { 1_000 } else { 0 };
                }
            }
            let held = budget.clone().snapshot(&Now::at(at)).balance.unwrap();
            prop_assert!((held * 1e3 - model as f64).abs() < 1e-3, "{} {}", held, model);
        }
    }
}

#[test]
fn of_grpcs_ratio_three_decimals_count() {
    let rule = |ratio| BudgetRule::grpc(10, ratio);
    assert_eq!(rule(0.5466), rule(0.546), "the proposal's own example");
    assert_eq!(rule(0.001_999), rule(0.001));
    assert_ne!(rule(0.546), rule(0.545));
    let error = rule(0.0009).unwrap_err().to_string();
    assert!(
        error.contains("tokenRatio") && error.contains("0.0009"),
        "{error}"
    );
}

#[test]
fn a_changed_rule_goes_on_from_what_is_held() {
    let at = now();
    let budget = only_ratio(0.5);
    (0..40).for_each(|_| budget.deposit());
    assert!(budget.withdraw(&Now::at(at)));
    let rule = BudgetRule::ratio(0.1).per_second(0.0).reserve(50.0);
    let changed = budget.changed_to(rule, &Now::at(at));
    assert_eq!(changed.rule(), rule);
    assert_eq!(balance(&changed, at), 19.0);
    assert_eq!(changed.snapshot(&Now::at(at)).allowed, 1);
    let rich = RetryBudget::new(BudgetRule::ratio(0.1).per_second(0.0).reserve(500.0));
    assert_eq!(balance(&rich.changed_to(rule, &Now::at(at)), at), 100.0);
    // Another kind of rule counts something else, and starts anew.
    let prices = budget.changed_to(BudgetRule::aws(), &Now::at(at));
    assert_eq!(balance(&prices, at), balance(&BudgetRule::aws().into(), at));
}
