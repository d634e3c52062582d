//! Requests that come whether or not the earlier ones have been answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use buttress_core::time::{Instant, now};
use buttress_priority_queue::Priority;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;

use crate::stacks::{PRIORITY, WORKERS};

/// How long a caller waits for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) priority: Priority,
    /// After the first request.
    pub(crate) at: Duration,
    pub(crate) took: Duration,
    pub(crate) served: bool,
}

#[derive(Clone)]
struct Caller {
    client: Client<HttpConnector, Body>,
    uri: Arc<str>,
    start: Instant,
}

impl Caller {
    fn new(address: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            uri: format!("http://{address}/").into(),
            start: now(),
        }
    }

    async fn call(&self, priority: Priority) -> Ended {
        let request = Request::get(&*self.uri).header(PRIORITY, priority.as_str());
        let request = request.body(Body::empty()).expect("a request");
        let begin = now();
        let answer = async {
            let response = self.client.request(request).await.ok()?;
            let status = response.status();
            response.into_body().collect().await.ok()?;
            Some(status == StatusCode::OK)
        };
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        Ended {
            priority,
            at: now() - self.start,
            took: begin.elapsed(),
            served: matches!(answer, Ok(Some(true))),
        }
    }
}

/// How many requests a second are served when as many callers as there are workers each send their next
/// request when the last is answered.
pub(crate) async fn capacity(address: SocketAddr, time: Duration) -> f64 {
    let caller = Caller::new(address);
    let mut callers = JoinSet::new();
    for _ in 0..WORKERS {
        let caller = caller.clone();
        callers.spawn(async move {
            let mut served = 0_u32;
            while caller.start.elapsed() < time {
                served += u32::from(caller.call(Priority::Medium).await.served);
            }
            served
        });
    }
    let served: u32 = callers.join_all().await.into_iter().sum();
    f64::from(served) / caller.start.elapsed().as_secs_f64()
}

/// How long critical requests take that come one after the other.
pub(crate) async fn unloaded(address: SocketAddr) -> Vec<Duration> {
    let caller = Caller::new(address);
    let mut took = Vec::new();
    for _ in 0..100 {
        took.push(caller.call(Priority::Critical).await.took);
    }
    took
}

/// Offers so many requests a second, at random times.
pub(crate) async fn offer(address: SocketAddr, rate: f64, time: Duration) -> Vec<Ended> {
    let caller = Caller::new(address);
    let mut random = Random(1);
    let mut running = JoinSet::new();
    let mut at = 0.0;
    while at < time.as_secs_f64() {
        tokio::time::sleep_until(caller.start + Duration::from_secs_f64(at)).await;
        let (caller, priority) = (caller.clone(), priority_of(random.uniform()));
        running.spawn(async move { caller.call(priority).await });
        // The pause to the next is distributed exponentially.
        at -= (1.0 - random.uniform()).ln() / rate;
    }
    running.join_all().await
}

/// 5 % are critical, 5 % high, 10 % medium: at ten times the capacity those alone are twice what can be
/// served.
fn priority_of(uniform: f64) -> Priority {
    match uniform {
        part if part < 0.05 => Priority::Critical,
        part if part < 0.10 => Priority::High,
        part if part < 0.20 => Priority::Medium,
        _ => Priority::Low,
    }
}

/// `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    /// From 0 up to but not 1.
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        (word >> 11) as f64 / (1_u64 << 53) as f64
    }
}
