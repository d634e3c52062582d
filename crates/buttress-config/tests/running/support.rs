//! An upstream that does what a test says.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use buttress_config::{Stack, StackBody, StackConfig, StackRequest, StackService};
use buttress_core::time::now;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tower::{Layer, Service, ServiceExt};

pub(crate) type Answer = Response<StackBody>;

pub(crate) fn stack(text: &str) -> Stack {
    let config = StackConfig::from_toml(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    config.build().unwrap().key(key)
}

/// The field `key`, as text.
pub(crate) fn key(request: &StackRequest) -> Option<String> {
    let key = request.headers().get("key")?;
    key.to_str().ok().map(str::to_owned)
}

/// Answers after the milliseconds of the field `takes` with the status of the field `status` and with the
/// body that it was sent, and counts.
#[derive(Clone, Default)]
pub(crate) struct Upstream {
    pub(crate) calls: Arc<AtomicUsize>,
    pub(crate) running: Arc<AtomicUsize>,
}

/// Gives its place back however a call ends.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Upstream {
    pub(crate) fn behind(&self, stack: &Stack) -> StackService<Infallible> {
        stack.layer().layer(self.clone())
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Service<StackRequest> for Upstream {
    type Response = Answer;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: StackRequest) -> Self::Future {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.running.fetch_add(1, Ordering::SeqCst);
        let running = Running(Arc::clone(&self.running));
        Box::pin(async move {
            let number = |name: &str| {
                let value = request.headers().get(name)?;
                value.to_str().ok()?.parse::<u16>().ok()
            };
            let (takes, status) = (
                number("takes").unwrap_or(0),
                number("status").unwrap_or(200),
            );
            if takes > 0 {
                tokio::time::sleep_until(now() + Duration::from_millis(takes.into())).await;
            }
            let body = request.into_body().collect().await.unwrap().to_bytes();
            drop(running);
            let mut response = Response::new(StackBody::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            Ok(response)
        })
    }
}

pub(crate) fn request(key: &str) -> Request<StackBody> {
    asking(key, 0, 200)
}

pub(crate) fn asking(key: &str, takes: u16, status: u16) -> Request<StackBody> {
    Request::get("/")
        .header("key", key)
        .header("takes", takes)
        .header("status", status)
        .body(StackBody::default())
        .unwrap()
}

/// Sends a request and reads its answer to the end.
pub(crate) async fn send(
    service: &StackService<Infallible>,
    request: Request<StackBody>,
) -> (StatusCode, Bytes) {
    let answer = service.clone().oneshot(request).await.unwrap();
    let (head, body) = answer.into_parts();
    (head.status, body.collect().await.unwrap().to_bytes())
}

pub(crate) async fn status(service: &StackService<Infallible>, request: Request<StackBody>) -> u16 {
    send(service, request).await.0.as_u16()
}
