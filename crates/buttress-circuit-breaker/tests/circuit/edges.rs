//! The edges of the rules, one by one.

use std::sync::Arc;
use std::time::Duration;

use buttress_circuit_breaker::algorithm::Kind::{Failure, Success, Throttled};
use buttress_circuit_breaker::algorithm::{Call, Circuit};
use buttress_circuit_breaker::{Settings, State};

use crate::support::{Clocked, MS, SECOND, seconds};

#[test]
fn a_429_leaves_the_run_as_it_is_and_counts_for_the_rate() {
    let mut run = Clocked::new(Settings::consecutive_failures(5));
    run.calls(4, Failure).calls(3, Throttled);
    assert_eq!(run.state(), State::Closed);
    assert_eq!(run.call(Failure).state(), State::Open);
    let mut rate = Clocked::new(Settings::failure_rate(0.5).minimum_calls(4));
    rate.calls(2, Success).call(Throttled);
    assert_eq!(rate.state(), State::Closed);
    assert_eq!(rate.call(Throttled).state(), State::Open);
}

#[test]
fn a_429_fails_a_probe() {
    let mut clocked = Clocked::new(Settings::consecutive_failures(1));
    clocked.call(Failure).at(60 * SECOND).call(Throttled);
    assert_eq!(clocked.state(), State::Open);
}

#[test]
fn rates_trip_at_and_after_every_record_even_a_success() {
    let settings = Settings::failure_rate(0.3).minimum_calls(10);
    let mut clocked = Clocked::new(settings);
    clocked.calls(3, Failure).calls(6, Success);
    assert_eq!(clocked.state(), State::Closed);
    assert_eq!(clocked.call(Success).state(), State::Open);
}

#[test]
fn slow_is_strictly_longer() {
    let settings = Settings::slow_call_rate(1.0, seconds(1)).minimum_calls(1);
    let mut clocked = Clocked::new(settings);
    assert_eq!(clocked.slow(SECOND).state(), State::Closed);
    let mut clocked = Clocked::new(clocked.circuit.settings().as_ref().clone());
    assert_eq!(clocked.slow(SECOND + 1).state(), State::Open);
}

#[test]
fn a_slow_probe_opens_again_at_its_head_and_nothing_else_does() {
    let settings = Settings::consecutive_failures(1).slow_call(seconds(1));
    let mut circuit = Circuit::new(settings.into());
    let closed = circuit.admit(0).unwrap();
    let head = |circuit: &mut Circuit, generation, waited, now| {
        circuit.head(generation, waited, || now, || 0);
        circuit.state()
    };
    assert_eq!(
        head(&mut circuit, closed, 9 * SECOND, SECOND),
        State::Closed
    );
    let failure = Call {
        kind: Failure,
        waited: 0,
    };
    circuit.record(closed, failure, || SECOND, || 0);
    let probe = circuit.admit(61 * SECOND).unwrap();
    let half_open = State::HalfOpen;
    assert_eq!(
        head(&mut circuit, closed, 9 * SECOND, 62 * SECOND),
        half_open
    );
    assert_eq!(head(&mut circuit, probe, SECOND, 62 * SECOND), half_open);
    assert_eq!(
        head(&mut circuit, probe, SECOND + 1, 63 * SECOND),
        State::Open
    );
    assert_eq!(
        circuit.would_admit(64 * SECOND).unwrap_err().wait,
        Some(59 * u128::from(SECOND))
    );
    // Its end is from an earlier phase.
    let success = Call {
        kind: Success,
        waited: SECOND + 1,
    };
    circuit.record(probe, success, || 70 * SECOND, || 0);
    assert_eq!(
        circuit.would_admit(71 * SECOND).unwrap_err().wait,
        Some(52 * u128::from(SECOND))
    );
}

#[test]
fn it_refuses_before_the_open_time_is_over_and_probes_exactly_at_it() {
    let mut clocked = Clocked::new(Settings::consecutive_failures(3));
    clocked.at(3 * SECOND).calls(3, Failure);
    clocked.at(62_999 * MS);
    assert_eq!(clocked.wait(), MS);
    clocked.at(63 * SECOND);
    assert!(clocked.admit().is_ok());
    assert_eq!(clocked.admit().unwrap_err().wait, None);
}

#[test]
fn open_times_grow_to_the_cap_and_begin_anew_after_a_close() {
    let settings = Settings::consecutive_failures(1)
        .open_for(seconds(10))
        .open_growth(2.0)
        .open_max(seconds(35));
    let mut clocked = Clocked::new(settings);
    clocked.call(Failure);
    for expected in [10, 20, 35, 35] {
        assert_eq!(clocked.wait(), expected * SECOND);
        let now = clocked.now + expected * SECOND;
        clocked.at(now).call(Failure);
    }
    let now = clocked.now + 35 * SECOND;
    clocked.at(now).call(Success);
    assert_eq!(clocked.state(), State::Closed);
    assert_eq!(clocked.call(Failure).wait(), 10 * SECOND);
}

/// Trap 7.
#[test]
fn trap_7_what_was_admitted_in_an_earlier_state_counts_nothing() {
    let mut clocked = Clocked::new(Settings::consecutive_failures(1).close_after(2));
    let late: Vec<u32> = (0..4).map(|_| clocked.admit().unwrap()).collect();
    clocked.call(Failure).at(60 * SECOND);
    let probe = clocked.admit().unwrap();
    clocked.end(late[0], Failure, 0);
    clocked.end(late[1], Success, 0);
    assert!(!clocked.circuit.give_back(late[2]));
    assert_eq!(clocked.state(), State::HalfOpen);
    assert!(clocked.admit().is_err());
    clocked.end(probe, Success, 0);
    clocked.call(Success);
    assert_eq!(clocked.state(), State::Closed);
    clocked.end(late[3], Failure, 0);
    assert_eq!(clocked.state(), State::Closed);
}

/// Trap 8: probes are counted apart from a window that ages.
#[test]
fn trap_8_good_probes_far_apart_still_close() {
    let settings = Settings::failure_rate(0.5)
        .minimum_calls(1)
        .window(seconds(1))
        .close_after(3);
    let mut clocked = Clocked::new(settings);
    clocked.call(Failure);
    for minute in 1..=3 {
        clocked.at(minute * 60 * SECOND).call(Success);
    }
    assert_eq!(clocked.state(), State::Closed);
}

/// Trap 8: a probe that hangs does not hold its place for ever, if that was asked for.
#[test]
fn trap_8_a_probe_that_hangs_is_given_up() {
    let settings = Settings::consecutive_failures(1)
        .open_for(seconds(10))
        .probe_timeout(seconds(5));
    let mut clocked = Clocked::new(settings);
    clocked.call(Failure).at(10 * SECOND);
    let hangs = clocked.admit().unwrap();
    clocked.at(12 * SECOND);
    assert_eq!(clocked.wait(), 3 * SECOND);
    clocked.at(15 * SECOND);
    let second = clocked.admit().unwrap();
    clocked.end(hangs, Failure, 0);
    assert_eq!(clocked.state(), State::HalfOpen);
    clocked.end(second, Success, 0);
    assert_eq!(clocked.state(), State::Closed);
}

#[test]
fn told_states_stay_until_reset() {
    let mut clocked = Clocked::new(Settings::consecutive_failures(1));
    clocked.circuit.tell(State::ForcedOpen);
    assert_eq!(clocked.admit().unwrap_err().wait, None);
    for told in [State::ForcedClosed, State::Disabled, State::MetricsOnly] {
        clocked.circuit.tell(told);
        assert_eq!(clocked.calls(5, Failure).state(), told);
    }
    assert_eq!(clocked.circuit.seen(0).would_have_opened, 5);
    assert_eq!(clocked.circuit.seen(0).opened, 0);
    clocked.circuit.reset();
    assert_eq!(clocked.call(Failure).state(), State::Open);
}

#[test]
fn other_settings_keep_the_state_and_the_run() {
    let mut clocked = Clocked::new(Settings::consecutive_failures(5));
    clocked.calls(3, Failure);
    let other = Settings::consecutive_failures(4).open_for(seconds(1));
    clocked.circuit.set(Arc::new(other));
    assert_eq!(clocked.call(Failure).state(), State::Open);
    assert_eq!(clocked.wait(), SECOND);
}

#[test]
fn other_settings_carry_the_growth_of_open_times_on() {
    let growing = Settings::consecutive_failures(1).open_growth(2.0);
    let mut clocked = Clocked::new(growing.clone().open_for(seconds(10)));
    clocked.call(Failure);
    assert_eq!(clocked.wait(), 10 * SECOND);
    clocked.circuit.set(Arc::new(growing.open_for(seconds(1))));
    assert_eq!(clocked.wait(), 10 * SECOND);
    clocked.at(10 * SECOND).call(Failure);
    assert_eq!(clocked.wait(), 2 * SECOND);
}

#[test]
fn a_window_of_another_length_keeps_the_last_calls() {
    let of = |calls| Arc::new(Settings::failure_rate(1.0).window(calls).minimum_calls(4));
    let mut clocked = Clocked::new(of(5).as_ref().clone());
    clocked.calls(4, Success).calls(3, Failure);
    let told = |clocked: &mut Clocked| clocked.circuit.seen(0).window;
    assert_eq!(
        (told(&mut clocked).calls, told(&mut clocked).failed),
        (5, 3)
    );
    clocked.circuit.set(of(10));
    assert_eq!(
        (told(&mut clocked).calls, told(&mut clocked).failed),
        (5, 3)
    );
    clocked.circuit.set(of(4));
    assert_eq!(
        (told(&mut clocked).calls, told(&mut clocked).failed),
        (4, 3)
    );
    assert_eq!(clocked.call(Failure).state(), State::Open);
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let cases = [
        (
            Settings::consecutive_failures(0),
            "consecutive_failures is 0; give a number from 1",
        ),
        (
            Settings::failure_rate(f64::NAN),
            "failure_rate is NaN; give a share above 0",
        ),
        (Settings::failure_rate(1.5), "failure_rate is 1.5;"),
        (
            Settings::slow_call_rate(0.5, Duration::ZERO),
            "slow_call is 0ns; give a time above zero",
        ),
        (Settings::failure_rate(0.5).window(0), "window is 0;"),
        (
            Settings::failure_rate(0.5).minimum_calls(0),
            "minimum_calls is 0;",
        ),
        (
            Settings::failure_rate(0.5).open_growth(0.9),
            "open_growth is no such factor;",
        ),
        (
            Settings::failure_rate(0.5).open_growth(1.000_000_1),
            "open_growth is no such factor;",
        ),
        (
            Settings::failure_rate(0.5).jitter(-0.1),
            "jitter is no such share;",
        ),
        (Settings::failure_rate(0.5).probes(0), "probes is 0;"),
        (
            Settings::failure_rate(0.5).close_after(0),
            "close_after is 0;",
        ),
    ];
    for (settings, expected) in cases {
        let error = settings.check().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
