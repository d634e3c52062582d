//! An upstream that is down gets less, not more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use buttress::core::Now;
use buttress::core::time::now;
use buttress::{BudgetRule, RetryLayer};
use tower::{Layer, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// Two hundred requests a second for a minute, all of which fail: how often the upstream was called for
/// each, and how often after the first ten seconds.
async fn amplification(layer: RetryLayer) -> (f64, f64) {
    let budget = layer.retry_budget().clone();
    let allowed = || budget.snapshot(&Now::new()).allowed;
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let service = layer.attempts(4).layer(service_fn(move |_: u32| {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Err::<(), _>(std::io::Error::other("down")))
    }));
    let mut calls = Vec::new();
    let start = now();
    let mut after_ten = 0;
    for request in 0..12_000_u32 {
        tokio::time::sleep_until(start + request * SECOND / 200).await;
        if request == 2_000 {
            after_ten = allowed();
        }
        calls.push(tokio::spawn(service.clone().oneshot(request)));
    }
    let later = allowed() - after_ten;
    for call in calls {
        assert!(call.await.expect("no panic").is_err());
    }
    let all = count.load(Ordering::Relaxed);
    assert_eq!(all, 12_000 + allowed(), "every retry was paid for");
    (all as f64 / 12e3, 1.0 + later as f64 / 10e3)
}

#[tokio::test(start_paused = true)]
async fn a_budget_bounds_what_an_outage_costs() {
    let layer = || RetryLayer::exponential(SECOND / 2..=8 * SECOND).seed(1);
    let (without, _) = amplification(layer().budget(BudgetRule::unlimited())).await;
    assert!(
        (without - 4.0).abs() < 1e-9,
        "four attempts each: {without}"
    );
    let (_, with) = amplification(layer()).await;
    // One, and the ratio, and the floor over the rate, 10/200; and the retry that ten seconds have begun.
    assert!(with > 1.2 && with <= 1.2501, "{with}");
}
