//! The published defaults, at the edges where they differ.

use buttress_circuit_breaker::algorithm::Kind::{Failure, Success};
use buttress_circuit_breaker::{Settings, State};

use crate::support::{Clocked, SECOND};

#[test]
fn resilience4j_looks_after_a_hundred_calls_and_judges_ten() {
    let mut clocked = Clocked::new(Settings::resilience4j());
    clocked.calls(50, Failure).calls(49, Success);
    assert_eq!(clocked.state(), State::Closed);
    assert_eq!(clocked.call(Success).state(), State::Open);
    // Strictly after 60 s.
    assert_eq!(clocked.at(60 * SECOND).wait(), 1);
    clocked.at(60 * SECOND + 1);
    // Four failures of ten do not reopen, and the first does not either.
    clocked.calls(4, Failure).calls(5, Success);
    assert_eq!(clocked.state(), State::HalfOpen);
    assert_eq!(clocked.call(Success).state(), State::Closed);
}

#[test]
fn resilience4j_reopens_at_half_of_ten_and_lets_only_ten_through() {
    let mut clocked = Clocked::new(Settings::resilience4j());
    clocked.calls(100, Failure).at(61 * SECOND);
    let trial: Vec<u32> = (0..10).map(|_| clocked.admit().unwrap()).collect();
    assert!(clocked.admit().is_err());
    for (index, probe) in trial.into_iter().enumerate() {
        assert_eq!(clocked.state(), State::HalfOpen);
        assert!(clocked.admit().is_err());
        let kind = if index < 5 { Failure } else { Success };
        clocked.end(probe, kind, 0);
    }
    assert_eq!(clocked.state(), State::Open);
}

#[test]
fn resilience4j_trips_when_all_calls_are_slow() {
    let mut clocked = Clocked::new(Settings::resilience4j());
    for _ in 0..99 {
        clocked.slow(60 * SECOND + 1);
    }
    assert_eq!(clocked.state(), State::Closed);
    assert_eq!(clocked.slow(60 * SECOND + 1).state(), State::Open);
}

#[test]
fn polly_looks_after_failures_only() {
    let mut clocked = Clocked::new(Settings::polly());
    // Ten of a hundred failed, but the last one did not.
    clocked.calls(10, Failure).calls(90, Success);
    assert_eq!(clocked.state(), State::Closed);
    assert_eq!(clocked.call(Failure).state(), State::Open);
    assert_eq!(clocked.wait(), 5 * SECOND);
    clocked.at(5 * SECOND);
    clocked.admit().unwrap();
    // A probe that hangs is followed by another after the break.
    assert_eq!(clocked.wait(), 5 * SECOND);
    assert_eq!(clocked.at(10 * SECOND).call(Success).state(), State::Closed);
}

#[test]
fn finagle_trips_at_five_in_a_row_or_below_four_fifths() {
    let mut run = Clocked::new(Settings::finagle());
    assert_eq!(run.calls(4, Failure).state(), State::Closed);
    assert_eq!(run.call(Failure).state(), State::Open);
    let mut rate = Clocked::new(Settings::finagle());
    // Exactly 80 % is fine.
    rate.calls(8, Success).calls(2, Failure);
    assert_eq!(rate.state(), State::Closed);
    assert_eq!(rate.call(Failure).state(), State::Open);
}

#[test]
fn finagle_doubles_to_five_minutes_and_draws_half() {
    let mut clocked = Clocked::new(Settings::finagle());
    clocked.calls(5, Failure);
    for expected in [5, 10, 20, 40, 80, 160, 300, 300] {
        // The draw of these tests shortens nothing.
        assert_eq!(clocked.wait(), expected * SECOND);
        let now = clocked.now + expected * SECOND;
        clocked.at(now).call(Failure);
    }
}

#[test]
fn gobreaker_trips_at_the_sixth_and_probes_strictly_after_a_minute() {
    let mut clocked = Clocked::new(Settings::gobreaker());
    assert_eq!(clocked.calls(5, Failure).state(), State::Closed);
    assert_eq!(clocked.call(Failure).state(), State::Open);
    assert_eq!(clocked.at(60 * SECOND).wait(), 1);
    clocked.at(60 * SECOND + 1);
    let probe = clocked.admit().unwrap();
    assert!(clocked.admit().is_err());
    clocked.end(probe, Success, 0);
    assert_eq!(clocked.state(), State::Closed);
}

#[test]
fn envoy_ejects_for_thirty_seconds_times_the_number_of_times_until_a_sweep() {
    let mut clocked = Clocked::new(Settings::envoy_outlier());
    clocked.at(3 * SECOND).calls(5, Failure);
    // 33 s, and then the next sweep.
    assert_eq!(clocked.wait(), 37 * SECOND);
    clocked.at(40 * SECOND).calls(5, Failure);
    assert_eq!(clocked.wait(), 60 * SECOND);
    // Everything is let through again, and nothing is a probe.
    clocked.at(100 * SECOND).call(Success);
    assert_eq!(clocked.state(), State::Closed);
    // Two ejections, one sweep without one: the next is again the second.
    clocked.at(110 * SECOND).calls(5, Failure);
    assert_eq!(clocked.wait(), 60 * SECOND);
    // After a long while it is the first.
    clocked.at(1_000 * SECOND).calls(5, Failure);
    assert_eq!(clocked.wait(), 30 * SECOND);
}

#[test]
fn envoy_ejects_for_five_minutes_at_most() {
    let mut clocked = Clocked::new(Settings::envoy_outlier());
    for times in 1..=12 {
        clocked.calls(5, Failure);
        let expected = (30 * times).min(300) * SECOND;
        assert_eq!(clocked.wait(), expected);
        let now = clocked.now + expected;
        clocked.at(now);
    }
}
