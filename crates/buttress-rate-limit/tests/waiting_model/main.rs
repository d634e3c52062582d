//! Those who wait go in the order and at the instants at which an obvious model lets them go, and whoever
//! is refused is told the instant that the model foresees.

#![cfg(not(buttress_loom))]

mod model;
mod real;
mod scenario;

use proptest::prelude::*;
use scenario::{Kind, Limit, Request, Scenario, scenario};

fn compare(scenario: &Scenario) -> Result<(), TestCaseError> {
    prop_assert_eq!(real::run(scenario), model::run(scenario));
    Ok(())
}

/// Two whose patience ends at the instant of their turn, behind one that waits for its key.
#[test]
fn a_turn_at_the_last_instant_counts_for_everybody() {
    let request = |at, key, cost, kind| Request {
        at,
        key,
        cost,
        kind,
        deadline: None,
        cancel: None,
    };
    for shuffle in [0, 1, 1 << 40, 1_057_782_883_708_592_965] {
        let scenario = Scenario {
            keyed: vec![Limit::Rolling {
                units: 2,
                period: 44,
            }],
            global: vec![Limit::Rolling {
                units: 2,
                period: 30,
            }],
            requests: vec![
                request(0, 0, 2, Kind::Check),
                request(0, 0, 2, Kind::Wait { max: 44 }),
                request(15, 0, 0, Kind::Check),
                request(17, 0, 0, Kind::Check),
                request(17, 1, 1, Kind::Wait { max: 13 }),
                request(17, 1, 1, Kind::Wait { max: 13 }),
            ],
            shuffle,
        };
        compare(&scenario).expect("the model foresees it");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        // A case that failed is written down as a test of its own, where it can be read.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn with_one_quota_for_each_key(scenario in scenario(1, 0)) {
        compare(&scenario)?;
    }

    #[test]
    fn with_several_quotas_for_each_key(scenario in scenario(2..4_usize, 0)) {
        compare(&scenario)?;
    }

    #[test]
    fn with_quotas_for_all_keys(scenario in scenario(0, 1..3_usize)) {
        compare(&scenario)?;
    }

    #[test]
    fn with_quotas_for_each_key_and_for_all(scenario in scenario(1..3_usize, 1..3_usize)) {
        compare(&scenario)?;
    }
}
