//! All that is measured.

mod axum_server;
mod breaker;
mod breaker_peers;
mod budget;
mod http;
mod layer;
mod limiter;
mod many_keys;
mod metrics;
mod peers;
mod queue;
mod retry;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use buttress_rate_limit::Quota;

use crate::case::Group;

/// Makes a group. It is made right before it is measured, so that the groups do not crowd each other.
pub type Make = fn() -> Group;

/// Groups whose work happens on the thread that runs them, so that its allocations can be counted.
pub const ONE_THREAD: &[Make] = &[
    limiter::one_admitted,
    limiter::one_refused,
    limiter::keyed_admitted,
    limiter::keyed_refused,
    limiter::hot_key,
    layer::plain,
    breaker::closed,
    http::admitted,
    http::refused,
    retry::not_needed,
    queue::uncontended,
    queue::on_a_runtime,
    queue::contended,
    queue::held_back,
    metrics::plain,
    metrics::observed,
    metrics::http,
    budget::policy,
    budget::layer,
];

/// Groups that need several threads.
pub const SEVERAL_THREADS: &[Make] = &[
    limiter::two_threads,
    limiter::two_threads_hot_key,
    axum_server::end_to_end,
];

/// Groups that take hundreds of megabytes and seconds to set up.
pub const LARGE: &[Make] = &[
    many_keys::million,
    many_keys::million_texts,
    many_keys::ten_million,
    many_keys::running_out,
];

/// How many clients there are; a power of two.
const CLIENTS: usize = 1_024;

/// Addresses of all clients.
fn clients() -> Vec<IpAddr> {
    let address = |index| IpAddr::V4(Ipv4Addr::from_bits(client(index)));
    (0..CLIENTS).map(address).collect()
}

/// The address of a client as a number: in no order, and the same again after all had their turn.
fn client(index: usize) -> u32 {
    // Multiplying by an odd number only shuffles the numbers below a power of two.
    let shuffled = index.wrapping_mul(0x2545) % CLIENTS;
    0x0a00_0000 | u32::try_from(shuffled).unwrap_or(0)
}

/// A quota that no loop uses up: a unit comes back every nanosecond. Its numbers have as many digits as
/// those of usual limits.
fn plenty() -> Quota {
    Quota::every(Duration::from_nanos(1)).burst(BURST)
}

/// A quota that is used up after the first unit, for longer than a run takes.
fn scarce() -> Quota {
    Quota::every(SCARCE)
}

/// What a quota of plenty holds.
const BURST: u64 = 900;

/// How long the unit of a scarce quota takes to come back.
const SCARCE: Duration = Duration::from_secs(999);
