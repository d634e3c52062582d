//! What time does to what was saved.

use std::time::Duration;

use buttress_rate_limit::Restored;

use crate::{DAY, HOUR, left, started, until_more};

const SECOND: Duration = Duration::from_secs(1);

fn seconds(length: Duration) -> i64 {
    i64::try_from(length.as_secs()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn paced_units_come_back_while_nobody_runs() {
    let quota = &["24/day"];
    let before = started(quota, 0, None);
    tokio::time::advance(5 * HOUR).await;
    before.check("a", 20).unwrap();
    before.check("b", 2).unwrap();
    let snapshot = before.snapshot().unwrap();
    let rest = SECOND / 4;
    let after = started(quota, seconds(8 * HOUR), Some(&snapshot));
    assert_eq!(left(&after, "a"), [7], "three hours went by");
    assert_eq!(left(&after, "b"), [24]);
    assert_eq!(left(&after, "c"), [24]);
    assert_eq!(after.status().live_keys, 1, "who owes nothing has no place");
    tokio::time::advance(HOUR - rest).await;
    assert_eq!(
        (left(&after, "a"), until_more(&after, "a")),
        (vec![7], Some(rest))
    );
    let expected = (1, 1, 0, 3 * HOUR, Duration::ZERO);
    let restored = after.restored().unwrap().clone();
    assert_eq!(told(&restored), expected);
}

fn told(restored: &Restored) -> (usize, usize, usize, Duration, Duration) {
    let Restored {
        restored: again,
        over,
        dropped,
        elapsed,
        clock_went_back,
        ..
    } = *restored;
    (again, over, dropped, elapsed, clock_went_back)
}

#[tokio::test(start_paused = true)]
async fn a_rolling_unit_comes_back_when_it_would_have() {
    let quota = &["3/day rolling"];
    let before = started(quota, 0, None);
    before.check("a", 1).unwrap();
    tokio::time::advance(10 * HOUR).await;
    before.check("a", 2).unwrap();
    let snapshot = before.snapshot().unwrap();
    // The other process starts at once, and then much later.
    let at_once = started(quota, seconds(10 * HOUR), Some(&snapshot));
    assert_eq!(
        (left(&at_once, "a"), until_more(&at_once, "a")),
        (vec![0], Some(14 * HOUR))
    );
    let later = started(quota, seconds(24 * HOUR), Some(&snapshot));
    assert_eq!(
        (left(&later, "a"), until_more(&later, "a")),
        (vec![1], Some(10 * HOUR))
    );
    let next = started(quota, seconds(34 * HOUR), Some(&snapshot));
    assert_eq!((left(&next, "a"), until_more(&next, "a")), (vec![3], None));
    assert_eq!(next.restored().unwrap().over, 1);
}

#[tokio::test(start_paused = true)]
async fn a_log_of_a_month_is_kept_entry_by_entry() {
    let quota = &["5k/672h rolling"];
    let before = started(quota, 0, None);
    // The last two are one group, which another may not join.
    for _ in 0..4_999 {
        before.check("a", 1).unwrap();
        tokio::time::advance(400 * SECOND).await;
    }
    let snapshot = before.snapshot().unwrap();
    let after = started(quota, 4_999 * 400, Some(&snapshot));
    for limiter in [&before, &after] {
        limiter.check("a", 1).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(left(&after, "a"), left(&before, "a"));
        assert_eq!(until_more(&after, "a"), until_more(&before, "a"));
        tokio::time::advance(120 * HOUR).await;
    }
    assert_eq!(
        after.snapshot().unwrap().to_bytes(),
        before.snapshot().unwrap().to_bytes()
    );
}

#[tokio::test(start_paused = true)]
async fn short_quotas_are_full_after_a_restart_and_are_not_saved() {
    let quotas = &["5/minute", "10/23h rolling", "9/day"];
    let before = started(quotas, 0, None);
    before.check("a", 4).unwrap();
    let snapshot = before.snapshot().unwrap();
    assert_eq!(snapshot.len(), 1);
    let after = started(quotas, 0, Some(&snapshot));
    assert_eq!(left(&after, "a"), [5, 10, 5]);
    let only_short = started(&["5/minute"], 0, None);
    only_short.check("a", 5).unwrap();
    assert!(only_short.snapshot().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_went_backwards_forgives_nothing_and_lengthens_nothing() {
    for quota in ["24/day", "24/day rolling"] {
        let before = started(&[quota], seconds(100 * DAY), None);
        tokio::time::advance(HOUR).await;
        before.check("a", 24).unwrap();
        tokio::time::advance(HOUR / 2).await;
        let (snapshot, wait) = (before.snapshot().unwrap(), until_more(&before, "a"));
        for start in [Duration::ZERO, 90 * DAY, 100 * DAY, 100 * DAY + HOUR] {
            let after = started(&[quota], seconds(start), Some(&snapshot));
            assert_eq!(left(&after, "a"), [0]);
            assert_eq!(until_more(&after, "a"), wait, "{quota} at {start:?}");
            let restored = after.restored().unwrap();
            assert_eq!(restored.elapsed, Duration::ZERO);
            let back = 100 * DAY + HOUR + HOUR / 2 - start;
            assert_eq!(restored.clock_went_back, back);
        }
    }
}

#[cfg(feature = "calendar")]
#[tokio::test(start_paused = true)]
async fn a_clock_that_went_backwards_keeps_a_calendar_count_in_its_period_or_in_the_one_that_is() {
    let quota = &["3/day calendar UTC"];
    let before = started(quota, seconds(100 * DAY + HOUR), None);
    before.check("a", 3).unwrap();
    let snapshot = before.snapshot().unwrap();
    // Back over midnight: it stays spent, now and in its own day.
    let day_before = started(quota, seconds(100 * DAY - HOUR), Some(&snapshot));
    assert_eq!(
        (left(&day_before, "a"), until_more(&day_before, "a")),
        (vec![0], Some(25 * HOUR))
    );
    // Back by more: the day that is, and not the one that is far away.
    let long_before = started(quota, seconds(6 * HOUR), Some(&snapshot));
    assert_eq!(
        (left(&long_before, "a"), until_more(&long_before, "a")),
        (vec![0], Some(18 * HOUR))
    );
    tokio::time::advance(18 * HOUR).await;
    assert_eq!(left(&long_before, "a"), [3]);
}

#[cfg(feature = "calendar")]
#[tokio::test(start_paused = true)]
async fn a_day_of_twenty_five_hours_is_as_long_after_a_restart() {
    // The Sunday begins at 22:00 of Saturday in UTC, and ends at 23:00.
    let sunday = seconds(3 * DAY + 22 * HOUR);
    let quota = &["3/day calendar Europe/Berlin"];
    let before = started(quota, sunday, None);
    before.check("a", 3).unwrap();
    let snapshot = before.snapshot().unwrap();
    let late = started(quota, sunday + seconds(24 * HOUR), Some(&snapshot));
    assert_eq!(
        (left(&late, "a"), until_more(&late, "a")),
        (vec![0], Some(HOUR))
    );
    let monday = started(quota, sunday + seconds(25 * HOUR), Some(&snapshot));
    assert_eq!(left(&monday, "a"), [3]);
    assert_eq!(monday.restored().unwrap().over, 1);
}

#[cfg(feature = "calendar")]
#[tokio::test(start_paused = true)]
async fn a_week_and_a_month_outlast_a_restart_and_their_end_does_not() {
    let quotas = &["3/week calendar UTC", "5/month calendar UTC"];
    let before = started(quotas, 0, None);
    before.check("a", 2).unwrap();
    let snapshot = before.snapshot().unwrap();
    let left_after = |days: u32| {
        let after = started(quotas, seconds(days * DAY), Some(&snapshot));
        left(&after, "a")
    };
    assert_eq!(left_after(4), [1, 3]);
    assert_eq!(left_after(5), [3, 3], "it is Monday");
    assert_eq!(left_after(11), [3, 5], "it is November");
}
