//! In which order those who wait go.

use std::time::Duration;

use buttress_core::test_util::advance;
use buttress_core::time::now;
use buttress_core::{KeyHash, Reason, When};
use buttress_priority_queue::Priority::{Critical, High, Low, Medium};
use buttress_priority_queue::{Priority, PriorityQueue, QueueDemand, Settings};

use crate::support::{Caller, call};

type Call = Caller<buttress_priority_queue::NoGate>;

fn queue(settings: Settings) -> PriorityQueue {
    PriorityQueue::new(settings).unwrap()
}

fn demand(priority: Priority) -> QueueDemand {
    QueueDemand::new(priority)
}

/// Ends the one call in flight again and again, and tells who went, by index.
fn run(first: Call, callers: Vec<Call>) -> Vec<usize> {
    let mut callers: Vec<_> = callers.into_iter().map(Some).collect();
    let mut order = Vec::new();
    let mut running = Some(first);
    while let Some(call) = running.take() {
        call.leave();
        for (index, slot) in callers.iter_mut().enumerate() {
            let admitted = slot
                .as_mut()
                .is_some_and(|caller| caller.look_if_woken().is_admitted());
            if admitted {
                order.push(index);
                running = slot.take();
            }
        }
    }
    order
}

#[test]
fn the_more_urgent_go_first_and_equals_in_order_of_arrival() {
    let queue = queue(Settings::new(1));
    let first = call(&queue, demand(Low));
    assert!(first.is_admitted());
    let callers = [Low, Medium, Critical, Medium, High, Low, Critical];
    let callers = callers.map(|priority| call(&queue, demand(priority)));
    assert_eq!(queue.status().depth, [2, 2, 1, 2]);
    assert_eq!(run(first, callers.into()), [2, 6, 4, 1, 3, 0, 5]);
    assert_eq!(queue.status().in_flight, 0);
}

#[test]
fn a_full_queue_pushes_out_the_latest_of_the_lowest_for_somebody_more_urgent_only() {
    let queue = queue(Settings {
        capacity: 3,
        ..Settings::new(1)
    });
    let _first = call(&queue, demand(High));
    let mut low = call(&queue, demand(Low));
    let mut later = call(&queue, demand(Low));
    let medium = call(&queue, demand(Medium));
    assert_eq!(
        call(&queue, demand(Low)).rejection().reason(),
        Reason::QueueFull
    );
    let high = call(&queue, demand(High));
    assert!(high.waits());
    assert_eq!(later.woken(), 1);
    assert_eq!(later.look().rejection().reason(), Reason::QueueFull);
    assert!(low.look().waits() && medium.waits());
    let _another = call(&queue, demand(Medium));
    assert_eq!(low.look().rejection().reason(), Reason::QueueFull);
    assert_eq!(
        call(&queue, demand(Medium)).rejection().reason(),
        Reason::QueueFull
    );
    assert_eq!(queue.status().waiting(), 3);
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_a_full_ageing_rises_and_counts_as_what_it_has_risen_to() {
    let ageing = Duration::from_secs(30);
    let queue = queue(Settings {
        ageing: Some(ageing),
        ..Settings::new(1)
    });
    let first = call(&queue, demand(High));
    let low = call(&queue, demand(Low));
    advance(Duration::from_secs(60) - Duration::from_millis(1)).await;
    let medium = call(&queue, demand(Medium));
    let high = call(&queue, demand(High));
    advance(Duration::from_millis(1)).await;
    // Low has become high just now, and came before the one that is high.
    assert_eq!(run(first, vec![low, medium, high]), [0, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn nobody_rises_above_the_highest() {
    let queue = queue(Settings {
        ageing: Some(Duration::from_secs(1)),
        ..Settings::new(1)
    });
    let first = call(&queue, demand(High));
    let low = call(&queue, demand(Low));
    advance(Duration::from_secs(1_000)).await;
    let critical = call(&queue, demand(Critical));
    assert_eq!(queue.depth(Critical), 2);
    assert_eq!(run(first, vec![low, critical]), [0, 1]);
}

fn of(tenant: u64, cost: u64) -> QueueDemand {
    demand(Medium).tenant(KeyHash::from_number(tenant), cost)
}

#[test]
fn tenants_take_turns_in_the_order_in_which_they_began_to_wait() {
    let queue = queue(Settings {
        fair: true,
        ..Settings::new(1)
    });
    let first = call(&queue, of(1, 1));
    let callers = [(1, 1), (1, 1), (1, 1), (2, 1), (3, 1), (2, 1)];
    let callers = callers.map(|(tenant, cost)| call(&queue, of(tenant, cost)));
    assert_eq!(run(first, callers.into()), [0, 3, 4, 1, 5, 2]);
}

#[test]
fn what_costs_more_waits_for_as_many_turns() {
    let queue = queue(Settings {
        fair: true,
        ..Settings::new(1)
    });
    let first = call(&queue, of(9, 1));
    let callers = [(1, 3), (1, 1), (2, 1), (2, 1), (2, 0), (2, 1)];
    let callers = callers.map(|(tenant, cost)| call(&queue, of(tenant, cost)));
    // The first tenant saves for three rounds.
    assert_eq!(run(first, callers.into()), [2, 3, 0, 4, 1, 5]);
}

#[test]
fn a_cost_of_any_size_takes_no_time_to_be_saved_for() {
    let queue = queue(Settings {
        fair: true,
        ..Settings::new(1)
    });
    let first = call(&queue, of(9, 1));
    let callers = [(1, u64::MAX), (2, u64::MAX - 1)];
    let callers = callers.map(|(tenant, cost)| call(&queue, of(tenant, cost)));
    assert_eq!(run(first, callers.into()), [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_latest_goes_first_once_the_queue_has_been_backed_up() {
    let after = Some(Duration::from_millis(100));
    let queue = queue(Settings {
        newest_first_after: after,
        ..Settings::new(1)
    });
    let first = call(&queue, demand(Medium));
    let a = call(&queue, demand(Medium));
    let b = call(&queue, demand(Medium));
    advance(Duration::from_millis(99)).await;
    first.leave();
    let mut callers = vec![a, b];
    assert!(callers[0].look().is_admitted());
    callers.push(call(&queue, demand(Medium)));
    callers.push(call(&queue, demand(Low)));
    advance(Duration::from_millis(1)).await;
    let first = callers.remove(0);
    assert_eq!(run(first, callers), [1, 0, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_it_is_too_long_and_tells_in_how_long_the_queue_drains() {
    let queue = queue(Settings {
        max_wait: Some(Duration::from_secs(60)),
        ..Settings::new(1)
    });
    let first = call(&queue, demand(Medium));
    let mut waiting = call(&queue, demand(Medium));
    advance(Duration::from_millis(59_999)).await;
    assert!(waiting.look_if_woken().waits());
    advance(Duration::from_millis(1)).await;
    let rejection = waiting.look_if_woken().rejection();
    assert_eq!(
        (rejection.reason(), rejection.when()),
        (Reason::QueueTimeout, When::Unknown)
    );
    first.leave();
    assert_eq!(queue.status().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_free_at_the_last_instant_wins() {
    let queue = queue(Settings {
        max_wait: Some(Duration::from_secs(60)),
        ..Settings::new(1)
    });
    let first = call(&queue, demand(Medium));
    let mut a = call(&queue, demand(Medium));
    let mut b = call(&queue, demand(Medium));
    advance(Duration::from_secs(60)).await;
    first.leave();
    assert!(a.look().is_admitted());
    assert_eq!(b.look().rejection().reason(), Reason::QueueTimeout);
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_at_its_deadline() {
    let queue = queue(Settings::new(1));
    let first = call(&queue, demand(Medium));
    let deadline = now() + Duration::from_secs(5);
    let mut a = call(&queue, demand(Medium).deadline(deadline));
    let mut b = call(&queue, demand(Medium));
    advance(Duration::from_secs(5)).await;
    first.leave();
    assert_eq!(a.look().rejection().reason(), Reason::Deadline);
    assert!(b.look().is_admitted());
    // Not even with a place free, and a full queue says so first.
    b.leave();
    let late = call(&queue, demand(Medium).deadline(now()));
    assert_eq!(late.rejection().reason(), Reason::Deadline);
}

#[tokio::test(start_paused = true)]
async fn of_a_longest_wait_and_a_deadline_at_one_instant_the_wait_is_told() {
    let wait = Duration::from_secs(5);
    let queue = queue(Settings {
        max_wait: Some(wait),
        ..Settings::new(1)
    });
    let _first = call(&queue, demand(Medium));
    let mut both = call(&queue, demand(Medium).deadline(now() + wait));
    advance(wait).await;
    assert_eq!(both.look().rejection().reason(), Reason::QueueTimeout);
}

#[test]
fn without_capacity_nobody_waits() {
    let queue = queue(Settings {
        capacity: 0,
        ..Settings::new(1)
    });
    let _first = call(&queue, demand(Low));
    let refused = call(&queue, demand(Critical));
    assert_eq!(refused.rejection().reason(), Reason::QueueFull);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_tells_in_how_long_those_ahead_will_have_gone() {
    let queue = queue(Settings {
        capacity: 4,
        ..Settings::new(1)
    });
    let mut running = call(&queue, demand(Medium));
    let mut waiting: Vec<_> = (0..4).map(|_| call(&queue, demand(Medium))).collect();
    for _ in 0..16 {
        advance(Duration::from_secs(2)).await;
        running.leave();
        running = waiting.remove(0);
        assert!(running.look().is_admitted());
        waiting.push(call(&queue, demand(Medium)));
    }
    let refused = call(&queue, demand(Medium)).rejection();
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(8)));
    // Nobody is ahead of a more urgent one of whom there is no room for want of a lower.
    advance(Duration::from_secs(40)).await;
    let stalled = call(&queue, demand(Medium)).rejection();
    assert!(stalled.retry_after() > Some(Duration::from_secs(8)));
}

#[test]
fn a_priority_has_its_part_of_the_capacity_and_nobody_is_pushed_out_of_it() {
    let settings = Settings {
        capacity: 4,
        ..Settings::new(1)
    };
    let settings = settings
        .capacity_of(&Priority::High, 2)
        .capacity_of(&Priority::Low, 2);
    let queue = PriorityQueue::new(settings).unwrap();
    let ask = |priority| call(&queue, QueueDemand::new(priority));
    let running = ask(Priority::Low);
    let mut low = [(); 2].map(|()| ask(Priority::Low));
    assert_eq!(ask(Priority::Low).rejection().reason(), Reason::QueueFull);
    let mut high = [(); 2].map(|()| ask(Priority::High));
    assert_eq!(ask(Priority::High).rejection().reason(), Reason::QueueFull);
    assert!(low.iter().all(Caller::waits) && high.iter().all(Caller::waits));
    // Without a part of its own one pushes out as ever.
    let critical = ask(Priority::Critical);
    assert!(critical.waits());
    assert_eq!(low[1].look().rejection().reason(), Reason::QueueFull);
    running.leave();
    critical.leave();
    assert!(high[0].look().is_admitted());
    let next = ask(Priority::High);
    assert!(next.waits(), "one of two has gone");
    assert_eq!(ask(Priority::High).rejection().reason(), Reason::QueueFull);
}
