//! The limiter alone, without a tower.

use std::net::IpAddr;

use buttress_core::time::now;
use buttress_core::{KeyHash, Now, Policy as _};
use buttress_rate_limit::{Quota, RateDemand, RateLimiter};
use governor::clock::Clock;

use super::{CLIENTS, clients, peers, plenty, scarce};
use crate::case::{Aim, Case, Group, Unit};
use crate::drive::{calls, calls_on_two_threads};

const STD: &str = "governor, std clock";
const QUANTA: &str = "governor, quanta clock";
/// What every limiter on this clock pays.
const CLOCK: &str = "one reading of std's clock";
const OURS: &str = "buttress";

/// One limit for all requests, nothing used up.
pub(super) fn one_admitted() -> Group {
    let limiter = peers::ratelimit_plenty();
    let mut cases = ours_for_all(plenty());
    cases.push(governor(STD, peers::plenty(), peers::STD));
    cases.push(governor(QUANTA, peers::plenty(), peers::quanta()));
    cases.push(Case::new("ratelimit", calls(move |_| limiter.try_wait())));
    Group::new("limiter, one for all, admitted", STD, cases)
}

/// One limit for all requests, used up.
pub(super) fn one_refused() -> Group {
    let limiter = peers::ratelimit_scarce();
    let mut cases = ours_for_all(scarce());
    cases.push(governor(STD, peers::scarce(), peers::STD));
    cases.push(governor(QUANTA, peers::scarce(), peers::quanta()));
    cases.push(Case::new("ratelimit", calls(move |_| limiter.try_wait())));
    Group::new("limiter, one for all, refused", STD, cases)
}

/// Every client has its own limit, and none is used up.
pub(super) fn keyed_admitted() -> Group {
    keyed(
        "limiter, 1,024 keys, admitted",
        plenty(),
        peers::plenty(),
        0.8,
    )
}

/// Every client has its own limit, and all are used up.
pub(super) fn keyed_refused() -> Group {
    keyed(
        "limiter, 1,024 keys, refused",
        scarce(),
        peers::scarce(),
        0.7,
    )
}

/// One client sends everything.
pub(super) fn hot_key() -> Group {
    let key = clients()[0];
    let ours = RateLimiter::new(plenty());
    let std = peers::keyed(peers::plenty(), peers::STD);
    let quanta = peers::keyed(peers::plenty(), peers::quanta());
    let cases = vec![
        Case::new(CLOCK, calls(|_| now())),
        Case::new(OURS, calls(move |_| ours.check(key, 1))),
        Case::new(STD, calls(move |_| std.check_key(&key))),
        Case::new(QUANTA, calls(move |_| quanta.check_key(&key))),
    ];
    Group::new("limiter, one hot key, admitted", STD, cases)
}

/// Two threads, each with all clients.
pub(super) fn two_threads() -> Group {
    several("limiter, 1,024 keys, two threads", &clients())
}

/// Two threads with one and the same client.
pub(super) fn two_threads_hot_key() -> Group {
    let hot = vec![clients()[0]; CLIENTS];
    several("limiter, one hot key, two threads", &hot)
}

fn ours_for_all(quota: Quota) -> Vec<Case> {
    let everyone = RateLimiter::new(quota.clone());
    let demand = RateDemand::new(KeyHash::EVERYONE, 1);
    let global = RateLimiter::builder()
        .global([quota])
        .build()
        .expect("one quota can be enforced");
    vec![
        Case::new(CLOCK, calls(|_| now())),
        Case::new(
            "buttress, try_admit for everyone",
            calls(move |_| everyone.try_admit(&demand, &Now::new())),
        ),
        Case::new(
            "buttress, check of a global quota",
            calls(move |_| global.check((), 1)),
        ),
    ]
}

fn governor<C: Clock + 'static>(name: &'static str, quota: governor::Quota, clock: C) -> Case {
    let limiter = peers::direct(quota, clock);
    Case::new(name, calls(move |_| limiter.check().is_ok()))
}

fn keyed(name: &'static str, quota: Quota, peers_quota: governor::Quota, aim: f64) -> Group {
    let ours = RateLimiter::new(quota);
    let keys = clients();
    let cases = vec![
        Case::new(CLOCK, calls(|_| now())),
        Case::new(
            OURS,
            calls(move |index| ours.check(keys[index % CLIENTS], 1)),
        )
        .aim(Aim::Times(STD, aim)),
        governor_keyed(STD, peers_quota, peers::STD),
        governor_keyed(QUANTA, peers_quota, peers::quanta()),
    ];
    Group::new(name, STD, cases)
}

fn governor_keyed<C: Clock + 'static>(
    name: &'static str,
    quota: governor::Quota,
    clock: C,
) -> Case {
    let limiter = peers::keyed(quota, clock);
    let keys = clients();
    Case::new(
        name,
        calls(move |index| limiter.check_key(&keys[index % CLIENTS]).is_ok()),
    )
}

fn several(name: &'static str, keys: &[IpAddr]) -> Group {
    let (ours_keys, std_keys, quanta_keys) = (keys.to_vec(), keys.to_vec(), keys.to_vec());
    let ours = RateLimiter::new(plenty());
    let std = peers::keyed(peers::plenty(), peers::STD);
    let quanta = peers::keyed(peers::plenty(), peers::quanta());
    let cases = vec![
        Case::new(
            OURS,
            calls_on_two_threads(move |index| ours.check(ours_keys[index % CLIENTS], 1)),
        )
        .aim(Aim::Share(1.7)),
        Case::new(
            STD,
            calls_on_two_threads(move |index| std.check_key(&std_keys[index % CLIENTS]).is_ok()),
        ),
        Case::new(
            QUANTA,
            calls_on_two_threads(move |index| {
                quanta.check_key(&quanta_keys[index % CLIENTS]).is_ok()
            }),
        ),
    ];
    let mut group = Group::new(name, STD, cases);
    group.unit = Unit::MillionsPerSecond;
    group
}
