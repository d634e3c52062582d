//! Waiters that run on their own, and waiters that are polled by hand.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use buttress_core::time::{Instant, now};
use buttress_core::{Admission, Now, Permit, Rejection, Verdict};
use buttress_rate_limit::{RateDemand, RateLimiter, RateWait, Spent, Waiting};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// Longer than any test.
pub(crate) const LONG: Duration = Duration::from_secs(1_000_000);

pub(crate) type Answer = Result<Permit<Spent>, Rejection>;

pub(crate) fn limiter(quotas: &[&str], global: &[&str]) -> RateLimiter {
    let parse = |text: &&str| text.parse().unwrap();
    RateLimiter::builder()
        .quotas(quotas.iter().map(parse))
        .global(global.iter().map(parse))
        .keys(8)
        .build()
        .unwrap()
}

pub(crate) fn admit(
    limiter: &RateLimiter,
    key: &str,
    cost: u64,
    max: Duration,
) -> Verdict<Spent, RateWait> {
    let demand = RateDemand::new(limiter.hash(key), cost);
    Waiting::new(limiter.clone(), max).admit(demand, &Now::new())
}

/// Somebody who has to wait.
pub(crate) fn waits(limiter: &RateLimiter, key: &str, cost: u64) -> Pin<Box<RateWait>> {
    match admit(limiter, key, cost, LONG) {
        Verdict::Later(wait) => Box::pin(wait),
        Verdict::Now(answer) => panic!("it need not wait: {answer:?}"),
    }
}

/// Somebody who is answered at once. What it spends is spent.
pub(crate) fn at_once(
    limiter: &RateLimiter,
    key: &str,
    cost: u64,
    max: Duration,
) -> Result<(), Rejection> {
    match admit(limiter, key, cost, max) {
        Verdict::Now(answer) => answer.map(drop),
        Verdict::Later(_) => panic!("it would wait"),
    }
}

/// A request on a task of its own, which tells how many milliseconds after `start` it was answered.
pub(crate) fn spawn(
    limiter: &RateLimiter,
    key: &str,
    cost: u64,
    max: Duration,
    start: Instant,
) -> tokio::task::JoinHandle<(u128, bool)> {
    let verdict = admit(limiter, key, cost, max);
    tokio::spawn(async move {
        let answer = match verdict {
            Verdict::Now(answer) => answer,
            Verdict::Later(wait) => wait.await,
        };
        ((now() - start).as_millis(), answer.is_ok())
    })
}

/// A look at a future whose wake-ups nobody hears.
pub(crate) fn poll(wait: &mut Pin<Box<RateWait>>) -> Poll<Answer> {
    wait.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Lets every task run that can run.
pub(crate) async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn pass(duration: Duration) {
    tokio::time::advance(duration).await;
    settle().await;
}
