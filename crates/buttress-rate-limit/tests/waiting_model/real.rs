//! The limiter itself, driven millisecond by millisecond on a paused clock.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use buttress_core::time::{Instant, now};
use buttress_core::{Admission, Now, Permit, Policy, Reason, Rejection, Verdict};
use buttress_rate_limit::{RateDemand, RateLimiter, RateWait, Spent, Waiting};

use crate::scenario::{Kind, Outcome, Request, Scenario, When};

/// A future is polled only after it was woken, so that a lost wake-up shows.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Waiter {
    id: usize,
    wait: Pin<Box<RateWait>>,
    woken: Arc<Woken>,
}

struct Drive<'a> {
    scenario: &'a Scenario,
    limiter: RateLimiter,
    start: Instant,
    outcomes: Vec<Option<Outcome>>,
    waiters: Vec<Waiter>,
    shuffle: u64,
}

/// What becomes of every request of a scenario.
pub(crate) fn run(scenario: &Scenario) -> Vec<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O can be built");
    runtime.block_on(async {
        let limiter = RateLimiter::builder()
            .quotas(scenario.keyed.iter().map(|limit| limit.quota()))
            .global(scenario.global.iter().map(|limit| limit.quota()))
            .keys(8)
            .seed(1)
            .build()
            .expect("the strategies draw legal limits");
        let mut drive = Drive {
            scenario,
            limiter,
            start: now(),
            outcomes: vec![None; scenario.requests.len()],
            waiters: Vec::new(),
            shuffle: scenario.shuffle,
        };
        let mut milli = 0;
        while drive.outcomes.contains(&None) {
            assert!(milli < 60_000, "somebody sleeps for ever");
            drive.instant(milli);
            tokio::time::advance(Duration::from_millis(1)).await;
            milli += 1;
        }
        let status = drive.limiter.status();
        assert_eq!(status.waiting, 0);
        let admitted =
            |outcome: &&Option<Outcome>| matches!(outcome, Some(Outcome::Admitted { .. }));
        let count = drive.outcomes.iter().filter(admitted).count();
        assert_eq!(status.admitted, u64::try_from(count).unwrap_or(u64::MAX));
        drive.outcomes.into_iter().flatten().collect()
    })
}

impl Drive<'_> {
    fn instant(&mut self, milli: u64) {
        self.poll_the_woken();
        let requests = &self.scenario.requests;
        let leaves = |request: &&Request, milli| request.cancelled_at() == Some(milli);
        for (id, request) in requests.iter().enumerate() {
            if request.at < milli && leaves(&request, milli) {
                self.cancel(id, milli);
            }
        }
        for (id, request) in requests.iter().enumerate() {
            if request.at == milli {
                self.arrive(id, request);
                if leaves(&request, milli) {
                    self.cancel(id, milli);
                }
            }
        }
    }

    fn cancel(&mut self, id: usize, milli: u64) {
        if let Some(index) = self.waiters.iter().position(|waiter| waiter.id == id) {
            self.outcomes[id] = Some(Outcome::Cancelled { at: milli });
            drop(self.waiters.remove(index));
            self.poll_the_woken();
        }
    }

    fn arrive(&mut self, id: usize, request: &Request) {
        let mut demand = RateDemand::new(self.limiter.hash(request.key), request.cost);
        let deadline = request.deadline_at();
        demand.deadline = deadline.map(|milli| self.start + Duration::from_millis(milli));
        match request.kind {
            Kind::Check => {
                let answer = self.limiter.try_admit(&demand, &Now::new());
                self.note(id, answer);
            }
            Kind::Wait { max } => {
                let waiting = Waiting::new(self.limiter.clone(), Duration::from_millis(max));
                match waiting.admit(demand, &Now::new()) {
                    Verdict::Now(answer) => self.note(id, answer),
                    Verdict::Later(wait) => self.waiters.push(Waiter {
                        id,
                        wait: Box::pin(wait),
                        woken: Arc::new(Woken(AtomicBool::new(true))),
                    }),
                }
            }
        }
        self.poll_the_woken();
    }

    fn note(&mut self, id: usize, answer: Result<Permit<Spent>, Rejection>) {
        let at = (now() - self.start).as_nanos();
        assert_eq!(at % 1_000_000, 0, "the clock moves in milliseconds");
        let at = u64::try_from(at / 1_000_000).unwrap_or(u64::MAX);
        self.outcomes[id] = Some(match answer {
            Ok(_) => Outcome::Admitted { at },
            Err(rejection) if rejection.reason() == Reason::Deadline => Outcome::Late { at },
            Err(rejection) => {
                assert_eq!(rejection.reason(), Reason::RateLimit);
                let when = match rejection.when() {
                    buttress_core::When::Never => When::Never,
                    buttress_core::When::Unknown => When::Unknown,
                    buttress_core::When::After(wait) => {
                        When::After(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX))
                    }
                };
                Outcome::Refused { at, when }
            }
        });
    }

    /// Polls whoever was woken, in an order that means nothing, until nobody is.
    fn poll_the_woken(&mut self) {
        for _ in 0..10_000 {
            let woken = |waiter: &Waiter| waiter.woken.0.load(Ordering::SeqCst);
            let woken: Vec<_> = (0..self.waiters.len())
                .filter(|&index| woken(&self.waiters[index]))
                .collect();
            if woken.is_empty() {
                return;
            }
            self.shuffle = self.shuffle.wrapping_mul(6_364_136_223_846_793_005) | 1;
            let index = woken[usize::from(self.shuffle.to_be_bytes()[0]) % woken.len()];
            let waiter = &mut self.waiters[index];
            waiter.woken.0.store(false, Ordering::SeqCst);
            let waker = Arc::clone(&waiter.woken).into();
            if let Poll::Ready(answer) = waiter.wait.as_mut().poll(&mut Context::from_waker(&waker))
            {
                let id = self.waiters.remove(index).id;
                self.note(id, answer);
            }
        }
        panic!("they wake each other for ever");
    }
}
