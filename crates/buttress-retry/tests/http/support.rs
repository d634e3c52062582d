//! An upstream over HTTP that does what a test tells it, and what it sees.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_core::time::now;
use buttress_core::{AsError, Outcome, Reason, Rejection, When};
use buttress_http::{CallDeadline, ReplayBody};
use buttress_retry::{Attempt, HttpRetryLayer, Jitter, RetryLayer};
use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceExt, service_fn};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) type Sent = ReplayBody<Full<Bytes>>;

pub(crate) fn steady() -> RetryLayer {
    RetryLayer::exponential(SECOND..=8 * SECOND).jitter(Jitter::None)
}

pub(crate) fn http() -> HttpRetryLayer<AsError, ()> {
    steady().http()
}

/// What an attempt comes to: a status with fields, or an error.
#[derive(Clone, Copy)]
pub(crate) enum Does {
    Status(u16, &'static [(&'static str, &'static str)]),
    Error(io::ErrorKind),
    Refuses(Reason),
}

/// What an attempt was seen with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) at: u64,
    pub(crate) body: Bytes,
    pub(crate) attempt: Option<(u32, Option<Outcome>)>,
    pub(crate) field: Option<u32>,
    pub(crate) deadline: Option<u64>,
}

#[derive(Clone, Default)]
pub(crate) struct Upstream {
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Upstream {
    pub(crate) fn service<B>(
        &self,
        script: &'static [Does],
    ) -> impl Service<Request<B>, Response = Response<Full<Bytes>>, Error = io::Error, Future: Send>
    + Clone
    + use<B>
    where
        B: http_body::Body<Data: Send, Error: std::fmt::Debug> + Send + 'static,
    {
        let seen = Arc::clone(&self.seen);
        let start = now();
        service_fn(move |request: Request<B>| {
            let seen = Arc::clone(&seen);
            async move {
                let at = |instant: tokio::time::Instant| {
                    u64::try_from((instant - start).as_millis()).unwrap()
                };
                let (head, body) = request.into_parts();
                let number = {
                    let seen = seen.lock().unwrap();
                    seen.len()
                };
                let does = script[number.min(script.len() - 1)];
                let body = match does {
                    // Such a connection was never made, so nobody read the body.
                    Does::Error(io::ErrorKind::ConnectionRefused) => Bytes::new(),
                    _ => body.collect().await.unwrap().to_bytes(),
                };
                let attempt = head.extensions.get::<Attempt>();
                seen.lock().unwrap().push(Seen {
                    at: at(now()),
                    body,
                    attempt: attempt.map(|attempt| (attempt.number, attempt.cause)),
                    field: head
                        .headers
                        .get("x-buttress-attempt")
                        .map(|value| value.to_str().unwrap().parse().unwrap()),
                    deadline: head.extensions.get::<CallDeadline>().map(|end| at(end.0)),
                });
                answer(does)
            }
        })
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn times(&self) -> Vec<u64> {
        self.seen().iter().map(|seen| seen.at).collect()
    }
}

fn answer(does: Does) -> io::Result<Response<Full<Bytes>>> {
    let mut response = Response::new(Full::default());
    match does {
        Does::Error(kind) => return Err(kind.into()),
        Does::Refuses(reason) => {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            let rejection = Rejection::new(reason, When::Unknown);
            response.extensions_mut().insert(rejection);
        }
        Does::Status(status, fields) => {
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            for (name, value) in fields {
                response
                    .headers_mut()
                    .append(HeaderName::from_static(name), value.parse().unwrap());
            }
        }
    }
    Ok(response)
}

pub(crate) fn request(method: &Method) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri("/orders");
    request.body(Full::from("an order")).unwrap()
}

pub(crate) async fn status<S, B>(service: &S, request: Request<Full<Bytes>>) -> u16
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: std::fmt::Debug> + Clone,
{
    let response = service.clone().oneshot(request).await;
    response.unwrap().status().as_u16()
}

pub(crate) const OK: Does = Does::Status(200, &[]);
