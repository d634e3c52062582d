//! Limits that are others after a restart than before, and seeds.

use buttress_rate_limit::{PersistError, RateLimiter, Restored, Snapshot};

use crate::{DAY, builder, clock, left, quotas, started};

/// What was saved when "a" had spent so much.
fn saved(texts: &[&str], spent: u64) -> Snapshot {
    let limiter = started(texts, 0, None);
    limiter.check("a", spent).unwrap();
    limiter.snapshot().unwrap()
}

/// What is left for "a" under other quotas, and how many counts were restored and dropped.
fn restarted(texts: &[&str], snapshot: &Snapshot) -> (Vec<u64>, usize, Vec<String>) {
    let limiter = started(texts, 0, Some(snapshot));
    let Restored {
        restored,
        dropped,
        dropped_quotas,
        ..
    } = limiter.restored().unwrap().clone();
    assert_eq!(dropped, dropped_quotas.len(), "there is one key");
    (left(&limiter, "a"), restored, dropped_quotas)
}

#[tokio::test(start_paused = true)]
async fn a_quota_takes_over_from_one_of_its_kind_and_period() {
    let none = Vec::<String>::new;
    let paced = saved(&["10/day"], 4);
    assert_eq!(restarted(&["10/day"], &paced), (vec![6], 1, none()));
    assert_eq!(restarted(&["20/day"], &paced), (vec![16], 1, none()));
    assert_eq!(restarted(&["3/day"], &paced), (vec![0], 1, none()));
    assert_eq!(
        restarted(&["5/second", "9/day burst 30"], &paced),
        (vec![5, 26], 1, none())
    );
    for other in ["10/week", "10/day rolling", "10/hour"] {
        let expected = (vec![10], 0, vec!["10/day".to_owned()]);
        assert_eq!(restarted(&[other], &paced), expected, "{other}");
    }
    let both = saved(&["10/day", "12/day rolling", "30/week"], 4);
    assert_eq!(
        restarted(&["99/day rolling", "10/day"], &both),
        (vec![95, 6], 2, vec!["30/week".to_owned()])
    );
    let twins = saved(&["10/day", "20/day"], 4);
    assert_eq!(
        restarted(&["20/day"], &twins),
        (vec![16], 1, vec!["10/day".to_owned()])
    );
}

#[cfg(feature = "calendar")]
#[tokio::test(start_paused = true)]
async fn a_day_of_another_zone_is_another_quota() {
    let berlin = saved(&["10/day calendar Europe/Berlin"], 4);
    let more = restarted(&["30/day calendar Europe/Berlin"], &berlin);
    assert_eq!(more, (vec![26], 1, Vec::new()));
    for other in ["10/day calendar UTC", "10/week calendar Europe/Berlin"] {
        let (left, restored, dropped) = restarted(&[other], &berlin);
        assert_eq!((left, restored), (vec![10], 0));
        assert_eq!(dropped, ["10/day calendar Europe/Berlin"]);
    }
}

#[tokio::test(start_paused = true)]
async fn everybody_all_and_single_keys_are_restored() {
    let limits = |seconds| {
        builder(&["10/day"], seconds)
            .global(quotas(&["100/day"]))
            .override_for("vip", quotas(&["50/day"]))
    };
    let before = limits(0).restore(None).build().unwrap();
    before.check("a", 4).unwrap();
    before.check("vip", 40).unwrap();
    let snapshot = before.snapshot().unwrap();
    let after = limits(0).restore(&snapshot).build().unwrap();
    assert_eq!(left(&after, "a"), [6, 56]);
    assert_eq!(left(&after, "vip"), [10, 56]);
    assert_eq!(left(&after, "b"), [10, 56]);
    // One who is no longer an exception has spent what he has spent.
    let plain = started(&["10/day"], 0, Some(&snapshot));
    assert_eq!(left(&plain, "vip"), [0]);
    assert_eq!(plain.restored().unwrap().dropped_quotas, ["100/day"]);
    // Without a quota for each key nothing of theirs is restored.
    let of_all = RateLimiter::builder()
        .global(quotas(&["100/day"]))
        .wall_clock(clock(0))
        .restore(&snapshot)
        .build()
        .unwrap();
    assert_eq!(left(&of_all, "a"), [56]);
    let restored = of_all.restored().unwrap();
    assert_eq!((restored.restored, restored.dropped), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn the_account_of_everybody_is_restored() {
    use buttress_core::{KeyHash, Now, Policy};
    use buttress_rate_limit::RateDemand;
    let before = started(&["10/day"], 0, None);
    let demand = RateDemand::new(KeyHash::EVERYONE, 7);
    assert!(before.try_admit(&demand, &Now::new()).is_ok());
    let snapshot = before.snapshot().unwrap();
    let after = started(&["10/day"], 0, Some(&snapshot));
    assert_eq!(after.peek_hash(KeyHash::EVERYONE)[0].remaining, 3);
}

#[tokio::test(start_paused = true)]
async fn restoring_twice_is_restoring_once_and_forgives_nothing_spent_since() {
    let quota = &["10/day", "10/day rolling"];
    let before = started(quota, 0, None);
    before.check("a", 4).unwrap();
    let snapshot = before.snapshot().unwrap();
    let after = started(quota, 0, Some(&snapshot));
    after.restore(&snapshot).unwrap();
    assert_eq!(left(&after, "a"), [6, 6]);
    after.check("a", 3).unwrap();
    after.restore(&snapshot).unwrap();
    assert_eq!(left(&after, "a"), [3, 3]);
    after.reset("a");
    let restored = after.restore(&snapshot).unwrap();
    assert_eq!((restored.restored, left(&after, "a")), (2, vec![6, 6]));
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_hashed_otherwise_are_refused_with_what_to_do() {
    let snapshot = saved(&["10/day"], 4);
    let running = started(&["10/day"], 0, None);
    let error = running.restore(&snapshot).unwrap_err();
    assert!(matches!(error, PersistError::OtherSeed));
    assert!(error.to_string().contains("give it to the builder"));
    assert_eq!(left(&running, "a"), [10], "nothing changed");
    let seeded = builder(&["10/day"], 0).seed(1).restore(&snapshot).build();
    assert!(matches!(seeded, Err(PersistError::OtherSeed)));
    let plain = builder(&["10/day"], 0).build().unwrap();
    let error = plain.snapshot().unwrap_err();
    assert!(matches!(error, PersistError::NoSeed));
    assert!(error.to_string().contains("restore(None)"));
    assert!(matches!(plain.save(), Err(PersistError::NoFile)));
    assert!(matches!(running.save(), Err(PersistError::NoFile)));
    // As if the hash function had changed: the proof is another.
    let mut bytes = snapshot.to_bytes();
    bytes[40] ^= 1;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[16..28]);
    hasher.update(&bytes[32..]);
    bytes[28..32].copy_from_slice(&hasher.finalize().to_le_bytes());
    let other = Snapshot::from_bytes(&bytes).unwrap();
    let refused = builder(&["10/day"], 0).restore(&other).build();
    assert!(matches!(refused, Err(PersistError::OtherHash)));
    let nothing = RateLimiter::builder().restore(&snapshot).build();
    assert!(matches!(nothing, Err(PersistError::Limits(_))));
}

#[tokio::test(start_paused = true)]
async fn limits_that_change_while_it_runs_are_saved_as_they_are() {
    let before = started(&["10/day"], 0, None);
    before.check("a", 4).unwrap();
    before.set_quota("30/day".parse().unwrap());
    tokio::time::advance(DAY / 30).await;
    before.set_quota("20/week rolling".parse().unwrap());
    let snapshot = before.snapshot().unwrap();
    let after = started(&["20/week rolling"], 2_880, Some(&snapshot));
    assert_eq!(
        (left(&before, "a"), left(&after, "a")),
        (vec![17], vec![17])
    );
}
