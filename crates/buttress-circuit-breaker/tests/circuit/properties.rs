//! The circuit does what the obvious model does, whatever comes.

use std::time::Duration;

use buttress_circuit_breaker::Settings;
use buttress_circuit_breaker::algorithm::Kind;
use proptest::prelude::*;

use crate::model::{Model, Rules, Window};
use crate::support::{Clocked, MS};

fn rules() -> impl Strategy<Value = Rules> {
    let window = prop_oneof![
        (1_usize..12).prop_map(Window::Calls),
        (1_u64..30).prop_map(|slice| Window::Slices(slice * MS)),
    ];
    let trips = (
        prop::option::of(1_usize..5),
        prop::option::of(1_usize..=10),
        prop::option::of(1_usize..=10),
        prop::option::of(0_u64..40),
    );
    let open = (1_u64..40, 1_u64..4, 1_u64..300);
    (trips, window, 1_usize..8, open, 1_usize..4, 1_usize..4).prop_map(
        |(
            (in_a_row, failure_rate, slow_call_rate, slow_call),
            window,
            minimum_calls,
            open,
            probes,
            close_after,
        )| {
            let (open_for, growth, open_max) = open;
            let slow_call = slow_call.or(slow_call_rate.map(|_| 10));
            let none = failure_rate.is_none() && slow_call_rate.is_none();
            Rules {
                in_a_row: in_a_row.or(none.then_some(3)),
                failure_rate,
                slow_call_rate,
                slow_call: slow_call.map(|time| (time + 1) * MS),
                window,
                minimum_calls,
                open_for: open_for * MS,
                growth,
                open_max: open_max.max(open_for) * MS,
                probes,
                close_after,
            }
        },
    )
}

fn settings(rules: &Rules) -> Settings {
    let count = |count: usize| u32::try_from(count).unwrap();
    let rate = |tenths: usize| {
        format!("{}", f64::from(count(tenths)) / 10.0)
            .parse()
            .unwrap()
    };
    let nanos = Duration::from_nanos;
    let mut settings = Settings::consecutive_failures(count(rules.in_a_row.unwrap_or(1_000_000)));
    if let Some(tenths) = rules.failure_rate {
        settings = settings.or_failure_rate(rate(tenths));
    }
    if let (Some(tenths), Some(slow_call)) = (rules.slow_call_rate, rules.slow_call) {
        settings = settings.or_slow_call_rate(rate(tenths), nanos(slow_call));
    }
    if let Some(slow_call) = rules.slow_call {
        settings = settings.slow_call(nanos(slow_call));
    }
    settings = match rules.window {
        Window::Calls(calls) => settings.window(count(calls)),
        Window::Slices(slice) => settings.window(nanos(slice * 10)),
    };
    settings
        .minimum_calls(count(rules.minimum_calls))
        .open_for(nanos(rules.open_for))
        .open_growth(f64::from(u32::try_from(rules.growth).unwrap()))
        .open_max(nanos(rules.open_max))
        .probes(count(rules.probes))
        .close_after(count(rules.close_after))
}

#[derive(Clone, Debug)]
enum Step {
    Begin,
    /// One of the calls in flight ends.
    End(prop::sample::Index, Kind, u64),
    Leave(prop::sample::Index),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        4 => Just(Kind::Failure),
        4 => Just(Kind::Success),
        1 => Just(Kind::Throttled),
    ];
    prop_oneof![
        6 => Just(Step::Begin),
        6 => (any::<prop::sample::Index>(), kind, 0_u64..45)
            .prop_map(|(which, kind, waited)| Step::End(which, kind, waited * MS)),
        1 => any::<prop::sample::Index>().prop_map(Step::Leave),
        3 => (0_u64..40).prop_map(|time| Step::Wait(time * MS)),
        1 => Just(Step::Wait(1)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_circuit_does_what_the_obvious_model_does(
        rules in rules(),
        steps in prop::collection::vec(step(), 0..250),
    ) {
        let mut clocked = Clocked::new(settings(&rules));
        let mut model = Model::new(rules);
        let mut flying: Vec<(usize, u32)> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Begin => {
                    let answer = clocked.admit();
                    let expected = model.admit(number, clocked.now);
                    let refused = answer.err().map(|refused| refused.wait);
                    prop_assert_eq!(refused, expected.map(|wait| wait.map(u128::from)));
                    flying.extend(answer.ok().map(|generation| (number, generation)));
                }
                Step::End(which, kind, waited) if !flying.is_empty() => {
                    let (call, generation) = flying.remove(which.index(flying.len()));
                    clocked.end(generation, kind, waited);
                    model.end(call, kind, waited, clocked.now);
                }
                Step::Leave(which) if !flying.is_empty() => {
                    let (call, generation) = flying.remove(which.index(flying.len()));
                    clocked.circuit.give_back(generation);
                    model.leave(call);
                }
                Step::Wait(time) => clocked.now += time,
                Step::End(..) | Step::Leave(_) => {}
            }
            prop_assert_eq!(clocked.state(), model.state());
        }
    }
}
