//! Among tower's own middleware, and where frameworks put services.

use buttress_core::{BoxError, Reason, Rejection, When};
use buttress_retry::{Jitter, OnBoxError, RetryLayer};
use tower::{Layer, Service, ServiceBuilder};

use crate::support::{Does, SECOND, Upstream, ms, send};

fn steady() -> RetryLayer {
    RetryLayer::exponential(SECOND..=8 * SECOND).jitter(Jitter::None)
}

#[tokio::test(start_paused = true)]
async fn around_a_buffer_and_inside_of_one() {
    let script = [
        Does::Fails,
        Does::Answers(1),
        Does::Fails,
        Does::Fails,
        Does::Answers(2),
    ];
    let upstream = Upstream::new(script);
    let service = ServiceBuilder::new()
        .layer(steady().retry_if(OnBoxError).as_box_error())
        .buffer(4)
        .service(upstream.clone());
    assert_eq!(send(&service, 1).await.unwrap().number, 1);
    assert_eq!(send(&service, 1).await.unwrap().number, 2);
    assert_eq!(upstream.calls(), [0, 1_000, 1_000, 2_000, 4_000]);

    let upstream = Upstream::new(script);
    let service = ServiceBuilder::new()
        .buffer(4)
        .layer(steady().as_box_error())
        .service(upstream.clone());
    assert_eq!(send(&service, 1).await.unwrap().number, 1);
    assert_eq!(send(&service, 1).await.unwrap().number, 2);
    assert_eq!(upstream.calls(), [0, 1_000, 1_000, 2_000, 4_000]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_found_in_a_box() {
    let open = Rejection::new(Reason::CircuitOpen, When::Unknown);
    let upstream = Upstream::new([Does::Refuses(open), Does::Answers(1)]);
    let service = ServiceBuilder::new()
        .layer(steady().retry_if(OnBoxError).as_box_error())
        .load_shed()
        .buffer(4)
        .timeout(60 * SECOND)
        .service(upstream.clone());
    let error: BoxError = send(&service, 1).await.err().unwrap();
    assert_eq!(Rejection::find(&*error), Some(&open));
    assert_eq!(upstream.calls(), [0]);
}

#[tokio::test(start_paused = true)]
async fn towers_timeout_outside_ends_the_pause() {
    let upstream = Upstream::new([Does::Fails]);
    let service = ServiceBuilder::new()
        .timeout(ms(500))
        .layer(steady())
        .service(upstream.clone());
    let error = send(&service, 1).await.err().unwrap();
    assert!(error.is::<tower::timeout::error::Elapsed>());
    tokio::time::advance(60 * SECOND).await;
    assert_eq!(upstream.calls(), [0]);
}

#[test]
fn services_and_their_futures_go_where_frameworks_put_them() {
    fn assert_service<S>(_: &S)
    where
        S: Service<u32> + Clone + Send + Sync + Unpin + 'static,
        S::Future: Send + 'static,
    {
    }
    fn inner() -> tower::util::BoxCloneSyncService<u32, u32, std::io::Error> {
        tower::util::BoxCloneSyncService::new(tower::service_fn(async |n: u32| Ok(n)))
    }
    assert_service(&steady().layer(inner()));
    assert_service(&steady().deadline(SECOND).as_box_error().layer(inner()));
    assert_service(&steady().copy_with(|n: &u32| Some(*n)).layer(inner()));
    assert_service(&RetryLayer::envoy().observe(()).layer(inner()));
}
