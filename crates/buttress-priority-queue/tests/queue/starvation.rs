//! Everybody moves, and everybody has a share.

use std::time::Duration;

use buttress_core::test_util::advance;
use buttress_core::{KeyHash, Reason};
use buttress_priority_queue::algorithm::{Item, Ring};
use buttress_priority_queue::{Priority, PriorityQueue, QueueDemand, Settings};
use proptest::prelude::*;

use crate::support::{Caller, call};

const SECOND: Duration = Duration::from_secs(1);

/// A critical request comes whenever a place is given back, so that somebody more urgent always waits; tells
/// after how many seconds the lowest went.
async fn seconds_until_the_lowest_goes(ageing: Option<Duration>) -> Option<u32> {
    let settings = Settings {
        ageing,
        ..Settings::new(1)
    };
    let queue = PriorityQueue::new(settings).unwrap();
    let critical = || call(&queue, QueueDemand::new(Priority::Critical));
    let mut running = critical();
    let mut low = call(&queue, QueueDemand::new(Priority::Low));
    let mut waiting: Vec<Caller<_>> = (0..3).map(|_| critical()).collect();
    for second in 0..200 {
        advance(SECOND).await;
        running.leave();
        if low.look_if_woken().is_admitted() {
            return Some(second + 1);
        }
        running = waiting.remove(0);
        assert!(running.look_if_woken().is_admitted());
        waiting.push(critical());
    }
    None
}

#[tokio::test(start_paused = true)]
async fn the_lowest_always_moves_with_ageing_and_never_without() {
    assert_eq!(seconds_until_the_lowest_goes(None).await, None);
    // After three times 10 s it is critical itself, and came before those who wait then.
    let ageing = Some(10 * SECOND);
    assert_eq!(seconds_until_the_lowest_goes(ageing).await, Some(30));
}

#[tokio::test(start_paused = true)]
async fn whoever_was_served_goes_behind_all_who_wait_at_that_moment() {
    let fair = Settings {
        fair: true,
        ..Settings::new(1)
    };
    let queue = PriorityQueue::new(fair).unwrap();
    let ask = |tenant| {
        let demand = QueueDemand::new(Priority::Medium);
        call(&queue, demand.tenant(KeyHash::from_number(tenant), 1))
    };
    let running = ask(0);
    let mut crowd: Vec<_> = (0..3).map(|_| ask(1)).collect();
    let mut second = ask(2);
    running.leave();
    assert!(crowd[0].look_if_woken().is_admitted());
    let mut third = ask(3);
    crowd.remove(0).leave();
    assert!(second.look_if_woken().is_admitted());
    second.leave();
    // Tenant 1 went behind tenant 2, and before tenant 3, who was not there yet.
    assert!(crowd[0].look_if_woken().is_admitted());
    crowd.remove(0).leave();
    assert!(third.look_if_woken().is_admitted());
    third.leave();
    assert!(crowd[0].look_if_woken().is_admitted());
}

#[tokio::test(start_paused = true)]
async fn who_rises_at_one_instant_is_ordered_by_arrival() {
    let settings = Settings {
        capacity: 2,
        fair: true,
        ageing: Some(SECOND),
        ..Settings::new(1)
    };
    let queue = PriorityQueue::new(settings).unwrap();
    let ask = |priority, tenant| {
        let demand = QueueDemand::new(priority);
        call(&queue, demand.tenant(KeyHash::from_number(tenant), 1))
    };
    let running = ask(Priority::Medium, 0);
    // Those who are pushed out leave their storage in another order than they came in.
    let mut pushed_out = [ask(Priority::Medium, 0), ask(Priority::Medium, 0)];
    let mut first = ask(Priority::High, 0);
    let mut second = ask(Priority::High, 1);
    for caller in &mut pushed_out {
        assert_eq!(
            caller.look_if_woken().rejection().reason(),
            Reason::QueueFull
        );
    }
    advance(5 * SECOND).await;
    running.leave();
    assert!(first.look_if_woken().is_admitted());
    assert!(second.look_if_woken().waits());
    first.leave();
    assert!(second.look_if_woken().is_admitted());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The bound of deficit round robin: what two tenants who both wait all the time were served differs by a
    /// quantum and twice the largest cost at most (Shreedhar and Varghese, SIGCOMM 1995).
    #[test]
    fn tenants_who_always_wait_are_served_alike(
        tenants in prop::collection::vec(prop::collection::vec(1..9_u64, 40), 2..6),
    ) {
        let mut ring = Ring::default();
        for (tenant, costs) in (0..).zip(&tenants) {
            for (number, cost) in (0_u32..).zip(costs) {
                let seq = u64::from(number) * 8 + tenant;
                let item = Item { seq, id: number, cost: *cost };
                ring.push(KeyHash::from_number(tenant), item);
            }
        }
        let mut served = vec![0; tenants.len()];
        // As long as nobody can have run out.
        for _ in 0..40 {
            let (item, _) = ring.draw(false, u64::MAX).unwrap();
            let tenant = item.seq % 8;
            ring.settle(KeyHash::from_number(tenant), None);
            served[usize::try_from(tenant).unwrap()] += item.cost;
            let (least, most) = (served.iter().min().unwrap(), served.iter().max().unwrap());
            prop_assert!(most - least <= 1 + 2 * 8, "{served:?}");
        }
    }

    /// With requests of cost 1 it is turn by turn: within one quantum.
    #[test]
    fn turns_of_equal_cost_differ_by_one_quantum_at_most(
        tenants in 2..7_u64,
        draws in 1..60_usize,
    ) {
        let mut ring = Ring::default();
        for seq in 0..tenants * 60 {
            let id = u32::try_from(seq).unwrap();
            ring.push(KeyHash::from_number(seq % tenants), Item { seq, id, cost: 1 });
        }
        let mut served = vec![0_u64; usize::try_from(tenants).unwrap()];
        for _ in 0..draws {
            let (item, _) = ring.draw(false, u64::MAX).unwrap();
            let tenant = item.seq % tenants;
            ring.settle(KeyHash::from_number(tenant), None);
            served[usize::try_from(tenant).unwrap()] += 1;
        }
        prop_assert!(served.iter().max().unwrap() - served.iter().min().unwrap() <= 1);
    }
}
