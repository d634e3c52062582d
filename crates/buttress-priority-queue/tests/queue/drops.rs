//! Everything returns when a wait or a place is dropped, whenever that is.

use std::time::Duration;

use crate::buckets::{Buckets, Cost};
use crate::support::call;
use buttress_core::test_util::advance;
use buttress_core::{End, Now, Policy};
use buttress_priority_queue::{
    Priority, PriorityQueue, QueueDemand, QueueTicket, QueueWait, Settings,
};

fn queue(settings: Settings) -> PriorityQueue {
    PriorityQueue::new(settings).unwrap()
}

fn medium() -> QueueDemand {
    QueueDemand::new(Priority::Medium)
}

fn is_empty(queue: &PriorityQueue) -> bool {
    let status = queue.status();
    status.in_flight == 0 && status.waiting() == 0
}

#[test]
fn a_waiter_that_leaves_takes_no_place() {
    for leaver in 0..3 {
        let queue = queue(Settings::new(1));
        let running = call(&queue, medium());
        let mut callers: Vec<_> = (0..3).map(|_| call(&queue, medium())).collect();
        callers.remove(leaver).leave();
        running.leave();
        assert!(callers[0].look_if_woken().is_admitted() && callers[1].look().waits());
        drop(callers);
        assert!(is_empty(&queue));
    }
}

#[test]
fn a_grant_that_is_dropped_unseen_goes_to_the_next() {
    let queue = queue(Settings::new(1));
    let running = call(&queue, medium());
    let [granted, mut next] = [(); 2].map(|()| call(&queue, medium()));
    running.leave();
    assert_eq!(granted.woken(), 1);
    granted.leave();
    assert!(next.look_if_woken().is_admitted());
    next.leave();
    assert!(is_empty(&queue));
}

#[test]
fn a_wait_that_was_never_looked_at_is_granted_and_left_like_any_other() {
    use buttress_core::{Admission, Verdict};
    let queue = queue(Settings::new(1));
    let running = call(&queue, medium());
    let Verdict::Later(unseen) = queue.admit(medium(), &Now::new()) else {
        panic!("it must wait");
    };
    running.leave();
    assert_eq!(queue.status().in_flight, 1, "it has the place");
    drop(unseen);
    assert!(is_empty(&queue));
}

#[test]
fn who_was_pushed_out_and_leaves_unseen_leaves_nothing_behind() {
    let queue = queue(Settings {
        capacity: 1,
        ..Settings::new(1)
    });
    let _running = call(&queue, medium());
    let low = call(&queue, QueueDemand::new(Priority::Low));
    let urgent = call(&queue, QueueDemand::new(Priority::Critical));
    assert_eq!(low.woken(), 1);
    low.leave();
    assert_eq!(queue.status().waiting(), 1);
    urgent.leave();
    assert_eq!(queue.status().waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn trap_one_waker_per_service_loses_waiters() {
    // The timer's owner goes away again and again; the last one left still hears of its end.
    let queue = queue(Settings {
        max_wait: Some(Duration::from_secs(10)),
        ..Settings::new(1)
    });
    let _running = call(&queue, medium());
    let mut callers: Vec<_> = (0..5).map(|_| call(&queue, medium())).collect();
    while callers.len() > 1 {
        advance(Duration::from_secs(1)).await;
        callers.remove(0).leave();
        for caller in &mut callers {
            caller.look_if_woken();
        }
    }
    advance(Duration::from_secs(6)).await;
    assert!(!callers[0].look_if_woken().waits());
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_released_unused_gives_back_what_the_gates_gave() {
    let limiter = Buckets::new(Duration::from_secs(3_600), 1);
    let queue = PriorityQueue::after(Settings::new(1), limiter.clone()).unwrap();
    let cost = Cost { key: 'a', units: 1 };
    let demand = QueueDemand::with_gates(Priority::Medium, Some(cost));
    let permit = queue.acquire(demand).await.unwrap();
    assert!(limiter.would_admit(&cost, &Now::new()).is_err());
    permit.end(End::Released, &Now::new());
    assert!(limiter.would_admit(&cost, &Now::new()).is_ok());
    drop(queue.acquire(demand).await.unwrap());
    let spent = limiter.would_admit(&cost, &Now::new());
    assert!(spent.is_err(), "cancelled is spent");
}

#[test]
fn waits_tickets_and_queues_have_the_auto_traits() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<PriorityQueue>();
    shared::<PriorityQueue<Buckets>>();
    shared::<QueueTicket<Buckets>>();
    sent::<QueueWait<Buckets>>();
    shared::<QueueWait<Buckets>>();
}

#[tokio::test(start_paused = true)]
async fn who_leaves_after_another_rose_stood_before_it() {
    // Tenant 1 waits above; its other request rises there at 2 s, and so keeps its place in the ring when
    // the first one leaves at 3 s, although nobody looked at the queue in between.
    let settings = Settings {
        fair: true,
        ageing: Some(Duration::from_secs(2)),
        ..Settings::new(1)
    };
    let queue = queue(settings);
    let ask = |level: u8, tenant| {
        let tenant = buttress_core::KeyHash::from_number(tenant);
        call(&queue, QueueDemand::new(level).tenant(tenant, 1))
    };
    let running = ask(3, 0);
    let (leaver, mut other, mut riser) = (ask(3, 1), ask(3, 2), ask(2, 1));
    advance(Duration::from_secs(3)).await;
    leaver.leave();
    running.leave();
    assert!(riser.look().is_admitted() && other.look().waits());
}
