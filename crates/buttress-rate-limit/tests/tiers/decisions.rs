//! What is decided for a key in a tier.

use buttress_core::{LimitId, Now, Policy, Reason};
use buttress_rate_limit::{LimitsError, Penalty, RateDemand, RateLimiter};
use tokio::time::advance;

use crate::{SECOND, builder, drain, left, limiter, quotas};

#[tokio::test(start_paused = true)]
async fn a_key_has_in_every_tier_an_account_of_its_own() {
    let limiter = limiter();
    let (pro, team) = (limiter.tier("pro").unwrap(), limiter.tier("team").unwrap());
    assert_eq!(drain(&pro, "alice"), 5);
    assert_eq!(drain(&team, "alice"), 9);
    assert!(limiter.check("alice", 2).is_ok());
    assert!(limiter.check("alice", 1).is_err());
    assert_eq!(drain(&pro, "bob"), 5);
    assert_eq!(left(&team, "alice"), [0, 11]);
    let status = limiter.status();
    assert_eq!(
        (status.live_keys, status.admitted, status.refused),
        (4, 20, 4)
    );
    assert_eq!(status.tiers.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_rendered_by_the_quotas_of_its_tier() {
    let limiter = limiter();
    let team = limiter.tier("team").unwrap();
    team.check("alice", 9).unwrap();
    let rejection = team.check("alice", 1).unwrap_err();
    let limit = rejection.limit().unwrap();
    assert_eq!(
        (limit.policy, limit.key),
        (limiter.id(), team.hash("alice"))
    );
    assert!(rejection.violates(0) && !rejection.violates(1));
    let names: Vec<_> = limiter
        .peek_hash(limit.key)
        .into_iter()
        .map(|s| s.name)
        .collect();
    assert_eq!(names, ["9/hour", "20/day rolling"]);
    assert_eq!(limiter.tier("pro").unwrap().peek("alice")[0].name, "pro");
    assert_eq!(limiter.peek("alice")[0].name, "default");
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_for_all_keys_holds_for_all_tiers_in_one_decision() {
    let limiter = builder().global(quotas(&["6/hour"])).build().unwrap();
    let pro = limiter.tier("pro").unwrap();
    pro.check("alice", 4).unwrap();
    assert!(pro.check("alice", 2).is_err(), "her own");
    assert_eq!(left(&pro, "alice"), [1, 2], "nothing was spent");
    limiter.check("bob", 2).unwrap();
    let rejection = pro.check("carol", 1).unwrap_err();
    assert_eq!(rejection.limit().unwrap().quota, 1, "that of all");
    assert_eq!(left(&pro, "carol"), [5, 0]);
    let team = limiter.tier("team").unwrap();
    let rejection = team.check("carol", 1).unwrap_err();
    assert_eq!(
        rejection.limit().unwrap().quota,
        2,
        "behind two of the tier"
    );
}

#[tokio::test(start_paused = true)]
async fn a_waiter_for_all_keys_holds_back_those_of_other_tiers() {
    let limiter = builder().global(quotas(&["1/hour"])).build().unwrap();
    let (pro, team) = (limiter.tier("pro").unwrap(), limiter.tier("team").unwrap());
    let demand = |key| RateDemand::new(key, 1);
    limiter.check("a", 1).unwrap();
    let of_all = team.check("a", 1).unwrap_err().limit().unwrap();
    assert!(limiter.touches(&demand(pro.hash("b")), of_all));
    let of_key = LimitId { quota: 0, ..of_all };
    assert!(limiter.touches(&demand(team.hash("a")), of_key));
    assert!(!limiter.touches(&demand(pro.hash("a")), of_key));
    assert!(!limiter.touches(&demand(team.hash("b")), of_key));
}

#[tokio::test(start_paused = true)]
async fn the_quotas_of_a_single_key_win_over_its_tier() {
    let limiter = builder()
        .override_for("vip", quotas(&["40/hour"]))
        .build()
        .unwrap();
    let pro = limiter.tier("pro").unwrap();
    assert_eq!(drain(&pro, "vip"), 40);
    assert_eq!(drain(&pro, "other"), 5);
    limiter.set_override("other", quotas(&["8/hour"])).unwrap();
    assert_eq!(drain(&pro, "other"), 3, "what was spent stays spent");
    limiter.set_override("vip", []).unwrap();
    assert_eq!(left(&pro, "vip"), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_ban_is_of_the_key_in_every_tier() {
    let penalty = Penalty::after(2).first(60 * SECOND);
    let limiter = builder().penalty(penalty).build().unwrap();
    let (pro, team) = (limiter.tier("pro").unwrap(), limiter.tier("team").unwrap());
    pro.check("alice", 5).unwrap();
    for _ in 0..2 {
        assert_eq!(
            pro.check("alice", 1).unwrap_err().reason(),
            Reason::RateLimit
        );
    }
    let banned = team.check("alice", 1).unwrap_err();
    assert_eq!(banned.reason(), Reason::Banned);
    assert_eq!(banned.limit().unwrap().key, team.hash("alice"));
    assert!(limiter.touches(
        &RateDemand::new(pro.hash("alice"), 1),
        banned.limit().unwrap()
    ));
    assert_eq!(
        team.would_admit("alice", 1).unwrap_err().reason(),
        Reason::Banned
    );
    assert!(team.check("bob", 1).is_ok());
    let bans = limiter.bans();
    assert_eq!((bans.len(), bans[0].key), (1, limiter.hash("alice")));
    assert!(
        limiter.lift_hash(banned.limit().unwrap().key),
        "whatever its tier"
    );
    assert!(team.check("alice", 1).is_ok());
    limiter.ban_hash(pro.hash("bob"), 60 * SECOND);
    assert!(limiter.check("bob", 1).is_err());
    advance(60 * SECOND).await;
    assert!(limiter.check("bob", 1).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_refund_and_a_reset_are_of_the_tier() {
    let limiter = limiter();
    let pro = limiter.tier("pro").unwrap();
    pro.check("alice", 5).unwrap();
    limiter.check("alice", 2).unwrap();
    pro.refund("alice", 2);
    assert_eq!(
        (left(&pro, "alice"), limiter.peek("alice")[0].remaining),
        (vec![2], 0)
    );
    pro.reset("alice");
    assert_eq!(
        (left(&pro, "alice"), limiter.peek("alice")[0].remaining),
        (vec![5], 0)
    );
    pro.check("alice", 5).unwrap();
    limiter.reset_all();
    assert_eq!(
        (left(&pro, "alice"), limiter.peek("alice")[0].remaining),
        (vec![5], 2)
    );
}

#[tokio::test(start_paused = true)]
async fn an_admission_that_was_not_used_goes_back_to_its_tier() {
    let limiter = limiter();
    let pro = limiter.tier("pro").unwrap();
    let demand = RateDemand::new(pro.hash("alice"), 3);
    let permit = limiter.try_admit(&demand, &Now::new()).unwrap();
    assert_eq!(left(&pro, "alice"), [2]);
    limiter.release(&demand, permit, &Now::new());
    assert_eq!(left(&pro, "alice"), [5]);
}

#[test]
fn a_tier_that_cannot_be_is_an_error_that_names_it() {
    let wrong = |name: &str, texts: &[&str]| {
        RateLimiter::builder()
            .quotas(quotas(&["1/hour"]))
            .tier(name, quotas(texts))
            .build()
            .unwrap_err()
    };
    let name = |name: &str| name.to_owned();
    assert_eq!(
        wrong("pro", &[]),
        LimitsError::EmptyTier { name: name("pro") }
    );
    for bad in ["", "grün", "a\nb", &"x".repeat(65)] {
        let error = wrong(bad, &["1/hour"]);
        assert_eq!(error, LimitsError::TierName { name: name(bad) });
        assert!(error.to_string().contains(&*bad.escape_debug().to_string()));
    }
    let seventeen = ["1/hour"; 17];
    assert_eq!(wrong("pro", &seventeen), LimitsError::TooMany { count: 17 });
    let none = RateLimiter::builder()
        .tier("pro", quotas(&["1/hour"]))
        .build();
    assert_eq!(
        none.unwrap_err(),
        LimitsError::Nothing,
        "for those in no tier"
    );
}

#[test]
fn an_unknown_tier_is_an_error_that_names_those_that_there_are() {
    let error = limiter().tier("prp").unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no tier `prp`; there are: `pro`, `team`"
    );
    let none = RateLimiter::new("1/hour".parse().unwrap())
        .tier("pro")
        .unwrap_err();
    assert!(none.to_string().contains("no tiers at all"), "{none}");
}

/// Far more keys than rated, in many tiers: a limited key of one is not forgotten for those of another.
#[tokio::test(start_paused = true)]
async fn a_flood_in_one_tier_forgets_nobody_in_another() {
    let limiter = limiter();
    let pro = limiter.tier("pro").unwrap();
    for key in ["a", "b", "c"] {
        assert_eq!(drain(&pro, key), 5);
    }
    for key in 0..10_000_u32 {
        let _ = limiter.check(key, 2);
    }
    assert!(limiter.status().evicted > 0);
    assert_eq!(["a", "b", "c"].map(|key| drain(&pro, key)), [0, 0, 0]);
}
