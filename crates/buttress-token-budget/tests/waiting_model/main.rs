//! Waiting beside the plainest model of it, with a look at everybody every millisecond.

mod model;
mod real;

use std::time::Duration;

use buttress_token_budget::Quota;
use proptest::prelude::*;

use crate::real::Run;

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Arrive(Request),
    Leave(usize),
    Settle { which: usize, used: u64 },
    SetLimit(u64),
}

#[derive(Clone, Copy, Debug)]
struct Request {
    key: usize,
    cost: u64,
    max: u64,
    deadline: Option<u64>,
}

const KEYS: usize = 3;
const KEYED: (u64, u64) = (10, 20);
const GLOBAL: (u64, u64) = (14, 15);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let deadline = prop_oneof![3 => Just(None), 1 => (0..40_u64).prop_map(Some)];
    let request = (0..KEYS, 0..12_u64, 0..60_u64, deadline);
    let request = request.prop_map(|(key, cost, max, deadline)| Request {
        key,
        cost,
        max,
        deadline,
    });
    let step = prop_oneof![
        4 => (1..9_u64).prop_map(Step::Pass),
        6 => request.prop_map(Step::Arrive),
        1 => (0..9_usize).prop_map(Step::Leave),
        3 => (0..9_usize, 0..16_u64).prop_map(|(which, used)| Step::Settle { which, used }),
        1 => (5..14_u64).prop_map(Step::SetLimit),
    ];
    prop::collection::vec(step, 1..50)
}

fn rolling((units, period): (u64, u64)) -> Quota {
    Quota::rolling(units, Duration::from_millis(period))
}

fn runs_as_its_model(global: bool, steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O can be made");
    runtime.block_on(async {
        let mut run = Run::new(global);
        for step in steps {
            run.step(step).await;
        }
        run.step(Step::Pass(80)).await;
        assert!(run.callers.is_empty(), "nobody waits for ever");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn keys_wait_for_themselves(steps in steps()) {
        runs_as_its_model(false, steps);
    }

    #[test]
    fn keys_wait_for_themselves_and_for_each_other(steps in steps()) {
        runs_as_its_model(true, steps);
    }
}
