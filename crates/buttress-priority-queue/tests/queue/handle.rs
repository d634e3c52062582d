//! What the handle shows and changes.

use std::task::{Context, Waker};
use std::time::Duration;

use buttress_core::test_util::advance;
use buttress_core::{End, Now, Outcome, Permit, Reason, Ticket};
use buttress_priority_queue::limit::{Aimd, Vegas};
use buttress_priority_queue::{
    ConcurrencyLimit, Priority, PriorityQueue, QueueDemand, QueueTicket, Settings,
};

use crate::support::call;

fn queue(settings: Settings) -> PriorityQueue {
    PriorityQueue::new(settings).unwrap()
}

fn medium() -> QueueDemand {
    QueueDemand::new(Priority::Medium)
}

#[test]
fn nobody_goes_while_paused_and_all_who_may_go_afterwards() {
    let queue = queue(Settings::new(2));
    queue.pause();
    let mut callers = [(); 3].map(|()| call(&queue, medium()));
    assert!(queue.status().paused && callers.iter().all(|caller| caller.waits()));
    queue.resume();
    let admitted = callers
        .each_mut()
        .map(|caller| caller.look_if_woken().is_admitted());
    assert_eq!(admitted, [true, true, false]);
}

#[test]
fn a_limit_can_be_changed_live() {
    let queue = queue(Settings::new(1));
    let mut callers = [(); 3].map(|()| call(&queue, medium()));
    queue.set_limit(3_u32);
    assert!(callers.iter_mut().all(|caller| caller.look().is_admitted()));
    queue.set_limit(1_u32);
    assert_eq!((queue.status().limit, queue.status().in_flight), (1, 3));
    let mut waiting = call(&queue, medium());
    let [a, b, c] = callers;
    a.leave();
    b.leave();
    assert!(waiting.look().waits(), "one is in flight still");
    c.leave();
    assert!(waiting.look().is_admitted());
}

#[test]
fn a_drain_is_over_when_all_have_gone_and_takes_nobody_in() {
    let queue = queue(Settings::new(1));
    let running = call(&queue, medium());
    let mut waiting = call(&queue, medium());
    let mut drained = std::pin::pin!(queue.drain());
    let mut is_drained = || {
        drained
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    };
    assert_eq!(
        call(&queue, medium()).rejection().reason(),
        Reason::Overloaded
    );
    assert!(!is_drained());
    running.leave();
    assert!(!is_drained() && waiting.look().is_admitted());
    waiting.leave();
    assert!(is_drained());
    queue.open();
    assert!(call(&queue, medium()).is_admitted());
}

#[test]
fn closing_refuses_all_who_wait_and_lets_the_others_end() {
    let queue = queue(Settings::new(1));
    let running = call(&queue, medium());
    let mut waiting = call(&queue, medium());
    queue.close();
    assert_eq!(
        waiting.look_if_woken().rejection().reason(),
        Reason::Overloaded
    );
    assert_eq!(queue.status().in_flight, 1);
    running.leave();
    assert_eq!(queue.status().in_flight, 0);
    assert!(!queue.status().accepting);
}

#[test]
fn a_reserve_is_for_the_urgent_and_holds_back_nobody_else() {
    let settings = Settings::new(5).reserve(0.2, &Priority::High);
    let queue = queue(settings);
    let mut running: Vec<_> = (0..4).map(|_| call(&queue, medium())).collect();
    let mut held = call(&queue, medium());
    assert!(running.iter().all(|caller| caller.is_admitted()) && held.waits());
    let high = call(&queue, QueueDemand::new(Priority::High));
    assert!(high.is_admitted());
    high.leave();
    assert!(held.look().waits(), "the fifth place is kept");
    running.pop();
    assert!(held.look().is_admitted());
}

#[test]
fn a_partition_has_its_share_and_no_more() {
    let settings = Settings {
        partitions: vec![1.0, 0.3],
        ..Settings::new(10)
    };
    let queue = queue(settings);
    let batch = QueueDemand {
        partition: 1,
        ..medium()
    };
    let mut batches: Vec<_> = (0..4).map(|_| call(&queue, batch)).collect();
    let lives: Vec<_> = (0..7).map(|_| call(&queue, medium())).collect();
    assert!(
        batches[..3]
            .iter()
            .chain(&lives)
            .all(|caller| caller.is_admitted())
    );
    assert!(batches[3].look().waits());
    let mut live = call(&queue, medium());
    batches.remove(0);
    assert!(batches[2].look().is_admitted(), "it came before");
    drop(lives);
    assert!(live.look().is_admitted());
    assert_eq!(queue.status().in_flight, 4);
}

fn settled<T: Ticket>(permit: Permit<T>, outcome: Outcome) {
    permit.end(End::Settled(outcome, None), &Now::new());
}

async fn place(queue: &PriorityQueue) -> Permit<QueueTicket<buttress_priority_queue::NoGate>> {
    queue.acquire(medium()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_429_or_503_lowers_an_adaptive_limit_as_soon_as_its_head_comes() {
    let queue = queue(Settings::new(Aimd::between(1, 10, 100)));
    let mut permit = place(&queue).await;
    permit.head(Outcome::Throttled(None), &Now::new());
    assert_eq!(queue.status().limit, 9);
    settled(permit, Outcome::Throttled(None));
    assert_eq!(queue.status().limit, 9, "one call is one sample");
    settled(place(&queue).await, Outcome::Overloaded);
    assert_eq!(queue.status().limit, 8);
    for neutral in [Outcome::Refused, Outcome::Failure] {
        settled(place(&queue).await, neutral);
    }
    drop(place(&queue).await);
    assert_eq!(queue.status().limit, 8);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_grows_lets_those_go_who_wait_and_is_told_in_readings() {
    let queue = queue(Settings::new(Vegas::up_to(100, 2)));
    let a = place(&queue).await;
    let b = place(&queue).await;
    let mut waiting = [(); 3].map(|()| call(&queue, medium()));
    advance(Duration::from_millis(10)).await;
    settled(a, Outcome::Success);
    advance(Duration::from_millis(1)).await;
    settled(b, Outcome::Success);
    assert!(queue.status().limit > 2);
    assert!(
        waiting
            .iter_mut()
            .all(|caller| caller.look_if_woken().is_admitted())
    );
    assert_eq!(
        queue.status().reading.unloaded,
        Some(Duration::from_millis(10))
    );
}

#[test]
fn other_settings_keep_those_who_wait() {
    let queue = queue(Settings::new(1));
    let running = call(&queue, medium());
    let mut first = call(&queue, medium());
    let mut second = call(&queue, QueueDemand::new(Priority::Critical));
    queue
        .set(Settings {
            levels: 1,
            ..Settings::new(1)
        })
        .unwrap();
    running.leave();
    assert!(first.look().is_admitted(), "there is one level now");
    first.leave();
    assert!(second.look().is_admitted());
}

#[test]
fn settings_that_make_no_sense_are_named() {
    type Change = fn(&mut Settings);
    let bad: [(&str, Change); 12] = [
        ("capacity", |settings| settings.capacity = usize::MAX),
        ("capacities", |settings| settings.capacities = vec![(4, 1)]),
        ("capacities", |settings| {
            settings.capacities = vec![(0, usize::MAX)];
        }),
        ("max_wait", |settings| {
            settings.max_wait = Some(Duration::ZERO);
        }),
        ("ageing", |settings| settings.ageing = Some(Duration::ZERO)),
        ("newest_first_after", |settings| {
            settings.newest_first_after = Some(Duration::ZERO);
        }),
        ("levels", |settings| settings.levels = 65),
        ("reserve", |settings| settings.reserve = Some((f64::NAN, 2))),
        ("reserve", |settings| settings.reserve = Some((0.2, 0))),
        ("reserve", |settings| settings.reserve = Some((0.2, 4))),
        ("partitions", |settings| settings.partitions = vec![0.0]),
        ("partitions", |settings| settings.partitions = vec![1.0; 65]),
    ];
    let queue = queue(Settings::new(1));
    for (name, change) in bad {
        let mut settings = Settings::new(1);
        change(&mut settings);
        let error = queue.set(settings).unwrap_err();
        assert_eq!(error.setting(), name);
        let text = error.to_string();
        assert!(text.starts_with(&format!("`{name}` is ")), "{text}");
    }
}

#[test]
fn a_limit_without_a_queue_refuses_at_once_and_holds_nothing_for_nobody() {
    use buttress_core::Policy as _;
    let limit = ConcurrencyLimit::new(1_u32);
    let place = limit.try_admit(&(), &Now::new()).unwrap();
    let refused = limit.try_admit(&(), &Now::new()).unwrap_err();
    assert_eq!(refused.reason(), Reason::Overloaded);
    assert!(limit.would_admit(&(), &Now::new()).is_err());
    drop(place);
    assert_eq!(limit.in_flight(), 0);
    assert!(limit.try_admit(&(), &Now::new()).is_ok());
}
