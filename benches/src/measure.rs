//! Running the cases of a group in turn.

use std::time::Duration;

use crate::case::{Group, Run};

/// Nanoseconds an operation, per round.
pub type Samples = Vec<f64>;

/// Measures the cases in turn, in many short rounds; gives the samples of every case.
///
/// Round `n` of all cases is taken within the same few milliseconds, so that differences and ratios are
/// formed round by round.
pub fn measure(group: &mut Group, quick: bool) -> Vec<Samples> {
    let (round, rounds) = match quick {
        true => (group.round / 5, group.rounds.min(3)),
        false => (group.round, group.rounds),
    };
    let cases = &mut group.cases;
    let counts: Vec<u64> = cases
        .iter_mut()
        .map(|case| calibrate(&mut case.run, round))
        .collect();
    let mut samples = vec![Samples::with_capacity(rounds); cases.len()];
    for round in 0..rounds {
        // Every case starts a round now and then, so that none always follows the same other.
        for index in (0..cases.len()).map(|place| (place + round) % counts.len()) {
            let count = counts[index];
            let taken = (cases[index].run)(count);
            samples[index].push(nanoseconds(taken) / count as f64);
        }
    }
    samples
}

/// So often is a case run before anything is timed: what is made on first use is made by then.
pub const WARM_UP: u64 = 4_096;

/// How often an operation fits into a round.
fn calibrate(run: &mut Run, round: Duration) -> u64 {
    run(WARM_UP);
    let mut count = 64;
    loop {
        let taken = run(count);
        if taken >= round / 4 || count > 1 << 40 {
            let fitting = count as f64 * nanoseconds(round) / nanoseconds(taken).max(1.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a positive number far below the bounds of u64"
            )]
            return (fitting as u64).max(1);
        }
        count *= 2;
    }
}

fn nanoseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}
