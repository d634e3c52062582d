//! Requests at a steady rate, and what becomes of them.

use std::fmt::Display;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use buttress::core::time::{Instant, now};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use tower::{Service, ServiceExt};

use crate::memory::in_memory;

/// The field that names a request, so that its attempts can be told from those of others.
const NAME: &str = "x-request";

/// What became of a request. Times count from the first request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) name: u32,
    pub(crate) issued: Duration,
    pub(crate) at: Duration,
    pub(crate) served: bool,
}

/// hyper's client, which reaches nothing but the app.
pub(crate) fn client(
    app: Router,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Error, Future: Send>
+ Clone
+ Send
+ 'static {
    Client::builder(TokioExecutor::new())
        .build::<_, Body>(in_memory(app))
        .map_response(|response| response.map(Body::new))
}

/// Sends so many requests a second for so long, whether or not the earlier ones have been answered, and
/// reads what is answered to its end.
pub(crate) async fn offer<S, B>(
    service: S,
    start: Instant,
    per_second: u32,
    time: Duration,
) -> Vec<Ended>
where
    S: Service<Request<Body>, Response = Response<B>, Error: Send, Future: Send>
        + Clone
        + Send
        + 'static,
    B: http_body::Body<Data: Send, Error: Send> + Send,
{
    let requests = per_second * u32::try_from(time.as_secs()).expect("seconds");
    let mut running = Vec::new();
    for name in 0..requests {
        let issued = name * Duration::from_secs(1) / per_second;
        tokio::time::sleep_until(start + issued).await;
        let request = Request::get("http://memory/").header(NAME, name);
        let request = request.body(Body::empty()).expect("a request");
        let answer = service.clone().oneshot(request);
        running.push(tokio::spawn(async move {
            let served = match answer.await {
                Ok(response) => {
                    let is_success = response.status().is_success();
                    response.into_body().collect().await.is_ok() && is_success
                }
                Err(_) => false,
            };
            let at = now() - start;
            Ended {
                name,
                issued,
                at,
                served,
            }
        }));
    }
    let mut ended = Vec::new();
    for each in running {
        ended.push(each.await.expect("no panic"));
    }
    ended
}

/// Which request an attempt belongs to.
pub(crate) fn name_of(headers: &HeaderMap) -> u32 {
    let name = headers[NAME].to_str().expect("digits");
    name.parse().expect("a number")
}

/// Shows a line of the report, under `--nocapture`.
#[expect(clippy::print_stdout, reason = "a report is there to be read")]
pub(crate) fn report(line: impl Display) {
    println!("{line}");
}
