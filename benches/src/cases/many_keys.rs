//! The limiter with so many keys that they do not fit into the processor's caches.

use std::cell::LazyCell;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use buttress_rate_limit::{Quota, RateLimiter};

use super::peers;
use crate::case::{Aim, Case, Group};
use crate::drive::{calls, worst_call};

const OURS: &str = "buttress";
const STD: &str = "governor, std clock";
const MILLION: usize = 1_000_000;

/// A million addresses, in no order.
pub(super) fn million() -> Group {
    addresses("limiter, 1,000,000 keys, admitted", MILLION)
}

/// Ten million addresses, in no order.
pub(super) fn ten_million() -> Group {
    addresses("limiter, 10,000,000 keys, admitted", 10 * MILLION)
}

/// A million texts of 24 bytes, in no order.
pub(super) fn million_texts() -> Group {
    let texts = || -> Vec<String> {
        (0..MILLION)
            .map(|index| format!("tenant-{index:017}"))
            .collect()
    };
    let ours = LazyCell::new(move || {
        let (limiter, keys) = (limiter(MILLION), texts());
        for key in &keys {
            let _ = limiter.check(key, 1);
        }
        (limiter, keys)
    });
    let peer = LazyCell::new(move || {
        let limiter = peers::keyed_by_text(peers::hourly(HOURLY), peers::STD);
        let keys = texts();
        keys.iter().for_each(|key| drop(limiter.check_key(key)));
        (limiter, keys)
    });
    let cases = vec![
        Case::new(
            OURS,
            calls(move |index| ours.0.check(&ours.1[shuffled(index, MILLION)], 1)),
        )
        .aim(Aim::Times(STD, 0.5)),
        Case::new(
            STD,
            calls(move |index| peer.0.check_key(&peer.1[shuffled(index, MILLION)]).is_ok()),
        ),
    ];
    Group::new(
        "limiter, 1,000,000 keys that are texts, admitted",
        STD,
        cases,
    )
}

/// The slowest of some thousand checks, while a million keys run out. governor must be told to forget them,
/// and whoever comes meanwhile waits.
pub(super) fn running_out() -> Group {
    let ours = LazyCell::new(|| warm(MILLION));
    let peer = LazyCell::new(|| {
        let limiter = Arc::new(warm_peer(MILLION));
        let sweeper = Sweeper::new(&limiter);
        (limiter, sweeper)
    });
    let cases = vec![
        Case::new(
            OURS,
            worst_call(move |index| ours.check(address(shuffled(index, MILLION)), 1)),
        )
        .aim(Aim::Nanoseconds(20_000.0)),
        Case::new(
            STD,
            worst_call(move |index| {
                peer.1.go_on();
                peer.0.check_key(&address(shuffled(index, MILLION))).is_ok()
            }),
        ),
    ];
    Group::new(
        "limiter, slowest check while 1,000,000 keys run out",
        STD,
        cases,
    )
}

fn addresses(name: &'static str, keys: usize) -> Group {
    let ours = LazyCell::new(move || warm(keys));
    let peer = LazyCell::new(move || warm_peer(keys));
    let cases = vec![
        Case::new(
            OURS,
            calls(move |index| ours.check(address(shuffled(index, keys)), 1)),
        )
        .aim(Aim::Times(STD, 0.7)),
        Case::new(
            STD,
            calls(move |index| peer.check_key(&address(shuffled(index, keys))).is_ok()),
        ),
    ];
    Group::new(name, STD, cases)
}

/// A limiter that knows so many addresses.
fn warm(keys: usize) -> RateLimiter {
    let limiter = limiter(keys);
    for index in 0..keys {
        let _ = limiter.check(address(index), 1);
    }
    limiter
}

fn warm_peer(keys: usize) -> peers::Keyed<governor::clock::MonotonicClock> {
    let limiter = peers::keyed(peers::hourly(HOURLY), peers::STD);
    (0..keys).for_each(|index| drop(limiter.check_key(&address(index))));
    limiter
}

/// So much that no key is refused, and so slowly that all stay live.
const HOURLY: u32 = 1_000_000;

fn limiter(keys: usize) -> RateLimiter {
    RateLimiter::builder()
        .quota(Quota::per_hour(HOURLY.into()))
        .keys(keys)
        .build()
        .expect("one quota can be enforced")
}

fn address(index: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(index).unwrap_or(0)))
}

/// Every index below `count` about as often, in no order that a processor could foresee.
fn shuffled(index: usize, count: usize) -> usize {
    let mixed = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    usize::try_from((u128::from(mixed ^ mixed >> 32) * count as u128) >> 64).unwrap_or(0)
}

/// A thread that forgets what has run out, as governor's users are told to, while checks are timed.
struct Sweeper {
    wanted: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

impl Sweeper {
    fn new<C: governor::clock::Clock + Send + Sync + 'static>(
        limiter: &Arc<peers::Keyed<C>>,
    ) -> Self {
        let sweeper = Self {
            wanted: Arc::default(),
            over: Arc::default(),
        };
        let (limiter, wanted, over) = (
            Arc::clone(limiter),
            Arc::clone(&sweeper.wanted),
            Arc::clone(&sweeper.over),
        );
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                match wanted.swap(false, Ordering::Relaxed) {
                    true => limiter.retain_recent(),
                    false => thread::park_timeout(Duration::from_micros(50)),
                }
            }
        });
        sweeper
    }

    /// The next sweep, once the last is done.
    fn go_on(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
