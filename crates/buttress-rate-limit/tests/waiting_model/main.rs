//! Those who wait go in the order and at the instants at which an obvious model lets them go, and whoever
//! is refused is told the instant that the model foresees.

#![cfg(not(buttress_loom))]

mod model;
mod real;
mod scenario;

use proptest::prelude::*;
use scenario::{Scenario, scenario};

fn compare(scenario: &Scenario) -> Result<(), TestCaseError> {
    prop_assert_eq!(real::run(scenario), model::run(scenario));
    Ok(())
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
