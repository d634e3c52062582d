//! Tiers over a restart.

use buttress_rate_limit::{RateLimiter, RateLimiterBuilder, Snapshot};

use crate::{left, quotas};

fn builder(tiers: &[&str]) -> RateLimiterBuilder {
    let builder = RateLimiter::builder()
        .quotas(quotas(&["10/day"]))
        .global(quotas(&["90/day"]));
    tiers.iter().fold(builder, |builder, name| {
        builder.tier(name, quotas(&["20/day", "30/week rolling"]))
    })
}

fn start(tiers: &[&str], saved: Option<&Snapshot>) -> RateLimiter {
    builder(tiers).keys(64).restore(saved).build().unwrap()
}

fn saved() -> Snapshot {
    let limiter = start(&["pro", "team"], None);
    limiter.check("alice", 1).unwrap();
    limiter.tier("pro").unwrap().check("alice", 2).unwrap();
    limiter.tier("team").unwrap().check("alice", 3).unwrap();
    let snapshot = limiter.snapshot().unwrap();
    assert_eq!(
        Snapshot::from_bytes(&snapshot.to_bytes()),
        Ok(snapshot.clone())
    );
    snapshot
}

#[tokio::test(start_paused = true)]
async fn what_was_spent_in_a_tier_is_spent_in_the_tier_of_that_name() {
    let saved = saved();
    assert_eq!(saved.len(), 4);
    // Other places than before.
    let limiter = start(&["a", "pro", "team"], Some(&saved));
    assert_eq!(limiter.restored().unwrap().dropped, 0);
    let remaining = |name| left(&limiter.tier(name).unwrap(), "alice");
    assert_eq!(remaining("pro"), [18, 28, 84]);
    assert_eq!(remaining("team"), [17, 27, 84]);
    assert_eq!(remaining("a"), [20, 30, 84]);
    assert_eq!(limiter.peek("alice")[0].remaining, 9);
    limiter.restore(&saved).unwrap();
    assert_eq!(remaining("pro"), [18, 28, 84], "twice is once");
}

#[tokio::test(start_paused = true)]
async fn what_was_spent_in_a_tier_that_is_gone_is_dropped_and_told() {
    let limiter = start(&["team"], Some(&saved()));
    let restored = limiter.restored().unwrap();
    assert_eq!((restored.restored, restored.dropped), (4, 2));
    assert_eq!(restored.dropped_quotas, ["20/day", "30/week rolling"]);
    assert_eq!(left(&limiter.tier("team").unwrap(), "alice"), [17, 27, 84]);
    assert_eq!(limiter.peek("alice")[0].remaining, 9, "not put on others");
}

/// Written before there were tiers.
#[tokio::test(start_paused = true)]
async fn a_snapshot_of_the_first_format_is_read() {
    let limiter = RateLimiter::builder()
        .quotas(quotas(&["10/day"]))
        .seed(7)
        .restore(None)
        .build()
        .unwrap();
    limiter.check("alice", 4).unwrap();
    let snapshot = limiter.snapshot().unwrap();
    let mut bytes = snapshot.to_bytes();
    // The header of 32 bytes, seed, proof and time, how many lists; then the length of a tier's name.
    let tier = 32 + 8 + 8 + 16 + 4;
    assert_eq!(bytes.drain(tier..tier + 4).collect::<Vec<_>>(), [0; 4]);
    bytes[16] = 1;
    let length = u64::try_from(bytes.len() - 32).unwrap();
    bytes[20..28].copy_from_slice(&length.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[16..28]);
    hasher.update(&bytes[32..]);
    bytes[28..32].copy_from_slice(&hasher.finalize().to_le_bytes());
    assert_eq!(Snapshot::from_bytes(&bytes), Ok(snapshot));
}

#[tokio::test(start_paused = true)]
async fn without_a_key_the_account_of_a_tier_is_kept_too() {
    use buttress_core::{KeyHash, Now, Policy};
    use buttress_rate_limit::RateDemand;

    let limiter = start(&["pro"], None);
    let of_all = |limiter: &RateLimiter| {
        let pro = limiter.tier("pro").unwrap();
        let tier = pro.hash("x").get() ^ limiter.hash("x").get();
        KeyHash::from_number(tier)
    };
    let demand = RateDemand::new(of_all(&limiter), 5);
    drop(limiter.try_admit(&demand, &Now::new()).unwrap());
    let limiter = start(&["pro"], Some(&limiter.snapshot().unwrap()));
    assert_eq!(limiter.peek_hash(of_all(&limiter))[0].remaining, 15);
}
