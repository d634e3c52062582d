//! What a queue asks before it hands out a place, and whom that holds back.

use std::time::Duration;

use buttress_core::test_util::advance;
use buttress_core::{LimitId, Now, Permit, Policy, PolicyId, Reason, Rejection, When};
use buttress_priority_queue::{ConcurrencyLimit, Priority, PriorityQueue, QueueDemand, Settings};

use crate::buckets::{Buckets, Cost};
use crate::support::{Caller, call, look_all};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

type Queue = PriorityQueue<Buckets>;

fn queue(limit: u32, limiter: &Buckets) -> Queue {
    PriorityQueue::after(Settings::new(limit), limiter.clone()).unwrap()
}

fn ask(queue: &Queue, priority: Priority, key: char, units: u32) -> Caller<Buckets> {
    let cost = Cost { key, units };
    call(queue, QueueDemand::with_gates(priority, Some(cost)))
}

#[tokio::test(start_paused = true)]
async fn who_is_held_back_goes_when_its_quota_has_room_and_holds_nobody_else_back() {
    let limiter = Buckets::new(SECOND, 1);
    let queue = queue(10, &limiter);
    assert!(ask(&queue, Priority::Medium, 'a', 1).is_admitted());
    let mut held = ask(&queue, Priority::High, 'a', 1);
    assert!(held.waits());
    assert!(
        ask(&queue, Priority::Low, 'b', 1).is_admitted(),
        "another key is not concerned"
    );
    advance(Duration::from_millis(999)).await;
    assert!(held.look_if_woken().waits());
    advance(Duration::from_millis(1)).await;
    assert!(held.look_if_woken().is_admitted());
}

#[tokio::test(start_paused = true)]
async fn nobody_eats_what_somebody_ahead_saves_for() {
    let limiter = Buckets::new(SECOND, 5);
    let queue = queue(10, &limiter);
    assert!(ask(&queue, Priority::Medium, 'a', 3).is_admitted());
    let mut large = ask(&queue, Priority::Medium, 'a', 5);
    let mut small = ask(&queue, Priority::Medium, 'a', 1);
    assert!(large.waits() && small.waits(), "one unit would be there");
    let more_urgent = ask(&queue, Priority::High, 'a', 1);
    assert!(
        more_urgent.is_admitted(),
        "whoever is ahead is not held back"
    );
    advance(Duration::from_secs(4)).await;
    assert!(large.look_if_woken().is_admitted());
    assert!(small.look_if_woken().waits());
    advance(Duration::from_secs(1)).await;
    assert!(small.look_if_woken().is_admitted());
}

#[tokio::test(start_paused = true)]
async fn a_quota_for_all_keys_holds_all_back_and_one_per_key_only_its_own() {
    let limiter = Buckets::new(SECOND, 1).global(SECOND, 2);
    let queue = queue(10, &limiter);
    assert!(ask(&queue, Priority::Medium, 'a', 1).is_admitted());
    let mut own = ask(&queue, Priority::Medium, 'a', 1);
    assert!(ask(&queue, Priority::Medium, 'b', 1).is_admitted());
    let mut c = ask(&queue, Priority::Medium, 'c', 1);
    let mut d = ask(&queue, Priority::Low, 'd', 1);
    assert!(own.waits() && c.waits() && d.waits());
    for admitted in 1..=3 {
        advance(Duration::from_secs(1)).await;
        look_all([&mut own, &mut c, &mut d]);
        let admissions = [&own, &c, &d].map(|caller| caller.is_admitted());
        assert_eq!(admissions, [true, admitted > 1, admitted > 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_never_be_admitted_is_refused_at_once_if_nobody_is_ahead() {
    let limiter = Buckets::new(SECOND / 5, 5);
    let queue = queue(1, &limiter);
    let running = ask(&queue, Priority::Medium, 'a', 1);
    let never = ask(&queue, Priority::Medium, 'a', 6).rejection();
    assert_eq!(
        (never.reason(), never.when()),
        (Reason::RateLimit, When::Never)
    );
    let mut ahead = ask(&queue, Priority::Medium, 'a', 1);
    let mut behind = ask(&queue, Priority::Medium, 'a', 6);
    assert!(behind.waits(), "somebody is ahead");
    let urgent = ask(&queue, Priority::High, 'a', 6).rejection();
    assert_eq!(
        urgent.when(),
        When::Never,
        "nobody is ahead of the more urgent"
    );
    running.leave();
    assert!(ahead.look().is_admitted());
    assert!(behind.look().waits(), "its turn comes with a place");
    ahead.leave();
    assert_eq!(behind.look().rejection().when(), When::Never);
    assert_eq!(queue.status().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_earlier_than_foretold_is_heard_of() {
    let limiter = Buckets::new(HOUR, 1);
    let queue = queue(1, &limiter);
    ask(&queue, Priority::Medium, 'a', 1).leave();
    let mut held = ask(&queue, Priority::Medium, 'a', 1);
    let mut behind = ask(&queue, Priority::Medium, 'a', 1);
    assert!(held.waits() && behind.waits());
    limiter.reset('a');
    // One of them attends to the queue, whichever that is.
    behind.look_if_woken();
    assert!(held.look_if_woken().is_admitted());
    assert!(behind.look_if_woken().waits());
}

#[tokio::test(start_paused = true)]
async fn the_timer_passes_on_when_its_owner_is_dropped() {
    let limiter = Buckets::new(SECOND, 1);
    let queue = queue(10, &limiter);
    assert!(ask(&queue, Priority::Medium, 'a', 1).is_admitted());
    let first = ask(&queue, Priority::Medium, 'a', 1);
    let mut second = ask(&queue, Priority::Medium, 'a', 1);
    first.leave();
    second.look_if_woken();
    advance(Duration::from_secs(1)).await;
    assert!(second.look_if_woken().is_admitted());
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_nobody_claims_gives_back_what_the_gates_gave_and_then_the_place() {
    let limiter = Buckets::new(HOUR / 2, 2);
    let queue = queue(1, &limiter);
    let running = ask(&queue, Priority::Medium, 'a', 1);
    let granted = ask(&queue, Priority::Medium, 'a', 1);
    let mut next = ask(&queue, Priority::Medium, 'a', 1);
    running.leave();
    assert_eq!(
        granted.woken(),
        1,
        "the grant is there before anybody looks"
    );
    granted.leave();
    assert!(
        next.look_if_woken().is_admitted(),
        "place and unit are free again"
    );
}

#[test]
fn a_limit_without_a_time_wakes_when_it_has_room() {
    let shared = ConcurrencyLimit::new(1_u32);
    let queue = PriorityQueue::after(Settings::new(4), shared.clone()).unwrap();
    let place = shared.try_admit(&(), &Now::new()).unwrap();
    let demand = QueueDemand::with_gates(Priority::Medium, Some(()));
    let mut first = call(&queue, demand);
    let mut second = call(&queue, demand);
    assert!(first.waits() && second.waits());
    drop(place);
    second.look_if_woken();
    assert!(first.look_if_woken().is_admitted());
    assert_eq!(shared.in_flight(), 1);
    first.leave();
    assert!(second.look_if_woken().is_admitted());
}

/// Refuses without a name, or with one that it does not tell who needs.
struct Nameless {
    limit: Option<LimitId>,
    free: std::cell::Cell<u32>,
}

impl Policy for Nameless {
    type Demand = u32;
    type Ticket = ();

    fn would_admit(&self, cost: &u32, _: &Now) -> Result<(), Rejection> {
        let rejection = Rejection::new(Reason::Overloaded, When::Unknown);
        match (self.free.get() >= *cost, self.limit) {
            (true, _) => Ok(()),
            (false, Some(limit)) => Err(rejection.by(limit)),
            (false, None) => Err(rejection),
        }
    }

    fn try_admit(&self, cost: &u32, now: &Now) -> Result<Permit<()>, Rejection> {
        self.would_admit(cost, now)?;
        self.free.set(self.free.get() - cost);
        Ok(Permit::new(()))
    }
}

#[test]
fn a_policy_that_does_not_tell_who_needs_its_limit_is_asked_and_by_default_all_do() {
    let limit = LimitId {
        policy: PolicyId::unique(),
        key: buttress_core::KeyHash::EVERYONE,
        quota: 0,
    };
    for limit in [None, Some(limit)] {
        let free = std::cell::Cell::new(2);
        let queue = PriorityQueue::after(Settings::new(4), Nameless { limit, free }).unwrap();
        let large = call(&queue, QueueDemand::with_gates(Priority::Medium, Some(3)));
        let mut small = call(&queue, QueueDemand::with_gates(Priority::Medium, Some(1)));
        assert!(large.waits() && small.waits());
        large.leave();
        assert!(
            small.look_if_woken().is_admitted(),
            "whoever is next is asked when the first leaves"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_rises_above_the_one_that_holds_it_back_is_asked() {
    let limiter = Buckets::new(SECOND, 10);
    let ageing = Some(Duration::from_secs(2));
    let settings = Settings {
        ageing,
        ..Settings::new(10)
    };
    let queue = PriorityQueue::after(settings, limiter.clone()).unwrap();
    assert!(ask(&queue, Priority::Medium, 'a', 10).is_admitted());
    let mut small = ask(&queue, Priority::High, 'a', 3);
    advance(Duration::from_secs(1)).await;
    let mut large = ask(&queue, Priority::Critical, 'a', 10);
    assert!(small.look_if_woken().waits() && large.waits());
    // At 2 s the small one is critical too, and came first; at 3 s it has its units.
    advance(Duration::from_secs(2)).await;
    large.look_if_woken();
    assert!(small.look_if_woken().is_admitted());
    advance(Duration::from_secs(10)).await;
    assert!(large.look_if_woken().is_admitted());
}

#[tokio::test(start_paused = true)]
async fn who_is_held_back_by_a_quota_is_refused_when_a_breaker_opens() {
    let limiter = Buckets::new(HOUR, 1);
    let queue = queue(4, &limiter);
    ask(&queue, Priority::Medium, 'a', 1).leave();
    let mut held = ask(&queue, Priority::Medium, 'a', 1);
    let mut behind = ask(&queue, Priority::Medium, 'a', 1);
    assert!(held.waits() && behind.waits());
    limiter.shut('a', true);
    look_all([&mut held, &mut behind]);
    for caller in [held, behind] {
        assert_eq!(caller.rejection().reason(), Reason::CircuitOpen);
    }
    assert_eq!(queue.status().waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_whose_request_is_refused_at_its_turn_has_the_turn_back() {
    let limiter = Buckets::new(SECOND, 10);
    let fair = Settings {
        fair: true,
        ..Settings::new(1)
    };
    let queue = PriorityQueue::after(fair, limiter.clone()).unwrap();
    let ask = |tenant, key| {
        let cost = Cost { key, units: 1 };
        let demand = QueueDemand::with_gates(Priority::Medium, Some(cost));
        let tenant = buttress_core::KeyHash::from_number(tenant);
        call(&queue, demand.tenant(tenant, 1))
    };
    let running = ask(0, 'a');
    let mut refused = ask(1, 'b');
    let mut next = ask(1, 'a');
    let mut other = ask(2, 'a');
    limiter.shut('b', true);
    running.leave();
    assert_eq!(refused.look().rejection().reason(), Reason::CircuitOpen);
    assert!(next.look().is_admitted(), "tenant 1 was not served yet");
    assert!(other.look().waits());
}
