//! Tiers that change while the limiter works.

use buttress_rate_limit::{Limits, LimitsError, Quota, RateLimiter};

use crate::{drain, left, limiter, quotas};

#[tokio::test(start_paused = true)]
async fn what_was_spent_of_a_tier_stays_spent() {
    let limiter = limiter();
    let (pro, team) = (limiter.tier("pro").unwrap(), limiter.tier("team").unwrap());
    pro.check("alice", 3).unwrap();
    team.check("alice", 4).unwrap();
    pro.set_quota(Quota::per_hour(8));
    assert_eq!(
        (left(&pro, "alice"), left(&team, "alice")),
        (vec![5], vec![5, 16])
    );
    limiter
        .set_tier("pro", quotas(&["6/hour", "100/day rolling"]))
        .unwrap();
    assert_eq!(
        left(&pro, "alice"),
        [3, 100],
        "another table, the same account"
    );
    limiter.set_quota(Quota::per_hour(1));
    assert_eq!(left(&pro, "alice"), [3, 100]);
    limiter.set_share_of(2).unwrap();
    assert_eq!(left(&pro, "bob"), [3, 50]);
    assert_eq!(pro.quotas(), quotas(&["6/hour", "100/day rolling"]));
}

#[tokio::test(start_paused = true)]
async fn a_tier_is_added_while_keys_are_there() {
    let limiter = RateLimiter::new(Quota::per_hour(2));
    limiter.check("alice", 1).unwrap();
    assert!(limiter.tier("pro").is_err());
    limiter.set_tier("pro", quotas(&["5/hour"])).unwrap();
    let pro = limiter.tier("pro").unwrap();
    assert_eq!(limiter.peek("alice")[0].remaining, 1);
    assert_eq!(drain(&pro, "alice"), 5);
    assert!(limiter.check("alice", 1).is_ok());
    assert!(limiter.check("alice", 1).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_is_taken_away_comes_back_with_what_was_spent() {
    let limiter = limiter();
    let pro = limiter.tier("pro").unwrap();
    pro.check("alice", 2).unwrap();
    limiter.set_tier("pro", []).unwrap();
    assert!(
        limiter
            .tier("pro")
            .unwrap_err()
            .to_string()
            .contains("`team`")
    );
    assert!(pro.quotas().is_empty());
    assert_eq!(left(&pro, "alice"), [0], "what those in no tier have");
    assert!(pro.check("alice", 1).is_err());
    limiter.set_tier("pro", quotas(&["5/hour"])).unwrap();
    assert_eq!(left(&pro, "alice"), [3]);
    assert_eq!(drain(&limiter.tier("pro").unwrap(), "alice"), 3);
}

#[tokio::test(start_paused = true)]
async fn limits_are_put_in_force_with_all_their_tiers() {
    let limiter = limiter();
    let mut limits = limiter.limits();
    limits.quotas = quotas(&["1/hour"]);
    limits.tiers.remove("team");
    limits.tiers.insert("free".into(), quotas(&["3/hour"]));
    limiter.set_limits(limits.clone()).unwrap();
    assert_eq!(limiter.limits(), limits);
    assert_eq!(limiter.tier("team").unwrap_err().known, ["pro", "free"]);
    assert_eq!(drain(&limiter.tier("free").unwrap(), "a"), 3);
    limits.tiers.insert("bad".into(), Vec::new());
    assert!(limiter.set_limits(limits).is_err());
    assert!(limiter.tier("bad").is_err(), "nothing has changed");
}

#[test]
fn a_limiter_has_63_tiers_in_its_life() {
    let limiter = RateLimiter::new(Quota::per_hour(1));
    let tiers = |range: std::ops::Range<u32>| Limits {
        tiers: range
            .map(|n| (format!("tier {n}"), quotas(&["2/hour"])))
            .collect(),
        ..limiter.limits()
    };
    limiter.set_limits(tiers(0..62)).unwrap();
    limiter.set_limits(tiers(0..1)).unwrap();
    limiter.set_tier("last", quotas(&["3/hour"])).unwrap();
    for (name, units) in [("tier 0", 2), ("last", 3)] {
        assert_eq!(drain(&limiter.tier(name).unwrap(), "a"), units);
    }
    let error = limiter
        .set_tier("too many", quotas(&["3/hour"]))
        .unwrap_err();
    assert_eq!(error, LimitsError::TooManyTiers { count: 64 });
    assert!(error.to_string().contains("at most 63"), "{error}");
    limiter.set_limits(tiers(0..62)).unwrap();
    let builder = (0..64).fold(
        RateLimiter::builder().quota(Quota::per_hour(1)),
        |builder, n| builder.tier(&n.to_string(), quotas(&["2/hour"])),
    );
    assert_eq!(
        builder.build().unwrap_err(),
        LimitsError::TooManyTiers { count: 64 }
    );
}
