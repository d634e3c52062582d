//! One layer over a ready service that does nothing, with requests of our own type.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr};
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::{AdmitLayer, Now, Permit, Policy, Rejection};
use buttress_rate_limit::RateLimitLayer;
use tokio::runtime;
use tower::{Layer, Service};

use super::{CLIENTS, client, peers, plenty, scarce};
use crate::case::{Aim, Case, Group};
use crate::drive;

const BARE: &str = "bare service";
const CONCURRENCY: &str = "tower ConcurrencyLimit";
const BY_KEY: &str = "RateLimitLayer by key, admitted";
const FOR_ALL: &str = "RateLimitLayer for all, admitted";

/// A request. It is as small as can be, because moving it about is not what is measured.
struct Call {
    client: u32,
}

/// Always ready, answers at once.
#[derive(Clone, Copy)]
struct Bare;

impl Service<Call> for Bare {
    type Response = u32;
    type Error = Infallible;
    type Future = Ready<Result<u32, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        ready(Ok(call.client))
    }
}

/// Admits everything: what is left is the mechanism.
struct Always;

impl Policy for Always {
    type Demand = ();
    type Ticket = ();

    fn would_admit(&self, (): &(), _: &Now) -> Result<(), Rejection> {
        Ok(())
    }

    fn try_admit(&self, (): &(), _: &Now) -> Result<Permit<()>, Rejection> {
        Ok(Permit::new(()))
    }
}

/// Layers over a service that does nothing.
pub(super) fn plain() -> Group {
    let mut cases = vec![sent_to(BARE, Bare)];
    cases.extend(ours());
    cases.extend(towers());
    cases.push(sent_to(
        "tower-resilience RateLimiter, admitted",
        peers::resilience_plenty().layer(Bare),
    ));
    cases.push(sent_to(
        "tower-resilience RateLimiter, refused",
        peers::resilience_scarce().layer(Bare),
    ));
    Group::new("layer over a ready service", CONCURRENCY, cases).over(BARE)
}

fn ours() -> Vec<Case> {
    let client = |call: &Call| Some(IpAddr::V4(Ipv4Addr::from_bits(call.client)));
    let for_all = |quota| RateLimitLayer::new(quota).layer(Bare);
    let by_key = |quota| RateLimitLayer::new(quota).by(client).layer(Bare);
    vec![
        sent_to("Admit alone", AdmitLayer::new(Always).layer(Bare))
            .aim(Aim::Nanoseconds(25.0))
            .aim(Aim::Allocations(0.0)),
        sent_to(FOR_ALL, for_all(plenty()))
            .aim(Aim::Times(CONCURRENCY, 1.5))
            .aim(Aim::Allocations(0.0)),
        sent_to(BY_KEY, by_key(plenty()))
            .aim(Aim::Times(CONCURRENCY, 1.5))
            .aim(Aim::Allocations(0.0)),
        sent_to("RateLimitLayer for all, refused", for_all(scarce()))
            .aim(Aim::Times(FOR_ALL, 1.0))
            .aim(Aim::Allocations(0.0)),
        sent_to("RateLimitLayer by key, refused", by_key(scarce()))
            .aim(Aim::Times(BY_KEY, 1.0))
            .aim(Aim::Allocations(0.0)),
    ]
}

fn towers() -> Vec<Case> {
    let concurrency = tower::limit::ConcurrencyLimitLayer::new(CLIENTS).layer(Bare);
    // It makes a timer when it is built, and touches it again only when the rate is used up.
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime of one thread");
    let rate = {
        let _entered = runtime.enter();
        tower::limit::RateLimitLayer::new(u64::MAX, Duration::from_secs(1)).layer(Bare)
    };
    let mut run = drive::service(rate, requests());
    let rate = Case::new("tower RateLimit, admitted", move |count| {
        let _entered = runtime.enter();
        run(count)
    });
    vec![sent_to(CONCURRENCY, concurrency), rate]
}

fn sent_to(name: &'static str, service: impl Service<Call> + 'static) -> Case {
    Case::new(name, drive::service(service, requests()))
}

/// Requests of one client after the other.
fn requests() -> impl FnMut() -> Call {
    let mut index = 0_usize;
    move || {
        index = index.wrapping_add(1);
        Call {
            client: client(index),
        }
    }
}
