//! Tiers in a layer.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use buttress_core::Outcome;
use buttress_rate_limit::{Quota, RateLimitLayer};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::{drain, left, quotas};

#[derive(Clone, Copy)]
struct Call {
    tenant: &'static str,
    plan: Option<&'static str>,
}

async fn serve(call: Call) -> Result<&'static str, Infallible> {
    Ok(call.tenant)
}

fn call(tenant: &'static str, plan: &'static str) -> Call {
    let plan = Some(plan).filter(|plan| !plan.is_empty());
    Call { tenant, plan }
}

async fn admitted<S: Service<Call> + Clone>(service: &S, call: Call) -> usize {
    let mut admitted = 0;
    while admitted < 100 && service.clone().oneshot(call).await.is_ok() {
        admitted += 1;
    }
    admitted
}

#[tokio::test(start_paused = true)]
async fn a_function_of_the_request_names_the_tier() {
    let layer = RateLimitLayer::new(Quota::per_hour(1))
        .by(|call: &Call| Some(call.tenant))
        .quota_for(|call: &Call| call.plan)
        .tier("pro", [Quota::per_hour(5)]);
    let limiter = layer.limiter().clone();
    let service = layer.layer(service_fn(serve));
    assert_eq!(admitted(&service, call("alice", "pro")).await, 5);
    assert_eq!(admitted(&service, call("alice", "")).await, 1);
    assert_eq!(admitted(&service, call("bob", "pro")).await, 5);
    assert_eq!(limiter.unknown_tier(), None);
    limiter.set_tier("team", quotas(&["3/hour"])).unwrap();
    assert_eq!(
        admitted(&service, call("alice", "team")).await,
        3,
        "added live"
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_that_no_tier_has_gives_the_default_and_is_told() {
    let layer = RateLimitLayer::new(Quota::per_hour(1))
        .tier("pro", [Quota::per_hour(5)])
        .by(|call: &Call| Some(call.tenant))
        .quota_for(|call: &Call| call.plan.map(str::to_owned));
    let limiter = layer.limiter().clone();
    let service = layer.layer(service_fn(serve));
    assert_eq!(admitted(&service, call("alice", "prp")).await, 1);
    assert_eq!(
        admitted(&service, call("alice", "gold")).await,
        0,
        "the same account"
    );
    let unknown = limiter.unknown_tier().unwrap();
    assert_eq!((&*unknown.name, unknown.times), ("prp", 3));
    assert_eq!(unknown.known, ["pro"]);
    assert_eq!(limiter.status().unknown_tiers, 3);
    limiter.set_tier("pro", []).unwrap();
    assert_eq!(
        admitted(&service, call("bob", "pro")).await,
        1,
        "it was taken away"
    );
    assert_eq!(limiter.status().unknown_tiers, 5);
}

#[tokio::test(start_paused = true)]
async fn without_a_key_a_tier_has_one_account() {
    let layer = RateLimitLayer::new(Quota::per_hour(1))
        .tier("pro", [Quota::per_hour(5)])
        .quota_for(|call: &Call| call.plan.map(Arc::<str>::from));
    let service = layer.layer(service_fn(serve));
    assert_eq!(admitted(&service, call("alice", "pro")).await, 5);
    assert_eq!(admitted(&service, call("bob", "pro")).await, 0);
    assert_eq!(admitted(&service, call("bob", "")).await, 1);
    assert_eq!(layer.limiter().status().live_keys, 2);
    layer.limiter().reset_all();
    assert_eq!(admitted(&service, call("bob", "pro")).await, 5);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_count_is_given_back_to_its_tier() {
    let layer = RateLimitLayer::new(Quota::per_hour(1))
        .tier("pro", [Quota::per_hour(5)])
        .by(|call: &Call| Some(call.tenant))
        .quota_for(|call: &Call| call.plan)
        .charge_if(|outcome| outcome != Outcome::Success);
    let pro = layer.limiter().tier("pro").unwrap();
    let service = layer.layer(service_fn(serve));
    pro.check("alice", 4).unwrap();
    for _ in 0..10 {
        assert!(service.clone().oneshot(call("alice", "pro")).await.is_ok());
        assert_eq!(left(&pro, "alice"), [1]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_function_is_asked_once_and_not_for_the_exempt() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let layer = RateLimitLayer::new(Quota::per_hour(1))
        .tier("pro", [Quota::per_hour(2)])
        .quota_for(move |_: &Call| {
            counter.fetch_add(1, Ordering::Relaxed);
            Some("pro")
        })
        .unless(|call: &Call| call.tenant == "probe");
    let service = layer.layer(service_fn(serve));
    for (tenant, times) in [("alice", 1), ("probe", 1), ("alice", 2)] {
        assert!(service.clone().oneshot(call(tenant, "")).await.is_ok());
        assert_eq!(asked.load(Ordering::Relaxed), times);
    }
    assert_eq!(
        drain(&layer.limiter().tier("pro").unwrap(), "alice"),
        2,
        "another key"
    );
}

#[test]
#[should_panic(expected = "the tier `pro` has no quota")]
fn a_layer_with_an_empty_tier_cannot_be_made() {
    let _ = RateLimitLayer::new(Quota::per_hour(1)).tier("pro", []);
}
