//! A limiter that is restarted again and again decides as one that never was.

use std::time::Duration;

use buttress_rate_limit::{RateLimiter, Snapshot};
use proptest::prelude::*;

use crate::{builder, quotas};

#[derive(Clone, Debug)]
enum Step {
    Spend { key: u8, cost: u64 },
    Refund { key: u8, cost: u64 },
    Pass { seconds: u64, nanos: u64 },
    Restart { down: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let nanos = 0..1_000_000_000_u64;
    prop_oneof![
        6 => (0..5_u8, 0..9_u64).prop_map(|(key, cost)| Step::Spend { key, cost }),
        1 => (0..5_u8, 0..9_u64).prop_map(|(key, cost)| Step::Refund { key, cost }),
        3 => (0..60_000_u64, nanos).prop_map(|(seconds, nanos)| Step::Pass { seconds, nanos }),
        2 => (0..60_000_u64).prop_map(|down| Step::Restart { down }),
    ]
}

fn limiter(seconds: i64, saved: Option<&Snapshot>) -> RateLimiter {
    builder(
        &[
            "23/day",
            "17/day rolling",
            "7/week burst 40",
            "31/day calendar Europe/Berlin",
        ],
        seconds,
    )
    .global(quotas(&["90/day rolling", "200/month calendar UTC"]))
    .override_for(4_u8, quotas(&["11/30h", "12/week calendar UTC"]))
    .seed(3)
    .restore(saved)
    .build()
    .unwrap()
}

async fn pass(duration: Duration, passed: &mut Duration) {
    tokio::time::advance(duration).await;
    *passed += duration;
}

async fn walk(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let lasting = limiter(0, None);
    let mut restarted = limiter(0, None);
    let mut passed = Duration::ZERO;
    for step in steps {
        match step {
            Step::Spend { key, cost } => {
                let answers = [&lasting, &restarted].map(|limiter| {
                    let answer = limiter.check(key, cost);
                    answer.map_err(|rejection| rejection.retry_after())
                });
                prop_assert_eq!(&answers[0], &answers[1]);
            }
            Step::Refund { key, cost } => {
                lasting.refund(key, cost);
                restarted.refund(key, cost);
            }
            Step::Pass { seconds, nanos } => {
                let length = Duration::from_secs(seconds) + Duration::from_nanos(nanos);
                pass(length, &mut passed).await;
            }
            Step::Restart { down } => {
                let bytes = restarted.snapshot().unwrap().to_bytes();
                // What is whole seconds of the wall is whole seconds of the clock too.
                let rest = 1_000_000_000 - u64::from(passed.subsec_nanos());
                let down = Duration::from_secs(down) + Duration::from_nanos(rest);
                pass(down, &mut passed).await;
                let snapshot = Snapshot::from_bytes(&bytes).unwrap();
                let seconds = i64::try_from(passed.as_secs()).unwrap();
                restarted = limiter(seconds, Some(&snapshot));
                prop_assert_eq!(restarted.restored().unwrap().elapsed, down);
            }
        }
        for key in 0..5_u8 {
            prop_assert_eq!(lasting.peek(key), restarted.peek(key));
        }
    }
    let (one, other) = (lasting.snapshot().unwrap(), restarted.snapshot().unwrap());
    prop_assert_eq!(one.len(), other.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn restarts_change_no_decision(steps in proptest::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(walk(steps))?;
    }
}
