//! Granted - refunded + debt = used, and rolling dimensions by brute force, under any schedule of reservations,
//! settlements, drops and clock steps.

use std::time::Duration;

use buttress_core::time::{Instant, now};
use buttress_core::{End, Now, Outcome, Permit, When};
use buttress_token_budget::{Amounts, Dimension, Quota, Reserved, TokenBudget};
use proptest::prelude::*;
use tokio::time::advance;

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
            .expect("it was reserved");
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

/// A budget beside its model.
struct Run {
    budget: TokenBudget,
    start: Instant,
    outputs: [Rolling; 2],
    requests: [Rolling; 2],
    global: Rolling,
    running: Vec<Running>,
    used: u64,
    number: usize,
}

impl Run {
    fn new() -> Self {
        let budget = TokenBudget::builder()
            .limit(Dimension::OUTPUT, milliseconds(10, 20))
            .limit(Dimension::REQUESTS, milliseconds(4, 7))
            .global(Dimension::OUTPUT, milliseconds(15, 13))
            .seed(1)
            .keys(16)
            .build()
            .expect("three quotas can be enforced");
        let model = |capacity, period| Rolling {
            capacity,
            period,
            spent: Vec::new(),
        };
        Self {
            budget,
            start: now(),
            outputs: [model(10, 20), model(10, 20)],
            requests: [model(4, 7), model(4, 7)],
            global: model(15, 13),
            running: Vec::new(),
            used: 0,
            number: 0,
        }
    }

    fn now(&self) -> u64 {
        let elapsed = now() - self.start;
        u64::try_from(elapsed.as_millis()).expect("a test is not that long")
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Pass(time) => advance(Duration::from_millis(time)).await,
            Step::Reserve { key, output } => self.reserve(key, output),
            Step::Settle { which, used } => {
                let usage = Amounts::tokens(0, used).usage();
                let end = End::Settled(Outcome::Success, Some(usage));
                self.end(which, |_, permit| {
                    permit.end(end, &Now::new());
                    (1, used)
                });
            }
            Step::Drop(which) => self.end(which, |output, permit| {
                drop(permit);
                (1, output)
            }),
            Step::Release(which) => self.end(which, |_, permit| {
                permit.end(End::Released, &Now::new());
                (0, 0)
            }),
        }
        self.compare();
    }

    fn reserve(&mut self, key: u8, output: u64) {
        let (now, index) = (self.now(), usize::from(key));
        let fits = |at| {
            self.outputs[index].fits(output, at)
                && self.requests[index].fits(1, at)
                && self.global.fits(output, at)
        };
        let answer = self.budget.reserve(key, Amounts::tokens(0, output));
        assert_eq!(answer.is_ok(), fits(now));
        match answer {
            Ok(permit) => {
                let number = self.number;
                self.outputs[index].spent.push((now, number, output));
                self.requests[index].spent.push((now, number, 1));
                self.global.spent.push((now, number, output));
                self.running.push((number, key, output, permit));
                self.number += 1;
            }
            Err(refused) => exact(refused.when(), now, fits),
        }
    }

    /// Ends one that runs; `end` tells how many requests and how much output it comes to.
    fn end(&mut self, which: usize, end: impl FnOnce(u64, Permit<Reserved>) -> (u64, u64)) {
        let Some(index) = which.checked_rem(self.running.len()) else {
            return;
        };
        let (number, key, output, permit) = self.running.remove(index);
        let (requests, used) = end(output, permit);
        let (now, key) = (self.now(), usize::from(key));
        self.outputs[key].settle(number, used, now);
        self.global.settle(number, used, now);
        self.requests[key].settle(number, requests, now);
        self.used += used;
    }

    fn compare(&self) {
        let now = self.now();
        let status = self.budget.status();
        let of = Dimension::OUTPUT.index();
        let balance = status.granted[of] - status.refunded[of] + status.overshot[of];
        assert_eq!(balance, self.used + status.reserved[of]);
        assert_eq!(status.outstanding, self.running.len() as u64);
        for (key, output) in (0_u8..).zip(&self.outputs) {
            let standing = &self.budget.balances(key)[1];
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
    let first = (now..now + 100).find(|&at| fits(at));
    let first = first.expect("all of it comes back");
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
        runtime.block_on(async {
            let mut run = Run::new();
            for step in steps {
                run.step(step).await;
            }
        });
    }
}
