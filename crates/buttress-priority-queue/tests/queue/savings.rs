//! Whoever lacks several things saves for all of them, and waits for none if one of them will never do.

use std::time::Duration;

use buttress_core::test_util::advance;
use buttress_core::{KeyHash, Reason, When};
use buttress_priority_queue::{Priority, PriorityQueue, QueueDemand, Settings};

use crate::buckets::{Buckets, Cost};
use crate::support::{Caller, call, look_all};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

type Pair = (Buckets, Buckets);

fn queue(limit: u32, outer: &Buckets, inner: &Buckets) -> PriorityQueue<Pair> {
    PriorityQueue::after(Settings::new(limit), (outer.clone(), inner.clone())).unwrap()
}

/// So many units of the two, and whoever needs none of one is not asked of it.
fn ask(queue: &PriorityQueue<Pair>, outer: u32, inner: u32) -> Caller<Pair> {
    let cost = |units| (units > 0).then_some(Cost { key: 'a', units });
    let gates = Some((cost(outer), cost(inner)));
    call(queue, QueueDemand::with_gates(Priority::Medium, gates))
}

#[tokio::test(start_paused = true)]
async fn a_waiter_short_of_two_quotas_saves_for_both() {
    let (outer, inner) = (Buckets::new(SECOND, 1), Buckets::new(SECOND, 20));
    let queue = queue(9, &outer, &inner);
    assert!(ask(&queue, 1, 10).is_admitted());
    let mut short = ask(&queue, 1, 12);
    let mut behind = ask(&queue, 0, 10);
    assert!(short.waits());
    assert!(behind.waits(), "ten are there, and saved");
    advance(SECOND).await;
    look_all([&mut short, &mut behind]);
    assert!(behind.waits(), "eleven are there, and saved");
    advance(SECOND).await;
    look_all([&mut short, &mut behind]);
    assert!(short.is_admitted() && behind.waits());
    advance(10 * SECOND).await;
    assert!(behind.look_if_woken().is_admitted());
}

#[tokio::test(start_paused = true)]
async fn a_waiter_short_of_two_quotas_of_one_policy_saves_for_both() {
    // Its own comes back in an hour, that of all in ten seconds.
    let limiter = Buckets::new(HOUR, 3).global(10 * SECOND, 4);
    let queue = PriorityQueue::after(Settings::new(9), limiter).unwrap();
    let ask = |key, units| {
        let cost = Some(Cost { key, units });
        call(&queue, QueueDemand::with_gates(Priority::Medium, cost))
    };
    assert!(ask('a', 3).is_admitted());
    let short = ask('a', 2);
    let mut behind = ask('b', 1);
    assert!(short.waits() && behind.waits(), "the one unit is saved");
    short.leave();
    assert!(
        behind.look_if_woken().is_admitted(),
        "nobody saves any more"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_saved_is_free_when_the_waiter_short_of_two_quotas_leaves() {
    let (outer, inner) = (Buckets::new(HOUR, 1), Buckets::new(HOUR, 20));
    let queue = queue(9, &outer, &inner);
    assert!(ask(&queue, 1, 10).is_admitted());
    let short = ask(&queue, 1, 12);
    let mut other = ask(&queue, 1, 5);
    let mut behind = ask(&queue, 0, 10);
    assert!(other.waits() && behind.waits());
    short.leave();
    look_all([&mut other, &mut behind]);
    assert!(other.waits(), "it has no unit of the outer quota");
    assert!(behind.is_admitted(), "it lacks nothing of the inner one");
    assert_eq!(queue.status().waiting(), 1);
}

#[tokio::test(start_paused = true)]
async fn never_and_breaker_refusals_do_not_wait_behind_an_outer_quota() {
    let (outer, inner) = (Buckets::new(HOUR, 1), Buckets::new(SECOND, 20));
    let queue = queue(1, &outer, &inner);
    ask(&queue, 1, 1).leave();
    let never = ask(&queue, 1, 21).rejection();
    assert_eq!(never.when(), When::Never);
    let mut held = ask(&queue, 1, 1);
    assert!(held.waits());
    inner.shut('a', true);
    assert_eq!(
        held.look_if_woken().rejection().reason(),
        Reason::CircuitOpen
    );
    let refused = ask(&queue, 1, 1).rejection();
    assert_eq!(refused.reason(), Reason::CircuitOpen);
}

#[tokio::test(start_paused = true)]
async fn never_and_breaker_refusals_are_given_at_once_though_no_place_is_free() {
    let (outer, inner) = (Buckets::new(HOUR, 1), Buckets::new(SECOND, 20));
    let queue = queue(1, &outer, &inner);
    let _running = ask(&queue, 1, 1);
    assert_eq!(ask(&queue, 1, 21).rejection().when(), When::Never);
    inner.shut('a', true);
    let refused = ask(&queue, 1, 1).rejection();
    assert_eq!(refused.reason(), Reason::CircuitOpen);
    assert!(ask(&queue, 1, 0).waits(), "the breaker does not concern it");
}

fn fair_queue() -> PriorityQueue<Buckets> {
    let fair = Settings {
        fair: true,
        ..Settings::new(9)
    };
    PriorityQueue::after(fair, Buckets::new(SECOND, 1)).unwrap()
}

/// A unit of the one bucket, for a tenant.
fn ask_for(queue: &PriorityQueue<Buckets>, tenant: u64) -> Caller<Buckets> {
    let cost = Some(Cost { key: 'a', units: 1 });
    let demand = QueueDemand::with_gates(Priority::Medium, cost);
    call(queue, demand.tenant(KeyHash::from_number(tenant), 1))
}

#[tokio::test(start_paused = true)]
async fn a_tenant_held_back_keeps_its_turn_and_gains_nothing_by_it() {
    let queue = fair_queue();
    let ask = |tenant| ask_for(&queue, tenant);
    assert!(ask(0).is_admitted());
    // All of the first tenant are looked at, and held back, before the second comes.
    let [mut x1, mut x2, mut x3] = [ask(1), ask(1), ask(1)];
    let [mut y1, mut y2] = [ask(2), ask(2)];
    let turns = [
        [true, false, false, false, false],
        [true, false, false, true, false],
        [true, true, false, true, false],
        [true, true, false, true, true],
        [true, true, true, true, true],
    ];
    for turn in turns {
        advance(SECOND).await;
        look_all([&mut x1, &mut x2, &mut x3, &mut y1, &mut y2]);
        let went = [&x1, &x2, &x3, &y1, &y2].map(|caller| caller.is_admitted());
        assert_eq!(went, turn);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_begins_to_wait_goes_behind_one_that_is_held_back() {
    let queue = fair_queue();
    let ask = |tenant| ask_for(&queue, tenant);
    assert!(ask(1).is_admitted());
    let [mut first, mut second, mut third] = [ask(1), ask(1), ask(1)];
    for _ in 0..2 {
        advance(SECOND).await;
        look_all([&mut first, &mut second, &mut third]);
    }
    assert!(second.is_admitted() && third.waits());
    let mut newcomer = ask(2);
    advance(SECOND).await;
    look_all([&mut newcomer, &mut third]);
    assert!(third.is_admitted() && newcomer.waits());
}
