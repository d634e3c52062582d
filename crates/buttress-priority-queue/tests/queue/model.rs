//! The queue against an obvious slow model: everybody who waits is looked at, in order, whenever anything
//! happens.

mod people;

use std::time::Duration;

use buttress_core::test_util::advance;
use buttress_core::{KeyHash, Reason};
use buttress_priority_queue::{PriorityQueue, QueueDemand, Settings};
use proptest::prelude::*;

use self::people::{Fate, People, Person};
use crate::buckets::{Buckets, Cost};
use crate::support::{Caller, call};

const TOP: u8 = 3;
const AGEING: u64 = 3_000;
const MAX_WAIT: u64 = 7_000;
/// Of time, in milliseconds: nothing falls due in between.
const STEP: u64 = 500;

#[derive(Clone, Debug)]
enum Action {
    Arrive {
        level: u8,
        tenant: u64,
        cost: Cost,
        deadline: Option<u64>,
    },
    /// Ends one in flight, by its number among them.
    End(usize),
    /// Goes away while it waits.
    Leave(usize),
    Pass(u64),
    Reset(char),
    Shut(char, bool),
}

/// What stands behind the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    None,
    /// A bucket for each key, and costs that it can never hold.
    Keyed,
    /// One for all keys too.
    Global,
}

#[derive(Clone, Copy, Debug)]
struct Rules {
    limit: usize,
    capacity: usize,
    ageing: bool,
    max_wait: bool,
    fair: bool,
    gate: Gate,
}

impl Rules {
    fn is_gated(self) -> bool {
        self.gate != Gate::None
    }

    fn buckets(self) -> Buckets {
        let second = Duration::from_secs(1);
        match self.gate {
            Gate::None | Gate::Keyed => Buckets::new(second, 4),
            Gate::Global => Buckets::new(3 * second, 2).global(second, 3),
        }
    }

    fn settings(self) -> Settings {
        Settings {
            capacity: self.capacity,
            ageing: self.ageing.then(|| Duration::from_millis(AGEING)),
            max_wait: self.max_wait.then(|| Duration::from_millis(MAX_WAIT)),
            fair: self.fair,
            ..Settings::new(u32::try_from(self.limit).unwrap())
        }
    }
}

/// The model, and the real queue.
struct Both {
    model: People,
    queue: PriorityQueue<Buckets>,
    callers: Vec<Option<Caller<Buckets>>>,
    now: u64,
}

impl Both {
    fn new(rules: Rules) -> Self {
        Self {
            model: People::new(rules, rules.buckets()),
            queue: PriorityQueue::after(rules.settings(), rules.buckets()).unwrap(),
            callers: Vec::new(),
            now: 0,
        }
    }

    async fn run(&mut self, rules: Rules, action: &Action) {
        match *action {
            Action::Arrive { .. } => self.arrive(rules, action),
            Action::End(which) => self.drop_one(Fate::Runs, which),
            Action::Leave(which) => self.drop_one(Fate::Waits, which),
            Action::Pass(steps) => {
                for _ in 0..steps {
                    self.now += STEP;
                    advance(Duration::from_millis(STEP)).await;
                    self.model.pass(self.now);
                    self.look();
                }
            }
            Action::Reset(key) => {
                self.model.buckets.reset(key);
                self.queue.gates().reset(key);
                self.model.dispatch();
            }
            Action::Shut(key, shut) => {
                self.model.buckets.shut(key, shut);
                self.queue.gates().shut(key, shut);
                self.model.dispatch();
            }
        }
        self.look();
    }

    fn arrive(&mut self, rules: Rules, action: &Action) {
        let Action::Arrive {
            level,
            tenant,
            cost,
            deadline,
        } = *action
        else {
            return;
        };
        let person = Person {
            own: level,
            level,
            tenant,
            cost,
            at: self.now,
            deadline: deadline.map(|after| self.now + after),
            fate: Fate::Over,
        };
        self.model.arrive(person, self.now);
        let mut demand = QueueDemand::with_gates(level, rules.is_gated().then_some(cost));
        demand = demand.tenant(KeyHash::from_number(tenant), u64::from(cost.units));
        if let Some(after) = deadline {
            demand = demand.deadline(buttress_core::time::now() + Duration::from_millis(after));
        }
        self.callers.push(Some(call(&self.queue, demand)));
    }

    fn drop_one(&mut self, fate: Fate, which: usize) {
        let those = self.model.with(fate);
        if let Some(number) = those.get(which % those.len().max(1)) {
            match fate {
                Fate::Runs => self.model.all[*number].fate = Fate::Over,
                _ => self.model.leave(*number, Fate::Over),
            }
            self.model.dispatch();
            self.callers[*number] = None;
        }
    }

    /// Lets everybody look who was woken, as an executor does.
    fn look(&mut self) {
        while self.callers.iter().flatten().any(|one| one.woken() > 0) {
            for caller in self.callers.iter_mut().flatten() {
                caller.look_if_woken();
            }
        }
    }

    fn fates(&self) -> Vec<Fate> {
        let fate = |caller: &Option<Caller<Buckets>>| match caller {
            None => Fate::Over,
            Some(caller) if caller.waits() => Fate::Waits,
            Some(caller) if caller.is_admitted() => Fate::Runs,
            Some(caller) => match caller.rejection().reason() {
                Reason::QueueFull => Fate::Full,
                Reason::QueueTimeout => Fate::TimedOut,
                Reason::Deadline => Fate::TooLate,
                Reason::RateLimit => Fate::Never,
                Reason::CircuitOpen => Fate::Shut,
                reason => panic!("nobody is refused for {reason:?}"),
            },
        };
        self.callers.iter().map(fate).collect()
    }
}

fn compare(rules: Rules, actions: Vec<Action>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async move {
        let mut both = Both::new(rules);
        for action in actions {
            both.run(rules, &action).await;
            let fates: Vec<_> = both.model.all.iter().map(|person| person.fate).collect();
            assert_eq!(both.fates(), fates, "at {}, after {action:?}", both.now);
            let status = both.queue.status();
            assert_eq!(status.waiting(), both.model.with(Fate::Waits).len());
            let running = usize::try_from(status.in_flight).unwrap();
            assert_eq!(running, both.model.with(Fate::Runs).len());
            assert!(running <= rules.limit && status.waiting() <= rules.capacity);
        }
        drop(both.callers);
        let status = both.queue.status();
        let left = (status.in_flight, status.waiting());
        assert_eq!(left, (0, 0), "nothing is lost");
    });
}

fn action(gate: Gate) -> impl Strategy<Value = Action> {
    // Whom one bucket of two refused is asked again when that one has room. By then the other may be short
    // too; that shows only where others need less of it, or are refused for another reason.
    let units = match gate {
        Gate::None => 0..5_u32,
        Gate::Keyed => 1..7,
        Gate::Global => 1..2,
    };
    let key = prop::sample::select(vec!['a', 'b', 'c']);
    let cost = (key.clone(), units).prop_map(|(key, units)| Cost { key, units });
    let deadline = prop::option::weighted(0.3, (0..20_u64).prop_map(|steps| steps * STEP));
    let arrive = (0..=TOP, 0..3_u64, cost, deadline);
    let (gated, keyed) = (
        u32::from(gate != Gate::None),
        u32::from(gate == Gate::Keyed),
    );
    prop_oneof![
        10 => arrive.prop_map(|(level, tenant, cost, deadline)| Action::Arrive {
            level,
            tenant,
            cost,
            deadline,
        }),
        6 => (0..8_usize).prop_map(Action::End),
        2 => (0..8_usize).prop_map(Action::Leave),
        4 => (1..4_u64).prop_map(Action::Pass),
        gated => key.clone().prop_map(Action::Reset),
        keyed => (key, any::<bool>()).prop_map(|(key, shut)| Action::Shut(key, shut)),
    ]
}

fn rules(gate: Gate) -> impl Strategy<Value = Rules> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let rules = (1..4_usize, 0..8_usize, flags);
    rules.prop_map(move |(limit, capacity, (ageing, max_wait, fair))| Rules {
        limit,
        capacity,
        ageing,
        max_wait,
        fair,
        gate,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn order_turns_ages_deadlines_and_push_outs_are_the_models(
        rules in rules(Gate::None),
        actions in prop::collection::vec(action(Gate::None), 1..80),
    ) {
        compare(rules, actions);
    }

    #[test]
    fn who_is_held_back_by_a_quota_of_its_own_is_the_models(
        rules in rules(Gate::Keyed),
        actions in prop::collection::vec(action(Gate::Keyed), 1..80),
    ) {
        compare(rules, actions);
    }

    #[test]
    fn who_is_held_back_by_a_quota_for_all_is_the_models(
        rules in rules(Gate::Global),
        actions in prop::collection::vec(action(Gate::Global), 1..80),
    ) {
        compare(rules, actions);
    }
}
