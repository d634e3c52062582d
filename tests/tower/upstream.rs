//! The upstream that users test their stacks with, below our own layers and tower's.

use std::time::Duration;

use buttress::test_util::{Reply, Scripted, advance, timed};
use buttress::{Error, Quota, RateLimitLayer};
use futures_util::future::join_all;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn it_hears_of_every_call_at_its_time() {
    let upstream = Scripted::new(|_: u32| Reply::<(), ()>::ok(()).after(SECOND));
    let pace = RateLimitLayer::new(Quota::per_second(2)).wait(SECOND * 60);
    let service = pace.layer(upstream.clone());
    let calls = (0..5).map(|call| service.clone().oneshot(call));
    let (answers, elapsed) = timed(join_all(calls)).await;
    assert!(answers.iter().all(Result::is_ok));
    let millis: Vec<_> = upstream
        .arrivals()
        .iter()
        .map(Duration::as_millis)
        .collect();
    assert_eq!(millis, [0, 0, 500, 1000, 1500]);
    assert_eq!(elapsed, SECOND * 5 / 2);
    assert_eq!((upstream.calls(), upstream.most_in_flight()), (5, 3));
    assert_eq!((upstream.in_flight(), upstream.abandoned()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn it_fails_and_hangs_as_it_is_told() {
    let upstream = Scripted::in_order([
        Reply::error("no").after(SECOND),
        Reply::never(),
        Reply::ok("yes"),
    ]);
    let limit = RateLimitLayer::new(Quota::per_hour(3));
    let service = ServiceBuilder::new().layer(limit).service(upstream.clone());

    let (failed, elapsed) = timed(service.clone().oneshot(())).await;
    assert_eq!((failed, elapsed), (Err(Error::Inner("no")), SECOND));
    let mut hanging = Box::pin(service.clone().oneshot(()));
    assert!(
        tokio::time::timeout(SECOND * 9, &mut hanging)
            .await
            .is_err()
    );
    assert_eq!((upstream.in_flight(), upstream.abandoned()), (1, 0));
    drop(hanging);
    assert_eq!((upstream.in_flight(), upstream.abandoned()), (0, 1));
    assert_eq!(service.oneshot(()).await, Ok("yes"));
}

#[tokio::test(start_paused = true)]
async fn advance_lets_every_timer_fire_at_its_own_time() {
    let begin = buttress::core::time::now();
    let ticks = tokio::spawn(async move {
        let mut ticks = Vec::new();
        for _ in 0..3 {
            let never = std::future::pending::<()>();
            let _ = tokio::time::timeout(SECOND, never).await;
            ticks.push(begin.elapsed());
        }
        ticks
    });
    advance(SECOND * 10).await;
    assert_eq!(begin.elapsed(), SECOND * 10);
    assert!(ticks.is_finished());
    assert_eq!(ticks.await.unwrap(), [SECOND, SECOND * 2, SECOND * 3]);
}

#[tokio::test]
#[should_panic(expected = "time is not frozen")]
async fn advance_says_that_the_clock_is_not_paused() {
    advance(SECOND).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the script has 1 replies, and there is one call more")]
async fn a_script_that_ran_out_is_a_test_that_failed() {
    let upstream = Scripted::in_order([Reply::<_, ()>::ok(())]);
    let _ = upstream.clone().oneshot(()).await;
    let _ = upstream.oneshot(()).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "without `poll_ready` on the same clone")]
async fn trap_04_a_clone_is_not_ready() {
    let mut upstream = Scripted::new(|()| Reply::<_, ()>::ok(()));
    let _ = upstream.ready().await.map(|ready| ready.clone().call(()));
}

#[test]
fn traits() {
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}

    #[tokio::main(flavor = "current_thread", start_paused = true)]
    async fn make() -> Scripted<u32, String, std::io::Error> {
        Scripted::new(|_| Reply::never())
    }
    shared(&make());
}
