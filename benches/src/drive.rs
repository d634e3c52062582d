//! Ways to do something many times.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use buttress_core::time::now;
use tower::Service;

/// Calls a function in a loop; it is told how often it was called before.
pub fn calls<R>(mut f: impl FnMut(usize) -> R) -> impl FnMut(u64) -> Duration {
    let mut index = 0_usize;
    move |count| {
        let start = now();
        for _ in 0..count {
            black_box(f(black_box(index)));
            index = index.wrapping_add(1);
        }
        start.elapsed()
    }
}

/// Calls a function in a loop, and tells how long all calls would have taken had each been as slow as the
/// slowest.
pub fn worst_call<R>(mut f: impl FnMut(usize) -> R) -> impl FnMut(u64) -> Duration {
    let mut index = 0_usize;
    move |count| {
        let mut worst = Duration::ZERO;
        let mut before = now();
        for _ in 0..count {
            black_box(f(black_box(index)));
            index = index.wrapping_add(1);
            let after = now();
            worst = worst.max(after - before);
            before = after;
        }
        worst.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

/// Calls a function in a loop on two threads at once, half as often on each. The time is that of all
/// calls together.
pub fn calls_on_two_threads<R>(f: impl Fn(usize) -> R + Sync) -> impl FnMut(u64) -> Duration {
    move |count| {
        let barrier = Barrier::new(2);
        let work = |offset: usize| {
            barrier.wait();
            let start = now();
            for index in 0..usize::try_from(count / 2).unwrap_or(usize::MAX) {
                black_box(f(black_box(index.wrapping_add(offset))));
            }
            start.elapsed()
        };
        thread::scope(|scope| {
            let other = scope.spawn(|| work(512));
            let own = work(0);
            own.max(other.join().expect("a limiter does not panic"))
        })
    }
}

/// Sends requests to a service and polls each to its end, which must come at once.
pub fn service<S, Req>(
    mut service: S,
    mut request: impl FnMut() -> Req,
) -> impl FnMut(u64) -> Duration
where
    S: Service<Req>,
{
    move |count| {
        let mut context = Context::from_waker(Waker::noop());
        let start = now();
        for _ in 0..count {
            let service = black_box(&mut service);
            let ready = service.poll_ready(&mut context);
            assert!(matches!(ready, Poll::Ready(Ok(()))), "it is always ready");
            let mut future = pin!(service.call(black_box(request())));
            // The future is laid out in memory, as it is in a real stack.
            black_box(&mut future);
            let answer = future.poll(&mut context);
            assert!(answer.is_ready(), "it always answers at once");
            drop(black_box(answer));
        }
        start.elapsed()
    }
}
