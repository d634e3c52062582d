//! Another answer in place of an error.

use std::io;

use buttress_circuit_breaker::FallbackLayer;
use buttress_core::{Error, Rejection};
use futures_util::poll;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{FAILS, OK, SECOND, at, by_status, send, upstream};

#[tokio::test(start_paused = true)]
async fn a_value_steps_in_for_refusals_and_lets_the_rest_through() {
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::value(203_u16).refusals())
        .layer(at(1).classify(by_status))
        .service(upstream());
    assert_eq!(send(&service, FAILS).await.unwrap(), 500);
    assert_eq!(send(&service, OK).await.unwrap(), 203);
}

#[tokio::test(start_paused = true)]
async fn a_function_makes_something_of_the_error() {
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::function(
            |error: Error<_>| match Rejection::find(&error) {
                Some(rejection) => {
                    Ok(u16::try_from(rejection.retry_after().unwrap().as_secs()).unwrap())
                }
                None => Err(error),
            },
        ))
        .layer(at(1).classify(by_status))
        .service(upstream());
    send(&service, FAILS).await.unwrap();
    assert_eq!(send(&service, OK).await.unwrap(), 10);
}

#[tokio::test(start_paused = true)]
async fn another_service_is_readied_and_asked_with_the_same_request() {
    let (other, mut handle) = tower_test::mock::pair::<u32, u32>();
    handle.allow(0);
    let broken = service_fn(|_: u32| async { Err::<u32, _>("broken".into()) });
    let mut service = FallbackLayer::service(other).layer(broken);
    let mut answer = Box::pin(service.ready().await.unwrap().call(7));
    assert!(poll!(answer.as_mut()).is_pending());
    handle.allow(1);
    let (asked, _) = tokio::join!(handle.next_request(), async { poll!(answer.as_mut()) });
    let (request, send) = asked.unwrap();
    send.send_response(request * 2);
    assert_eq!(answer.await.unwrap(), 14);
}

#[tokio::test(start_paused = true)]
async fn it_can_step_in_for_responses_too() {
    let layer = FallbackLayer::value(200_u16).when(|result: Result<&u16, &_>| {
        let _: Result<&u16, &std::convert::Infallible> = result;
        matches!(result, Ok(500..))
    });
    let service = layer.layer(upstream());
    assert_eq!(send(&service, FAILS).await.unwrap(), 200);
    assert_eq!(send(&service, OK.taking(SECOND)).await.unwrap(), 200);
}

#[tokio::test]
async fn other_errors_pass_a_fallback_for_refusals() {
    let broken = service_fn(|(): ()| async { Err::<u8, _>(io::Error::other("broken")) });
    let service = FallbackLayer::value(1_u8).refusals().layer(broken);
    assert_eq!(service.oneshot(()).await.unwrap_err().to_string(), "broken");
}
