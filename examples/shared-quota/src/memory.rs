//! The provider without a network.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http::{Request, Response};
use http_body::Frame;
use provider_stub::Provider;
use tower::{Service, ServiceExt, service_fn};

/// The provider as a service of reqwest's bodies, as reqwest itself is.
pub(crate) fn service(
    provider: &Provider,
) -> impl Service<
    Request<reqwest::Body>,
    Response = Response<reqwest::Body>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static {
    let router = provider.router();
    service_fn(move |request: Request<reqwest::Body>| {
        let router = router.clone();
        async move {
            let response = router.oneshot(request.map(Body::new)).await?;
            Ok(response.map(|body| reqwest::Body::wrap(Shareable(Mutex::new(body)))))
        }
    })
}

/// reqwest's bodies can be shared between threads, axum's cannot.
struct Shareable(Mutex<Body>);

impl http_body::Body for Shareable {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.get_mut().0.get_mut() {
            Ok(body) => Pin::new(body).poll_frame(context),
            Err(_) => Poll::Ready(None),
        }
    }
}
