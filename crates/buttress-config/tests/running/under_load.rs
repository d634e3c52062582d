//! Ten thousand requests while limits change a hundred times.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use buttress_config::{StackConfig, StackRequest};
use buttress_token_budget::{Amounts, Dimension};
use futures_util::future::join_all;
use tokio::sync::Barrier;

use crate::support::{Upstream, asking, request, stack, status};

const ROUNDS: usize = 100;
const EACH: usize = 100;

fn text(round: usize) -> String {
    let (concurrency, quota) = (1 + round % 7, 10 + round);
    let attempts = 1 + round % 3;
    format!(
        "[retry]\nattempts = {attempts}\nbase = '1ms'\nmax = '2ms'\n[priority_queue]\nconcurrency = {concurrency}\ncapacity = 200\n[circuit_breaker]\nconsecutive_failures = {}\n[token_budget]\nglobal = ['{}/hour']\n[rate_limit]\nglobal = ['{quota}/hour']\n",
        1000 + round,
        1_000_000 + round,
    )
}

/// On a paused clock nothing comes back with time, so that every round admits exactly what its new limit
/// allows beyond what the rounds before have spent.
#[tokio::test(start_paused = true)]
async fn none_is_lost_none_counts_twice_and_new_limits_are_in_force_at_once() {
    let stack = stack(&text(0)).tokens(|_: &StackRequest| Amounts::total(7), ());
    let upstream = Upstream::default();
    let service = upstream.behind(&stack);
    let (mut answered, mut admitted) = (0, 0);
    for round in 0..ROUNDS {
        if round > 0 {
            let changes = stack
                .apply(&StackConfig::from_toml(text(round)).unwrap())
                .unwrap();
            assert!(
                changes.applied.contains(&"rate_limit.global") && changes.needs_restart.is_empty()
            );
        }
        let left = 10 + round - admitted;
        let requests = (0..EACH).map(|index| {
            let service = &service;
            async move { status(service, asking(&format!("key{index}"), 1, 200)).await }
        });
        let statuses = join_all(requests).await;
        let good = statuses.iter().filter(|status| **status == 200).count();
        let refused = statuses.iter().filter(|status| **status == 429).count();
        assert_eq!(
            (good, good + refused),
            (left.min(EACH), EACH),
            "round {round}: {statuses:?}"
        );
        answered += statuses.len();
        admitted += good;
        assert_eq!(
            stack.queue().unwrap().status().limit as usize,
            1 + round % 7
        );
    }
    assert_eq!((answered, admitted), (ROUNDS * EACH, 10 + ROUNDS - 1));
    assert_eq!(upstream.calls(), admitted);
    assert_eq!(upstream.running.load(Ordering::SeqCst), 0);
    let status = stack.limiter().unwrap().status();
    assert_eq!(
        (status.admitted, status.refused),
        (admitted as u64, (answered - admitted) as u64)
    );
    let budget = stack.budget().unwrap().status();
    assert_eq!((budget.outstanding, budget.waiting), (0, 0));
    // What the rate limit refused further in was given back in full.
    let total = Dimension::TOTAL.index();
    let spent = budget.granted[total] - budget.refunded[total];
    assert_eq!(spent, 7 * admitted as u64);
    let queue = stack.queue().unwrap().status();
    assert_eq!((queue.in_flight, queue.waiting()), (0, 0));
}

/// On several threads, without any order between the requests and the changes: what is counted is what was
/// answered, whatever the limits were.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_many_threads_what_is_counted_is_what_was_answered() {
    let stack = stack(&text(0).replace("/hour", "000/hour"));
    let upstream = Upstream::default();
    let service = upstream.behind(&stack);
    let statuses: Arc<[AtomicUsize; 600]> = Arc::new(std::array::from_fn(|_| AtomicUsize::new(0)));
    let start = Arc::new(Barrier::new(5));
    let clients = (0..4).map(|_| {
        let (service, statuses, start) =
            (service.clone(), Arc::clone(&statuses), Arc::clone(&start));
        tokio::spawn(async move {
            start.wait().await;
            for batch in 0..50 {
                let requests = (0..50).map(|index| {
                    let service = &service;
                    async move { status(service, request(&format!("{batch}-{index}"))).await }
                });
                for status in join_all(requests).await {
                    statuses[usize::from(status)].fetch_add(1, Ordering::SeqCst);
                }
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    start.wait().await;
    for round in 1..=ROUNDS {
        let config = StackConfig::from_toml(text(round).replace("/hour", "000/hour")).unwrap();
        stack.apply(&config).unwrap();
        tokio::task::yield_now().await;
    }
    for client in clients {
        client.await.unwrap();
    }
    let count = |status: usize| statuses[status].load(Ordering::SeqCst);
    let all: usize = (0..600).map(count).sum();
    assert_eq!(
        (all, count(200) + count(429) + count(503)),
        (10_000, 10_000)
    );
    assert_eq!(upstream.calls(), count(200));
    let limiter = stack.limiter().unwrap().status();
    assert_eq!(
        (limiter.admitted, limiter.refused),
        (count(200) as u64, count(429) as u64)
    );
    assert_eq!(
        (
            upstream.running.load(Ordering::SeqCst),
            stack.queue().unwrap().status().in_flight
        ),
        (0, 0)
    );
    assert_eq!(stack.budget().unwrap().status().outstanding, 0);
}
