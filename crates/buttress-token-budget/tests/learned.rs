//! What is learned: more of the quota is used than by reserving the maximum, and hardly anything overspent.

use buttress_core::{End, Now, Outcome};
use buttress_token_budget::{Amounts, Dimension, Learned, TokenBudget};

/// Calls of up to 1,000 tokens that mostly use far fewer, one after the other; how many were admitted of a
/// quota of 100,000 before anything came back, and the debt at the end.
fn run(learned: Option<Learned>) -> (u64, u64) {
    let mut builder = TokenBudget::builder()
        .limit(
            Dimension::TOTAL,
            "100k/hour rolling".parse().expect("it is a quota"),
        )
        .seed(7)
        .keys(16);
    if let Some(learned) = learned {
        builder = builder.learned(learned);
    }
    let budget = builder.build().expect("one quota can be enforced");
    let (mut admitted, mut state) = (0, 1_u64);
    let mut running = std::collections::VecDeque::new();
    loop {
        let Ok(permit) = budget.reserve("a", Amounts::total(1_000)) else {
            break;
        };
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let used = 50 + (state >> 33) % 250;
        running.push_back((permit, used));
        admitted += 1;
        // Ninety at once, as many as the quota holds at their maximum less some.
        if running.len() == 90 {
            let (permit, used) = running.pop_front().expect("ninety run");
            let usage = Amounts::total(used).usage();
            permit.end(End::Settled(Outcome::Success, Some(usage)), &Now::new());
        }
    }
    let debt = budget.balances("a")[0].debt;
    (admitted, debt)
}

#[tokio::test(start_paused = true)]
async fn learned_estimates_beat_the_maximum_without_overspending() {
    let (maximum, _) = run(None);
    let (learned, debt) = run(Some(Learned::quantile(0.95).unwrap()));
    assert!(learned > 3 * maximum, "{learned} and {maximum}");
    assert_eq!(debt, 0);
}

#[test]
fn a_quantile_is_between_none_and_all() {
    for wrong in [0.0, 1.0, -0.5, f64::NAN] {
        assert!(Learned::quantile(wrong).is_err());
    }
    let error = Learned::quantile(1.5).unwrap_err().to_string();
    assert_eq!(
        error,
        "quantile 1.5 is out of range; write a number above 0 and below 1, such as 0.9"
    );
}
