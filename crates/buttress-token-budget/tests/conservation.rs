//! Granted - refunded + debt = used, and rolling dimensions by brute force, under any schedule of reservations,
//! settlements, drops and clock steps.

use std::time::Duration;

use buttress_core::{End, Now, Outcome, Permit, When};
use buttress_token_budget::{Amounts, Dimension, Quota, Reserved, TokenBudget};
use proptest::prelude::*;
use tokio::time::{Instant, advance};

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Reserve { key: u8, output: u64 },
    Settle { which: usize, used: u64 },
    Drop(usize),
    Release(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0..9_u64).prop_map(Step::Pass),
        3 => (0..2_u8, 0..7_u64).prop_map(|(key, output)| Step::Reserve { key, output }),
        3 => (0..9_usize, 0..14_u64).prop_map(|(which, used)| Step::Settle { which, used }),
        1 => (0..9_usize).prop_map(Step::Drop),
        1 => (0..9_usize).prop_map(Step::Release),
    ];
    prop::collection::vec(step, 1..60)
}

/// One rolling quota, as a list.
#[derive(Debug)]
struct Rolling {
    capacity: u64,
    period: u64,
    spent: Vec<(u64, usize, u64)>,
}

impl Rolling {
    fn within(&self, now: u64) -> u64 {
        let live = self.spent.iter().filter(|(at, ..)| at + self.period > now);
        live.map(|(.., units)| units).sum()
    }

    fn fits(&self, units: u64, now: u64) -> bool {
        units <= self.capacity && self.within(now) + units <= self.capacity
    }

    /// What was reserved under this number becomes what was used.
    fn settle(&mut self, number: usize, used: u64, now: u64) {
        let index = self
            .spent
            .iter()
            .position(|(_, held, _)| *held == number)
            .unwrap();
        let (at, _, reserved) = self.spent[index];
        if used > reserved {
            self.spent.push((now, usize::MAX, used - reserved));
        } else if at + self.period > now {
            self.spent[index].2 = used;
        }
    }
}

fn milliseconds(quota: u64, period: u64) -> Quota {
    Quota::rolling(quota, Duration::from_millis(period))
}

/// A reservation that runs: its number, its key and how much output.
type Running = (usize, u8, u64, Permit<Reserved>);

async fn check(steps: Vec<Step>) {
    let budget = TokenBudget::builder()
        .limit(Dimension::OUTPUT, milliseconds(10, 20))
        .limit(Dimension::REQUESTS, milliseconds(4, 7))
        .global(Dimension::OUTPUT, milliseconds(15, 13))
        .seed(1)
        .keys(16)
        .build()
        .unwrap();
    let start = Instant::now();
    let model = |capacity, period| Rolling {
        capacity,
        period,
        spent: Vec::new(),
    };
    let mut outputs = [model(10, 20), model(10, 20)];
    let mut requests = [model(4, 7), model(4, 7)];
    let mut global = model(15, 13);
    let mut running: Vec<Running> = Vec::new();
    let (mut used_in_all, mut number) = (0, 0);
    for step in steps {
        let now = u64::try_from(start.elapsed().as_millis()).unwrap();
        let ended = |which: usize, running: &mut Vec<Running>| {
            let index = which.checked_rem(running.len())?;
            Some(running.remove(index))
        };
        let (settled, used) = match step {
            Step::Pass(time) => {
                advance(Duration::from_millis(time)).await;
                continue;
            }
            Step::Reserve { key, output } => {
                let index = usize::from(key);
                let fits = outputs[index].fits(output, now)
                    && requests[index].fits(1, now)
                    && global.fits(output, now);
                let answer = budget.reserve(key, Amounts::tokens(0, output));
                assert_eq!(answer.is_ok(), fits);
                match answer {
                    Ok(permit) => {
                        outputs[index].spent.push((now, number, output));
                        requests[index].spent.push((now, number, 1));
                        global.spent.push((now, number, output));
                        running.push((number, key, output, permit));
                        number += 1;
                    }
                    Err(refused) => exact(refused.when(), now, |at| {
                        outputs[index].fits(output, at)
                            && requests[index].fits(1, at)
                            && global.fits(output, at)
                    }),
                }
                continue;
            }
            Step::Settle { which, used } => {
                let Some((number, key, _, permit)) = ended(which, &mut running) else {
                    continue;
                };
                let usage = Amounts::tokens(0, used).usage();
                permit.end(End::Settled(Outcome::Success, Some(usage)), &Now::new());
                ((number, key, 1), used)
            }
            Step::Drop(which) => {
                let Some((number, key, output, permit)) = ended(which, &mut running) else {
                    continue;
                };
                drop(permit);
                ((number, key, 1), output)
            }
            Step::Release(which) => {
                let Some((number, key, _, permit)) = ended(which, &mut running) else {
                    continue;
                };
                permit.end(End::Released, &Now::new());
                ((number, key, 0), 0)
            }
        };
        let (number, key, request) = settled;
        let key = usize::from(key);
        outputs[key].settle(number, used, now);
        global.settle(number, used, now);
        requests[key].settle(number, request, now);
        used_in_all += used;
        let status = budget.status();
        let of = Dimension::OUTPUT.index();
        let balance = status.granted[of] - status.refunded[of] + status.overshot[of];
        assert_eq!(balance, used_in_all + status.reserved[of]);
        assert_eq!(usize::try_from(status.outstanding).unwrap(), running.len());
        for (key, output) in (0_u8..).zip(&outputs) {
            let standing = &budget.balances(key)[1];
            let within = output.within(now);
            assert_eq!(standing.debt, within.saturating_sub(10));
            assert_eq!(standing.remaining, 10_u64.saturating_sub(within));
        }
    }
}

/// Ok exactly where it tells us, and not before.
fn exact(when: When, now: u64, fits: impl Fn(u64) -> bool) {
    let When::After(wait) = when else {
        panic!("{when:?}");
    };
    let first = (now..now + 100).find(|&at| fits(at)).unwrap();
    assert_eq!(wait, Duration::from_millis(first - now));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_is_lost_and_nothing_invented(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(check(steps));
    }
}
