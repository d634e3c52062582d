//! What was spent unasked: debt, its repayment, and refunds to the moment of the spending, against slow and
//! obvious models.

use std::time::Duration;

use buttress_quota::Quota;
use buttress_quota::algorithm::{Account, Refusal, Rules, When};
use proptest::prelude::*;

/// What a rolling quota is: a list of who spent what and when.
#[derive(Debug, Default)]
struct Rolling {
    spent: Vec<(u64, u64)>,
}

impl Rolling {
    fn within(&self, period: u64, now: u64) -> u64 {
        let live = self.spent.iter().filter(|(at, _)| at + period > now);
        live.map(|(_, units)| units).sum()
    }

    fn refund(&mut self, units: u64, at: u64, period: u64, now: u64) {
        if at + period <= now {
            return;
        }
        if let Some((_, held)) = self.spent.iter_mut().find(|(spent, _)| *spent == at) {
            *held = held.saturating_sub(units);
        }
    }
}

/// What a bucket is: a level in parts of a unit, which rises with time up to the capacity.
#[derive(Debug)]
struct Bucket {
    level: i128,
    capacity: i128,
    units: i128,
    period: i128,
    filled: u64,
}

impl Bucket {
    fn fill(&mut self, now: u64) {
        let gained = i128::from(now - self.filled) * self.units;
        self.level = (self.level + gained).min(self.capacity * self.period);
        self.filled = now;
    }
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Reserve(u64),
    /// What the oldest reservation really used.
    Settle(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..12_u64).prop_map(Step::Pass),
        (0..9_u64).prop_map(Step::Reserve),
        (0..16_u64).prop_map(Step::Settle),
    ];
    prop::collection::vec(step, 1..120)
}

fn wait(refusal: Result<(), Refusal>) -> u64 {
    match refusal {
        Ok(()) => 0,
        Err(Refusal {
            when: When::After(wait),
            ..
        }) => u64::try_from(wait.as_nanos()).expect("waits of a model are short"),
        Err(refusal) => panic!("{refusal:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_rolling_quota_in_debt(units in 1..12_u64, period in 1..40_u64, steps in steps()) {
        let rules = Rules::new(&[Quota::rolling(units, Duration::from_nanos(period))]);
        let mut account = Account::default();
        let mut model = Rolling::default();
        let (mut now, mut reserved) = (0, Vec::new());
        for step in steps {
            match step {
                Step::Pass(time) => now += time,
                Step::Reserve(cost) => {
                    let fits = model.within(period, now) + cost <= units;
                    let admitted = account.check_repaid(&rules, now).is_ok() && account.check(&rules, cost, now).is_ok();
                    prop_assert_eq!(admitted, fits);
                    if fits {
                        account.spend(&rules, cost, now);
                        model.spent.push((now, cost));
                        reserved.push((now, cost));
                    }
                }
                Step::Settle(used) if !reserved.is_empty() => {
                    let (at, cost) = reserved.remove(0);
                    if used < cost {
                        account.refund_at(&rules, cost - used, at, now);
                        let entry = model.spent.iter().position(|spent| *spent == (at, cost));
                        match entry {
                            Some(index) if at + period > now => model.spent[index].1 = used,
                            _ => model.refund(cost - used, at, period, now),
                        }
                    } else {
                        account.spend(&rules, used - cost, now);
                        model.spent.push((now, used - cost));
                    }
                }
                Step::Settle(_) => {}
            }
            let spent = model.within(period, now);
            let below: Vec<_> = account.overdrawn(&rules, now).collect();
            prop_assert_eq!(below, [spent.saturating_sub(units)]);
            let repaid = (now..).find(|&at| model.within(period, at) <= units).unwrap();
            prop_assert_eq!(wait(account.check_repaid(&rules, now)), repaid - now);
        }
    }

    #[test]
    fn a_paced_quota_in_debt(units in 1..8_u64, period in 1..30_u64, burst in 1..10_u64, steps in steps()) {
        let quota = Quota::new(units, Duration::from_nanos(period)).unwrap().burst(burst);
        let rules = Rules::new(&[quota]);
        let mut account = Account::default();
        let capacity = i128::from(burst);
        let period = i128::from(period);
        let mut model = Bucket { level: capacity * period, capacity, units: units.into(), period, filled: 0 };
        let (mut now, mut reserved) = (0, Vec::new());
        for step in steps {
            match step {
                Step::Pass(time) => now += time,
                Step::Reserve(cost) => {
                    model.fill(now);
                    let parts = i128::from(cost) * period;
                    let fits = model.level >= parts;
                    let admitted = account.check_repaid(&rules, now).is_ok() && account.check(&rules, cost, now).is_ok();
                    prop_assert_eq!(admitted, fits);
                    if fits {
                        account.spend(&rules, cost, now);
                        model.level -= parts;
                        reserved.push((now, cost));
                    }
                }
                Step::Settle(used) if !reserved.is_empty() => {
                    let (at, cost) = reserved.remove(0);
                    model.fill(now);
                    let parts = (i128::from(cost) - i128::from(used)) * period;
                    model.level = (model.level + parts).min(capacity * period);
                    match cost.checked_sub(used) {
                        Some(back) => account.refund_at(&rules, back, at, now),
                        None => account.spend(&rules, used - cost, now),
                    }
                }
                Step::Settle(_) => {}
            }
            model.fill(now);
            let debt = (-model.level).max(0);
            let below: Vec<_> = account.overdrawn(&rules, now).collect();
            prop_assert_eq!(below, [u64::try_from(debt.unsigned_abs().div_ceil(period.unsigned_abs())).unwrap()]);
            let repaid = debt.unsigned_abs().div_ceil(u128::from(units));
            prop_assert_eq!(u128::from(wait(account.check_repaid(&rules, now))), repaid);
        }
    }
}

#[test]
fn the_longest_repayment_decides() {
    let quotas = [
        "10/minute".parse().unwrap(),
        Quota::rolling(10, Duration::from_secs(90)),
    ];
    let rules = Rules::new(&quotas);
    let mut account = Account::default();
    account.spend(&rules, 12, 0);
    assert_eq!(account.overdrawn(&rules, 0).collect::<Vec<_>>(), [2, 2]);
    // A cost of 0 is admitted by a limit, and not by what must be repaid first.
    assert_eq!(account.check(&rules, 0, 0), Ok(()));
    let refusal = account.check_repaid(&rules, 0).unwrap_err();
    assert_eq!(refusal.quota, 1);
    assert_eq!(refusal.when, When::After(Duration::from_secs(90)));
    assert_eq!(account.check_repaid(&rules, 90_000_000_000), Ok(()));
}

#[cfg(feature = "calendar")]
#[test]
fn a_calendar_s_debt_ends_with_its_period() {
    let rules = Rules::new(&["10/day calendar UTC".parse().unwrap()]);
    let mut account = Account::default();
    account.spend(&rules, 13, 0);
    assert_eq!(account.overdrawn(&rules, 0).collect::<Vec<_>>(), [3]);
    let refusal = account.check_repaid(&rules, 1).unwrap_err();
    assert_eq!(
        refusal.when,
        When::After(Duration::from_nanos(86_400_000_000_000 - 1))
    );
    account.refund_at(&rules, 3, 0, 2);
    assert_eq!(account.check_repaid(&rules, 2), Ok(()));
}
