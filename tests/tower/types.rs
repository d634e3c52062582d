//! What frameworks and containers demand of a service.

use std::convert::Infallible;

use axum::body::Body;
use buttress::{ClientIp, Quota, RateLimitLayer};
use http::{Request, Response};
use tower::util::{BoxCloneService, BoxCloneSyncService, BoxService};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{SECOND, echo};

fn assert_service<S, Req>(_: &S)
where
    S: Service<Req> + Clone + Send + Sync + Unpin + 'static,
    S::Future: Send + 'static,
{
}

async fn page(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::from("yes")))
}

#[test]
fn services_and_their_futures_go_where_frameworks_put_them() {
    let quota = || Quota::per_minute(1);
    let plain = || RateLimitLayer::new(quota());
    assert_service(&plain().layer(service_fn(echo)));
    assert_service(&plain().as_box_error().layer(service_fn(echo)));
    assert_service(&plain().wait(SECOND).layer(service_fn(echo)));
    assert_service(&plain().by(|call: &u32| Some(*call)).layer(service_fn(echo)));

    let by_client = || plain().by(ClientIp::peer());
    assert_service(&by_client().respond_http().headers().layer(service_fn(page)));
    assert_service(&by_client().respond_http_any_body().layer(service_fn(page)));
    assert_service(
        &by_client()
            .wait(SECOND)
            .respond_http()
            .layer(service_fn(page)),
    );
    let own = |_: &buttress::http::Refusal<'_>| Response::new(Body::empty());
    assert_service(&by_client().respond_http_with(own).layer(service_fn(page)));
}

#[tokio::test(start_paused = true)]
async fn boxes_share_the_limit_that_is_in_them() {
    let service = RateLimitLayer::new(Quota::per_minute(3)).layer(service_fn(echo));
    let boxed = BoxService::new(service.clone());
    let cloned = BoxCloneService::new(service.clone());
    let synced = BoxCloneSyncService::new(service.clone());
    assert!(boxed.oneshot(1).await.is_ok());
    assert!(cloned.clone().oneshot(1).await.is_ok());
    assert!(synced.clone().oneshot(1).await.is_ok());
    assert!(cloned.oneshot(1).await.is_err());
    assert!(synced.oneshot(1).await.is_err());
    assert!(service.oneshot(1).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn services_that_one_layer_made_share_its_limit() {
    let layer = RateLimitLayer::new(Quota::per_minute(2));
    let (first, second) = (
        layer.layer(service_fn(echo)),
        layer.clone().layer(service_fn(echo)),
    );
    assert!(first.clone().oneshot(1).await.is_ok());
    assert!(second.clone().oneshot(1).await.is_ok());
    assert!(first.oneshot(1).await.is_err());
    assert!(second.oneshot(1).await.is_err());
}
