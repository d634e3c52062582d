//! The order in which they go, and who does not get to wait.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_core::time::now;
use buttress_core::{Admission, Event, Now, Observed, Reason, Verdict, When};
use buttress_rate_limit::{RateDemand, RateWait, Waiting};

use crate::support::{LONG, SECOND, admit, at_once, limiter, pass, poll, spawn, waits};

const fn all<T: Send + Sync + 'static>() {}
const _: () = {
    all::<RateWait>();
    all::<Waiting>();
};

async fn times<const N: usize>(
    tasks: [tokio::task::JoinHandle<(u128, bool)>; N],
) -> [(u128, bool); N] {
    let mut times = Vec::new();
    for task in tasks {
        times.push(task.await.unwrap());
    }
    times.try_into().unwrap()
}

#[tokio::test(start_paused = true)]
async fn seven_at_once_under_three_a_second_go_where_the_replay_says() {
    let (limiter, start) = (limiter(&["3/second"], &[]), now());
    let tasks = [(); 7].map(|()| spawn(&limiter, "a", 1, LONG, start));
    let expected = [0, 0, 0, 334, 667, 1_000, 1_334];
    assert_eq!(times(tasks).await, expected.map(|at| (at, true)));
}

#[tokio::test(start_paused = true)]
async fn the_same_key_goes_in_order_of_arrival_and_other_keys_do_not_wait_for_it() {
    let (limiter, start) = (limiter(&["1/second"], &[]), now());
    let first = [(); 3].map(|()| spawn(&limiter, "a", 1, LONG, start));
    let other = [(); 2].map(|()| spawn(&limiter, "b", 1, LONG, start));
    assert_eq!(limiter.status().waiting, 3);
    assert_eq!(
        times(first).await,
        [(0, true), (1_000, true), (2_000, true)]
    );
    assert_eq!(times(other).await, [(0, true), (1_000, true)]);
    assert_eq!(limiter.status().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn trap_20_a_big_cost_is_not_starved_by_small_ones() {
    let (limiter, start) = (limiter(&["1/second burst 5"], &[]), now());
    at_once(&limiter, "a", 4, LONG).unwrap();
    let big = spawn(&limiter, "a", 5, LONG, start);
    pass(Duration::from_millis(500)).await;
    let small = [(); 3].map(|()| spawn(&limiter, "a", 1, LONG, start));
    let refused = limiter.check("a", 1).unwrap_err();
    assert_eq!(
        refused.retry_after(),
        Some(Duration::from_millis(7_500)),
        "behind the big one and three small ones"
    );
    assert_eq!(times([big]).await, [(4_000, true)]);
    assert_eq!(
        times(small).await,
        [(5_000, true), (6_000, true), (7_000, true)]
    );
}

#[tokio::test(start_paused = true)]
async fn trap_20_a_cost_that_never_fits_is_refused_at_once_and_not_kept_waiting() {
    let limiter = limiter(&["3/second", "10/minute burst 5"], &[]);
    let never = at_once(&limiter, "a", 4, LONG).unwrap_err();
    assert_eq!(
        (never.reason(), never.when()),
        (Reason::RateLimit, When::Never)
    );
    assert!(never.violates(0) && !never.violates(1));
    at_once(&limiter, "a", 3, LONG).unwrap();
    let _waits = waits(&limiter, "a", 1);
    let never = at_once(&limiter, "a", 6, LONG).unwrap_err();
    assert_eq!(never.when(), When::Never, "also behind others");
    assert!(never.violates(0) && never.violates(1));
}

#[tokio::test(start_paused = true)]
async fn whoever_would_wait_longer_than_it_may_is_refused_and_as_long_is_allowed() {
    let (limiter, start) = (limiter(&["1/second"], &[]), now());
    at_once(&limiter, "a", 1, LONG).unwrap();
    let exactly = spawn(&limiter, "a", 1, SECOND, start);
    let short = 2 * SECOND - Duration::from_nanos(1);
    let refused = at_once(&limiter, "a", 1, short).unwrap_err();
    assert_eq!(refused.reason(), Reason::RateLimit);
    assert_eq!(refused.retry_after(), Some(2 * SECOND));
    let second = spawn(&limiter, "a", 1, 2 * SECOND, start);
    assert_eq!(
        times([exactly, second]).await,
        [(1_000, true), (2_000, true)]
    );
    let status = limiter.status();
    assert_eq!((status.admitted, status.refused), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_at_or_after_its_deadline_and_a_refusal_says_so() {
    let limiter = limiter(&["1/second"], &[]);
    at_once(&limiter, "a", 1, LONG).unwrap();
    let ask = |deadline: Duration, max| {
        let mut demand = RateDemand::new(limiter.hash("a"), 1);
        demand.deadline = Some(now() + deadline);
        Waiting::new(limiter.clone(), max).admit(demand, &Now::new())
    };
    let refused = |verdict| match verdict {
        Verdict::Now(Err::<_, buttress_core::Rejection>(rejection)) => rejection,
        _ => panic!("it should be refused at once"),
    };
    let late = refused(ask(SECOND, LONG));
    assert_eq!(
        (late.reason(), late.when()),
        (Reason::Deadline, When::Unknown)
    );
    let both = refused(ask(SECOND, SECOND / 2));
    assert_eq!(both.reason(), Reason::RateLimit, "the wait is asked first");
    let Verdict::Later(in_time) = ask(SECOND + Duration::from_millis(1), LONG) else {
        panic!("it can start in time");
    };
    drop(in_time.await.unwrap());
    pass(SECOND).await;
    let Verdict::Now(Ok(_)) = ask(Duration::ZERO, LONG) else {
        panic!("who need not wait is served");
    };
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_others_delay_past_its_deadline_leaves_at_its_deadline() {
    let (limiter, start) = (limiter(&["1/second"], &["1/second"]), now());
    at_once(&limiter, "a", 1, LONG).unwrap();
    let mut demand = RateDemand::new(limiter.hash("b"), 1);
    demand.deadline = Some(start + Duration::from_millis(1_500));
    let verdict = Waiting::new(limiter.clone(), LONG).admit(demand, &Now::new());
    let Verdict::Later(wait) = verdict else {
        panic!("it waits for the limit of all");
    };
    // Less for everybody while it waits: its turn will come too late.
    limiter
        .set_limits(buttress_rate_limit::Limits {
            global: vec!["1/minute".parse().unwrap()],
            ..limiter.limits()
        })
        .unwrap();
    assert_eq!(wait.await.unwrap_err().reason(), Reason::Deadline);
    assert_eq!((now() - start).as_millis(), 1_500);
}

#[tokio::test(start_paused = true)]
async fn what_costs_nothing_never_waits() {
    let limiter = limiter(&["1/second"], &["1/second"]);
    at_once(&limiter, "a", 1, LONG).unwrap();
    let _waits = waits(&limiter, "a", 1);
    at_once(&limiter, "a", 0, Duration::ZERO).unwrap();
    limiter.check("a", 0).unwrap();
    limiter.would_admit("a", 0).unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_does_not_wait_goes_behind_those_who_do() {
    let limiter = limiter(&["1/second burst 2"], &[]);
    limiter.check("a", 2).unwrap();
    let mut big = waits(&limiter, "a", 2);
    pass(Duration::from_millis(1_500)).await;
    assert!(poll(&mut big).is_pending());
    let answers = [limiter.would_admit("a", 1), limiter.check("a", 1)];
    for answer in answers {
        let rejection = answer.expect_err("one unit is there, and is spoken for");
        assert_eq!(rejection.retry_after(), Some(SECOND + SECOND / 2));
        assert_eq!(rejection.limit().unwrap().key, limiter.hash("a"));
        assert!(rejection.violates(0));
    }
    limiter.check("b", 1).unwrap();
    assert_eq!(limiter.status().waiting, 1, "looking leaves nobody behind");
}

#[tokio::test(start_paused = true)]
async fn a_limit_for_all_keys_is_waited_for_in_order_of_arrival() {
    let (limiter, start) = (limiter(&[], &["2/second"]), now());
    let tasks = ["a", "b", "c", "a", "b"].map(|key| spawn(&limiter, key, 1, LONG, start));
    let expected = [0, 0, 500, 1_000, 1_500].map(|at| (at, true));
    assert_eq!(times(tasks).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_waits_for_itself_holds_back_nobody_else() {
    let (limiter, start) = (limiter(&["1/second"], &["4/second"]), now());
    let a = [(); 3].map(|()| spawn(&limiter, "a", 1, LONG, start));
    let b = [(); 2].map(|()| spawn(&limiter, "b", 1, LONG, start));
    let c = spawn(&limiter, "c", 1, LONG, start);
    assert_eq!(times(a).await, [(0, true), (1_000, true), (2_000, true)]);
    assert_eq!(times(b).await, [(0, true), (1_000, true)]);
    assert_eq!(times([c]).await, [(0, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_never_polled_keeps_nobody_from_going() {
    let (limiter, start) = (limiter(&["1/second"], &[]), now());
    at_once(&limiter, "a", 1, LONG).unwrap();
    let mut forgotten = waits(&limiter, "a", 1);
    let behind = [(); 2].map(|()| spawn(&limiter, "a", 1, LONG, start));
    // Nobody looked when its turn came, so it is given its units when the next comes to look.
    assert_eq!(times(behind).await, [(3_000, true), (4_000, true)]);
    assert!(poll(&mut forgotten).is_ready(), "its units are kept for it");
}

#[tokio::test(start_paused = true)]
async fn waiting_is_heard_by_an_observer() {
    let limiter = limiter(&["1/second"], &[]);
    let events = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let events = Arc::clone(&events);
        Arc::new(move |event: Event| events.lock().unwrap().push(event))
    };
    let observed = Observed::new(Waiting::new(limiter.clone(), LONG), observer);
    let ask = || observed.admit(RateDemand::new(limiter.hash("a"), 1), &Now::new());
    assert!(matches!(ask(), Verdict::Now(Ok(_))));
    let (Verdict::Later(stays), Verdict::Later(leaves)) = (ask(), ask()) else {
        panic!("both wait");
    };
    drop(leaves);
    drop(stays.await.unwrap());
    let heard = std::mem::take(&mut *events.lock().unwrap());
    let admitted = |event: &Event| matches!(event, Event::Admitted { shadowed: false });
    assert!(matches!(heard[1], Event::Ended(_)));
    assert!(admitted(&heard[0]) && admitted(&heard[7]));
    let waited = |time| Event::Waited(time);
    let left = [
        Event::Queued,
        Event::Queued,
        waited(Duration::ZERO),
        Event::Left,
    ];
    assert_eq!(heard[2..6], left);
    assert_eq!(heard[6], waited(Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn in_shadow_nobody_waits_and_nothing_is_spent_beyond_the_limit() {
    let limiter = limiter(&["1/second"], &[]);
    at_once(&limiter, "a", 1, LONG).unwrap();
    let mut waiting: Vec<_> = (0..3).map(|_| waits(&limiter, "a", 1)).collect();
    limiter.set_shadow(true);
    for wait in &mut waiting {
        let permit = match poll(wait) {
            std::task::Poll::Ready(answer) => answer.unwrap(),
            std::task::Poll::Pending => panic!("nobody waits in shadow"),
        };
        assert!(permit.ticket().is_some_and(buttress_core::Ticket::shadowed));
    }
    assert!(matches!(admit(&limiter, "a", 1, LONG), Verdict::Now(Ok(_))));
    let status = limiter.status();
    assert_eq!((status.admitted, status.refused), (1, 4));
    assert_eq!((status.waiting, status.shadow), (0, true));
    limiter.set_shadow(false);
    pass(SECOND).await;
    limiter.check("a", 1).unwrap();
    limiter.check("a", 1).unwrap_err();
}
