use std::time::Duration;

use buttress_rate_limit::algorithm::Offence;
use buttress_rate_limit::{Penalty, PenaltyError};

const SECOND: u64 = 1_000_000_000;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Refuses at each of the instants, in seconds, and tells after which until when it was penalised.
fn ends(penalty: &Penalty, refusals: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let mut offence = None;
    let end = |at: u64| {
        let next = penalty.refused(offence, at * SECOND);
        offence = Some(next);
        next.until / SECOND
    };
    refusals.into_iter().map(end).collect()
}

#[test]
fn every_so_many_refusals_are_a_step_and_each_is_longer_up_to_a_bound() {
    let penalty = Penalty::after(2)
        .first(seconds(10))
        .growing(3.0)
        .up_to(seconds(60));
    let ends = ends(&penalty, [0, 1, 20, 21, 60, 61, 130, 131, 200, 201]);
    assert_eq!(ends, [0, 11, 11, 51, 51, 121, 121, 191, 191, 261]);
}

#[test]
fn refusals_during_a_penalty_count_towards_the_next_step() {
    let penalty = Penalty::after(2).first(seconds(10)).growing(2.0);
    assert_eq!(ends(&penalty, [0, 0, 1, 2, 3, 4]), [0, 10, 10, 22, 22, 44]);
}

#[test]
fn a_shorter_step_never_shortens_what_is_imposed() {
    let penalty = Penalty::after(1).first(seconds(10)).growing(1.0);
    let first = penalty.refused(None, 5 * SECOND);
    let earlier = penalty.refused(Some(first), 0);
    assert_eq!(earlier.until, first.until, "clocks of threads may differ");
    assert_eq!(earlier.last, first.last);
}

#[test]
fn a_ban_has_a_length_of_its_own_and_after_it_the_key_starts_anew() {
    let penalty = Penalty::after(2)
        .first(seconds(1))
        .ban_after(3, seconds(100));
    assert_eq!(ends(&penalty, [0, 0, 0, 5, 50]), [0, 1, 100, 100, 100]);
    assert_eq!(
        ends(&penalty, [0, 0, 0, 99, 100, 100]),
        [0, 1, 100, 100, 0, 101]
    );
    let only = Penalty::ban(3, seconds(60));
    assert_eq!(
        ends(&only, [0, 1, 2, 61, 62, 63, 64]),
        [0, 0, 62, 62, 0, 0, 124]
    );
}

#[test]
fn a_quiet_time_after_the_last_wait_makes_all_forgotten() {
    let penalty = Penalty::after(2)
        .first(seconds(10))
        .forget_after(seconds(60));
    assert_eq!(ends(&penalty, [0, 59, 60]), [0, 69, 69]);
    assert_eq!(ends(&penalty, [0, 60, 61]), [0, 0, 71]);
    assert_eq!(
        ends(&penalty, [0, 0, 69, 69]),
        [0, 10, 10, 89],
        "not yet forgotten"
    );
    assert_eq!(ends(&penalty, [0, 0, 70, 70]), [0, 10, 0, 80]);
}

#[test]
fn since_is_when_the_unbroken_penalty_began() {
    let penalty = Penalty::after(1).first(seconds(10)).growing(1.0);
    let first = penalty.refused(None, SECOND);
    let second = penalty.refused(Some(first), 5 * SECOND);
    assert_eq!((second.since, second.until), (SECOND, 15 * SECOND));
    let third = penalty.refused(Some(second), 15 * SECOND);
    assert_eq!(third.since, 15 * SECOND, "at its end it is over");
    assert_eq!(third.refusals, 3);
    let by_hand = Offence::banned(Some(third), 3, 16 * SECOND);
    assert_eq!((by_hand.refusals, by_hand.until), (3, 16 * SECOND + 3));
}

#[test]
fn no_number_overflows() {
    let ever = Duration::from_nanos(1 << 63);
    let penalty = Penalty::after(1).first(ever).growing(1000.0).up_to(ever);
    let penalty = penalty.forget_after(ever);
    let first = penalty.refused(None, u64::MAX - 1);
    assert_eq!((first.until, first.forgotten), (u64::MAX, u64::MAX));
    let mut offence = Offence::banned(None, u64::MAX, u64::MAX);
    for _ in 0..3 {
        offence = penalty.refused(Some(offence), u64::MAX);
    }
    assert_eq!(offence.until, u64::MAX);
}

type Tried = Result<Penalty, PenaltyError>;

fn assert_tells<const N: usize>(tried: [(Tried, [&str; 3]); N]) {
    for (error, parts) in tried {
        let error = error.expect_err(parts[0]).to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn an_impossible_count_or_duration_is_named_with_what_was_found_and_the_fix() {
    let zero = Duration::ZERO;
    let steps = || Penalty::after(1);
    assert_tells([
        (
            Penalty::try_after(0),
            ["`after`", "0 refusals", "at least 1"],
        ),
        (
            Penalty::try_ban(0, seconds(1)),
            ["`ban_after`", "0 refusals", "at least 1"],
        ),
        (
            steps().try_first(zero),
            ["`first`", "0s", "longer than zero"],
        ),
        (
            steps().try_first(Duration::MAX),
            ["`first`", "s", "292 years"],
        ),
    ]);
    let longest = steps().up_to(seconds(20));
    assert!(longest.clone().try_first(seconds(21)).is_err());
    assert!(longest.try_first(seconds(20)).is_ok());
    let long = Penalty::after(1).first(seconds(3600));
    assert_eq!(
        ends(&long, [0, 0]),
        [3600, 3600],
        "no bound was said that is shorter"
    );
}

#[test]
fn an_impossible_growth_or_bound_is_named_with_what_was_found_and_the_fix() {
    let zero = Duration::ZERO;
    let steps = || Penalty::after(1);
    assert_tells([
        (
            steps().try_growing(0.5),
            ["`growing`", "0.5", "from 1 to 1000"],
        ),
        (
            steps().try_growing(f64::NAN),
            ["`growing`", "NaN", "from 1 to 1000"],
        ),
        (
            steps().try_growing(-2.0),
            ["`growing`", "-2", "from 1 to 1000"],
        ),
        (
            steps().try_growing(f64::INFINITY),
            ["`growing`", "inf", "from 1 to 1000"],
        ),
        (
            steps().try_growing(1000.1),
            ["`growing`", "1000.1", "from 1 to 1000"],
        ),
        (
            steps().try_up_to(seconds(9)),
            ["`up_to`", "9s", "not longer than the longest"],
        ),
        (
            steps().try_ban_after(1, zero),
            ["`ban_after`", "0s", "longer than zero"],
        ),
        (
            steps().try_forget_after(zero),
            ["`forget_after`", "0s", "longer than zero"],
        ),
        (
            Penalty::ban(1, seconds(1)).try_growing(2.0),
            ["`growing`", "2", "`Penalty::after`"],
        ),
    ]);
}
