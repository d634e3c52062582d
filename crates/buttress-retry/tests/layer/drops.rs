//! Callers that go away, at every point where they can.

use buttress_core::Now;
use buttress_retry::{BudgetRule, Jitter, RetryLayer};
use futures_util::poll;
use tower::Layer;

use crate::support::{Does, SECOND, Upstream, ms, send};

static ANSWER: Does = Does::Answers(1);
static FAILURE: Does = Does::Fails;

#[tokio::test(start_paused = true)]
async fn dropped_at_every_await_point_it_holds_nothing_and_sends_nothing_more() {
    let slow_failure = Does::After(ms(300), &FAILURE);
    let script = [slow_failure, slow_failure, Does::After(ms(300), &ANSWER)];
    // It ends after 300 + 1000 + 300 + 2000 + 300 milliseconds.
    let mut ended = 0;
    for steps in 0..45 {
        let layer = RetryLayer::exponential(SECOND..=8 * SECOND)
            .jitter(Jitter::None)
            .attempt_timeout(SECOND)
            .deadline(60 * SECOND)
            .budget(BudgetRule::in_flight(10, 1.0).unwrap());
        let budget = layer.retry_budget().clone();
        let upstream = Upstream::new(script);
        let service = layer.layer(upstream.clone());
        let mut call = Box::pin(send(&service, 1));
        let mut answer = None;
        for _ in 0..=steps {
            if let std::task::Poll::Ready(result) = poll!(&mut call) {
                answer = Some(result.unwrap());
                break;
            }
            tokio::time::advance(ms(100)).await;
        }
        ended += u32::from(answer.is_some());
        let calls = upstream.calls();
        drop((call, answer));
        assert_eq!(Upstream::count(&upstream.running), 0, "after {steps}");
        assert_eq!(Upstream::count(&upstream.responses), 0);
        assert_eq!(Upstream::count(&upstream.ready), 0);
        let snapshot = budget.snapshot(&Now::new());
        assert_eq!((snapshot.in_flight, snapshot.balance), (0, Some(10.0)));
        tokio::time::advance(60 * SECOND).await;
        assert_eq!(upstream.calls(), calls);
    }
    assert!(ended > 0 && ended < 45, "{ended}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_polled_has_sent_one_request() {
    use tower::{Service, ServiceExt};
    let upstream = Upstream::new([Does::Fails]);
    let mut service = RetryLayer::exponential(SECOND..=SECOND).layer(upstream.clone());
    let call = service.ready().await.unwrap().call(1);
    drop(call);
    assert_eq!(upstream.calls(), [0]);
    assert_eq!(Upstream::count(&upstream.running), 0);
}
