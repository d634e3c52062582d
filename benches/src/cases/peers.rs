//! The peers, set up to the same limits.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use axum::body::Body;
use governor::clock::{Clock, DefaultClock, MonotonicClock};
use governor::middleware::{NoOpMiddleware, StateInformationMiddleware};
use governor::state::{InMemoryState, NotKeyed, keyed::DashMapStateStore};
use governor::{Quota, RateLimiter};
use ratelimit::Ratelimiter;
use tower_governor::GovernorLayer;
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::PeerIpKeyExtractor;
use tower_resilience_ratelimiter::RateLimiterLayer;

use super::{BURST, SCARCE};

/// How long a unit of plenty takes to come back.
const NANOSECOND: Duration = Duration::from_nanos(1);

pub(super) const STD: MonotonicClock = MonotonicClock;

pub(super) fn quanta() -> DefaultClock {
    DefaultClock::default()
}

pub(super) fn plenty() -> Quota {
    let burst = NonZeroU32::new(burst()).expect("plenty is more than nothing");
    period(NANOSECOND).allow_burst(burst)
}

pub(super) fn scarce() -> Quota {
    period(SCARCE)
}

pub(super) fn hourly(units: u32) -> Quota {
    Quota::per_hour(NonZeroU32::new(units).expect("some units"))
}

fn period(period: Duration) -> Quota {
    Quota::with_period(period).expect("a period above zero")
}

fn burst() -> u32 {
    u32::try_from(BURST).expect("a few hundred units")
}

pub(super) fn direct<C: Clock>(quota: Quota, clock: C) -> Direct<C> {
    RateLimiter::direct_with_clock(quota, clock)
}

pub(super) type Direct<C> =
    RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

pub(super) fn keyed<C: Clock>(quota: Quota, clock: C) -> Keyed<C> {
    RateLimiter::dashmap_with_clock(quota, clock)
}

pub(super) type Keyed<C> = KeyedBy<IpAddr, C>;

pub(super) fn keyed_by_text<C: Clock>(quota: Quota, clock: C) -> KeyedBy<String, C> {
    RateLimiter::dashmap_with_clock(quota, clock)
}

pub(super) type KeyedBy<K, C> =
    RateLimiter<K, DashMapStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

pub(super) fn ratelimit_plenty() -> Ratelimiter {
    Ratelimiter::builder(1)
        .period(NANOSECOND)
        .max_tokens(BURST)
        .initial_available(BURST)
        .build()
        .expect("it starts with no more than it holds")
}

pub(super) fn ratelimit_scarce() -> Ratelimiter {
    Ratelimiter::builder(1)
        .period(SCARCE)
        .max_tokens(1)
        .build()
        .expect("it holds one unit and starts with none")
}

pub(super) fn resilience_plenty() -> RateLimiterLayer {
    resilience(usize::MAX / 2)
}

pub(super) fn resilience_scarce() -> RateLimiterLayer {
    resilience(1)
}

fn resilience(limit: usize) -> RateLimiterLayer {
    RateLimiterLayer::builder()
        .limit_for_period(limit)
        .refresh_period(SCARCE)
        .timeout_duration(Duration::ZERO)
        .build()
        .expect("limit and period are above zero")
}

pub(super) type Governor = GovernorLayer<PeerIpKeyExtractor, NoOpMiddleware, Body>;
pub(super) type GovernorWithFields =
    GovernorLayer<PeerIpKeyExtractor, StateInformationMiddleware, Body>;

/// tower_governor's layer, by the peer's address.
pub(super) fn governor_plenty() -> Governor {
    let config = GovernorConfigBuilder::default()
        .per_nanosecond(1)
        .burst_size(burst())
        .finish();
    GovernorLayer::new(config.expect("burst and period are above zero"))
}

/// The same, telling clients where they stand.
pub(super) fn governor_plenty_with_fields() -> GovernorWithFields {
    let config = GovernorConfigBuilder::default()
        .per_nanosecond(1)
        .burst_size(burst())
        .use_headers()
        .finish();
    GovernorLayer::new(config.expect("burst and period are above zero"))
}

pub(super) fn governor_scarce() -> Governor {
    let config = GovernorConfigBuilder::default()
        .period(SCARCE)
        .burst_size(1)
        .finish();
    GovernorLayer::new(config.expect("burst and period are above zero"))
}

/// What axum's server puts into a request's extensions.
pub(super) type Peer = axum::extract::ConnectInfo<SocketAddr>;
