//! The queue against an obvious slow model: everybody who waits is looked at, in order, whenever anything
//! happens.

#![cfg(not(buttress_loom))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod real;

use std::time::Duration;

use buttress_core::KeyHash;
use buttress_core::test_util::advance;
use buttress_priority_queue::{PriorityQueue, QueueDemand, Settings};
use buttress_rate_limit::{Quota, RateDemand, RateLimiter};
use proptest::prelude::*;

use crate::real::Real;

const TOP: u8 = 3;
const AGEING: u64 = 3_000;
const MAX_WAIT: u64 = 7_000;

#[derive(Clone, Debug)]
enum Action {
    Arrive {
        level: u8,
        tenant: u64,
        key: u8,
        cost: u64,
        deadline: Option<u64>,
    },
    /// Ends one in flight, by its number among them.
    End(usize),
    /// Goes away while it waits.
    Leave(usize),
    Pass(u64),
}

#[derive(Clone, Copy, Debug)]
struct Rules {
    limit: usize,
    capacity: usize,
    ageing: bool,
    max_wait: bool,
    fair: bool,
    gated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Waits,
    Runs,
    Full,
    TimedOut,
    TooLate,
    Never,
    Over,
}

// === the slow model ===

#[derive(Clone, Debug)]
struct Person {
    number: usize,
    level: u8,
    tenant: u64,
    key: u8,
    cost: u64,
    at: u64,
    deadline: Option<u64>,
    fate: Fate,
}

struct Model {
    rules: Rules,
    limiter: RateLimiter,
    people: Vec<Person>,
    /// Tenants of each level in the order of turns, with what they have saved, and whether they are at a
    /// turn.
    rings: Vec<Vec<(u64, u64, bool)>>,
}

impl Model {
    fn level(&self, person: &Person, now: u64) -> u8 {
        let steps = match self.rules.ageing {
            true => (now - person.at) / AGEING,
            false => 0,
        };
        TOP.min(
            person
                .level
                .saturating_add(u8::try_from(steps).unwrap_or(TOP)),
        )
    }

    fn waiting(&self) -> Vec<usize> {
        let waits = |person: &&Person| person.fate == Fate::Waits;
        self.people
            .iter()
            .filter(waits)
            .map(|person| person.number)
            .collect()
    }

    fn running(&self) -> usize {
        self.people
            .iter()
            .filter(|person| person.fate == Fate::Runs)
            .count()
    }

    /// The order of those who wait, where no turns are taken.
    fn order(&self, now: u64) -> Vec<usize> {
        let mut order = self.waiting();
        order.sort_by_key(|number| {
            let person = &self.people[*number];
            (TOP - self.level(person, now), person.number)
        });
        order
    }

    fn arrive(&mut self, mut person: Person, now: u64) {
        let number = person.number;
        let level = person.level;
        if person.deadline.is_some_and(|deadline| deadline <= now) {
            person.fate = Fate::TooLate;
            return self.people.push(person);
        }
        self.expire(now, false);
        let others = self.waiting();
        let busy = self.running() >= self.rules.limit;
        let first = others
            .iter()
            .all(|other| self.level(&self.people[*other], now) < level);
        if busy && first && self.rules.gated && person.cost > 4 {
            person.fate = Fate::Never;
            return self.people.push(person);
        }
        self.people.push(person);
        if !busy {
            self.dispatch(now);
        }
        if self.people[number].fate == Fate::Waits && self.waiting().len() > self.rules.capacity {
            let others = self.waiting().into_iter().filter(|other| *other != number);
            let victim = others
                .min_by_key(|other| (self.level(&self.people[*other], now), usize::MAX - other));
            match victim.filter(|victim| self.level(&self.people[*victim], now) < level) {
                Some(victim) => self.people[victim].fate = Fate::Full,
                None => self.people[number].fate = Fate::Full,
            }
        }
    }

    fn expire(&mut self, now: u64, also_now: bool) {
        for person in &mut self.people {
            if person.fate != Fate::Waits {
                continue;
            }
            let patience = match self.rules.max_wait {
                true => person.at + MAX_WAIT,
                false => u64::MAX,
            };
            let deadline = person.deadline.unwrap_or(u64::MAX);
            if deadline <= now || patience < now || also_now && patience == now {
                person.fate = match patience <= deadline {
                    true => Fate::TimedOut,
                    false => Fate::TooLate,
                };
            }
        }
    }

    fn dispatch(&mut self, now: u64) {
        if self.rules.fair {
            return self.dispatch_fairly(now);
        }
        'again: loop {
            let mut blocked: Vec<u8> = Vec::new();
            for number in self.order(now) {
                if self.running() >= self.rules.limit {
                    return;
                }
                let Person { key, cost, .. } = self.people[number];
                if self.rules.gated {
                    if blocked.contains(&key) {
                        continue;
                    }
                    if cost > 4 {
                        self.people[number].fate = Fate::Never;
                        continue 'again;
                    }
                    if self.limiter.check(key, cost).is_err() {
                        blocked.push(key);
                        continue;
                    }
                }
                self.people[number].fate = Fate::Runs;
                continue 'again;
            }
            return;
        }
    }

    /// Turn by turn, one visit at a time, without gates and without ageing.
    fn dispatch_fairly(&mut self, now: u64) {
        while self.running() < self.rules.limit {
            let Some(level) = self.waiting().iter().map(|n| self.people[*n].level).max() else {
                return;
            };
            let waits = |person: &Person, tenant| {
                person.fate == Fate::Waits && person.level == level && person.tenant == tenant
            };
            let people = &self.people;
            let ring = &mut self.rings[usize::from(level)];
            ring.retain(|(tenant, ..)| people.iter().any(|person| waits(person, *tenant)));
            for person in people
                .iter()
                .filter(|p| p.fate == Fate::Waits && p.level == level)
            {
                if !ring.iter().any(|(tenant, ..)| *tenant == person.tenant) {
                    ring.push((person.tenant, 0, false));
                }
            }
            let (tenant, saved, at_turn) = &mut ring[0];
            if !*at_turn {
                *at_turn = true;
                *saved += 1;
            }
            let next = people.iter().find(|person| waits(person, *tenant)).unwrap();
            let (number, cost) = (next.number, next.cost.max(1));
            let served = *saved >= cost;
            if served {
                *saved -= cost;
                let tenant = *tenant;
                self.people[number].fate = Fate::Runs;
                let next = self.people.iter().find(|person| waits(person, tenant));
                if next.is_some_and(|next| ring[0].1 >= next.cost.max(1)) {
                    continue;
                }
                if next.is_none() {
                    ring.remove(0);
                    continue;
                }
            }
            ring[0].2 = false;
            ring.rotate_left(1);
        }
        let _ = now;
    }

    /// Whoever began to wait since stands in its ring.
    fn note_tenants(&mut self) {
        for person in self
            .people
            .iter()
            .filter(|person| person.fate == Fate::Waits)
        {
            let ring = &mut self.rings[usize::from(person.level)];
            if !ring.iter().any(|(tenant, ..)| *tenant == person.tenant) {
                ring.push((person.tenant, 0, false));
            }
        }
        let people = &self.people;
        for (level, ring) in (0_u8..).zip(&mut self.rings) {
            ring.retain(|(tenant, ..)| {
                people
                    .iter()
                    .any(|p| p.fate == Fate::Waits && p.level == level && p.tenant == *tenant)
            });
        }
    }
}

fn limiter() -> RateLimiter {
    let builder = RateLimiter::builder().quota(Quota::per_second(1).burst(4));
    builder.seed(1).build().unwrap()
}

fn compare(rules: Rules, actions: Vec<Action>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async move {
        let mut model = Model {
            rules,
            limiter: limiter(),
            people: Vec::new(),
            rings: vec![Vec::new(); usize::from(TOP) + 1],
        };
        let settings = Settings {
            capacity: rules.capacity,
            ageing: rules.ageing.then(|| Duration::from_millis(AGEING)),
            max_wait: rules.max_wait.then(|| Duration::from_millis(MAX_WAIT)),
            fair: rules.fair,
            ..Settings::new(u32::try_from(rules.limit).unwrap())
        };
        let mut real = Real {
            queue: PriorityQueue::after(settings, limiter()).unwrap(),
            waits: Vec::new(),
            places: Vec::new(),
            fates: Vec::new(),
            woken: Vec::new(),
        };
        let mut now = 0;
        for action in actions {
            run(&mut model, &mut real, &mut now, &action).await;
            model.note_tenants();
            let fates: Vec<_> = model.people.iter().map(|person| person.fate).collect();
            assert_eq!(real.fates, fates, "at {now}, after {action:?}");
            let status = real.queue.status();
            assert_eq!(status.waiting(), model.waiting().len());
            assert_eq!(usize::try_from(status.in_flight).unwrap(), model.running());
            assert!(model.running() <= rules.limit);
        }
        drop((real.waits, real.places));
        let status = real.queue.status();
        assert_eq!(
            (status.in_flight, status.waiting()),
            (0, 0),
            "nothing is lost"
        );
    });
}

async fn run(model: &mut Model, real: &mut Real, now: &mut u64, action: &Action) {
    match *action {
        Action::Arrive {
            level,
            tenant,
            key,
            cost,
            deadline,
        } => {
            let person = Person {
                number: model.people.len(),
                level,
                tenant,
                key,
                cost,
                at: *now,
                deadline: deadline.map(|after| *now + after),
                fate: Fate::Waits,
            };
            model.note_tenants();
            model.arrive(person, *now);
            let gates = RateDemand::new(real.queue.gates().hash(key), cost);
            let gates = model.rules.gated.then_some(gates);
            let mut demand = QueueDemand::with_gates(level, gates);
            demand = demand.tenant(KeyHash::from_number(tenant), cost);
            if let Some(after) = deadline {
                demand = demand.deadline(buttress_core::time::now() + Duration::from_millis(after));
            }
            real.arrive(demand);
            real.look();
        }
        Action::End(which) => {
            let running: Vec<_> = (0..model.people.len())
                .filter(|number| model.people[*number].fate == Fate::Runs)
                .collect();
            if let Some(number) = running.get(which % running.len().max(1)) {
                model.people[*number].fate = Fate::Over;
                model.expire(*now, false);
                model.dispatch(*now);
                real.fates[*number] = Fate::Over;
                real.places[*number] = None;
                real.look();
            }
        }
        Action::Leave(which) => {
            let waiting = model.waiting();
            if let Some(number) = waiting.get(which % waiting.len().max(1)) {
                model.people[*number].fate = Fate::Over;
                model.note_tenants();
                model.expire(*now, false);
                model.dispatch(*now);
                real.fates[*number] = Fate::Over;
                real.waits[*number] = None;
                real.look();
            }
        }
        Action::Pass(steps) => {
            // Instant by instant, as nothing may fall due in between unnoticed.
            for _ in 0..steps {
                *now += 500;
                advance(Duration::from_millis(500)).await;
                model.expire(*now, false);
                model.dispatch(*now);
                model.expire(*now, true);
                real.look();
            }
        }
    }
}

fn action(gated: bool, deadlines: bool) -> impl Strategy<Value = Action> {
    let most: u64 = if gated { 6 } else { 5 };
    let deadline = match deadlines {
        true => prop::option::weighted(0.3, (0..20_u64).prop_map(|steps| steps * 500)).boxed(),
        false => Just(None).boxed(),
    };
    let arrive = (0..=TOP, 0..3_u64, 0..3_u8, 0..most, deadline);
    prop_oneof![
        5 => arrive.prop_map(move |(level, tenant, key, cost, deadline)| Action::Arrive {
            level,
            tenant,
            key,
            cost: cost + u64::from(gated),
            deadline,
        }),
        3 => (0..8_usize).prop_map(Action::End),
        1 => (0..8_usize).prop_map(Action::Leave),
        2 => (1..4_u64).prop_map(Action::Pass),
    ]
}

fn rules(fair: bool, gated: bool) -> impl Strategy<Value = Rules> {
    let flags = (any::<bool>(), any::<bool>());
    (1..4_usize, 0..6_usize, flags).prop_map(move |(limit, capacity, (ageing, max_wait))| Rules {
        limit,
        capacity,
        ageing: ageing && !fair,
        max_wait: max_wait && !fair,
        fair,
        gated,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn order_ages_deadlines_and_push_outs_are_the_models(
        rules in rules(false, false),
        actions in prop::collection::vec(action(false, true), 1..60),
    ) {
        compare(rules, actions);
    }

    #[test]
    fn turns_are_the_models(
        rules in rules(true, false),
        actions in prop::collection::vec(action(false, false), 1..60),
    ) {
        compare(rules, actions);
    }

    #[test]
    fn who_is_held_back_by_a_quota_is_the_models(
        rules in rules(false, true),
        actions in prop::collection::vec(action(true, true), 1..60),
    ) {
        compare(rules, actions);
    }
}
