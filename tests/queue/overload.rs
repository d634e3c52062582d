//! Ten times what can be served, over real HTTP in virtual time: what is served, how long the critical take,
//! and whether the least urgent still move.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use buttress::core::time::{Instant, later, now};
use buttress::{Priority, PriorityQueueLayer};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;

use crate::memory::in_memory;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const SERVICE: Duration = Duration::from_millis(50);
const PLACES: u32 = 12;
/// Twelve places of 50 ms.
const CAPACITY: u32 = 240;
/// The first who are low have become critical, and are served.
const WARM_UP: Duration = Duration::from_secs(4);
const TIME: Duration = Duration::from_secs(8);
/// Of 20 requests one is critical, one high, two are medium. At ten times the capacity those alone are twice
/// what can be served.
const MIX: u32 = 20;

fn priority_of(number: u32) -> Priority {
    match number * 7 % MIX {
        0 => Priority::Critical,
        13 => Priority::High,
        4 | 16 => Priority::Medium,
        _ => Priority::Low,
    }
}

fn read_priority(request: &Request<Body>) -> Priority {
    let said = request.headers().get("x-priority");
    let name = said.and_then(|said| said.to_str().ok());
    name.and_then(Priority::from_name).unwrap_or_default()
}

/// Works on so many at a time, whatever comes.
fn upstream() -> Router {
    let workers = Arc::new(Semaphore::new(
        usize::try_from(PLACES).expect("a small number"),
    ));
    Router::new().fallback(async move || {
        let worker = workers.acquire().await;
        tokio::time::sleep_until(later(now(), SERVICE)).await;
        drop(worker);
        StatusCode::OK
    })
}

#[derive(Clone, Copy, Debug)]
struct Ended {
    priority: Priority,
    at: Duration,
    took: Duration,
    served: bool,
}

/// What came of a load.
struct Run {
    times: u32,
    ended: Vec<Ended>,
}

impl Run {
    fn served(&self, priority: Option<Priority>) -> impl Iterator<Item = &Ended> {
        self.ended.iter().filter(move |ended| {
            let asked = priority.is_none_or(|priority| ended.priority == priority);
            asked && ended.served && (WARM_UP..TIME).contains(&ended.at)
        })
    }

    /// Served a second.
    fn goodput(&self, priority: Option<Priority>) -> f64 {
        self.served(priority).count() as f64 / (TIME - WARM_UP).as_secs_f64()
    }

    fn slowest_but_one_in_a_hundred(&self, priority: Priority) -> Duration {
        let mut took: Vec<_> = self
            .served(Some(priority))
            .map(|ended| ended.took)
            .collect();
        took.sort();
        let place = (took.len() * 99).div_ceil(100).saturating_sub(1);
        took.get(place).copied().unwrap_or_default()
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:2}x {:6.1}/s", self.times, self.goodput(None))?;
        for priority in Priority::ALL {
            let slowest = self.slowest_but_one_in_a_hundred(priority).as_millis();
            let goodput = self.goodput(Some(priority));
            write!(f, "; {priority} {goodput:.1}/s, p99 {slowest} ms")?;
        }
        Ok(())
    }
}

/// Offers so many times the capacity, one request after the other.
async fn offer(times: u32, ageing: Option<Duration>) -> Run {
    let mut layer = PriorityQueueLayer::new(PLACES).capacity(100);
    if let Some(ageing) = ageing {
        layer = layer.ageing(ageing);
        for priority in Priority::ALL {
            layer = layer.capacity_of(priority, 25);
        }
    }
    let app = upstream().layer(layer.by(read_priority).respond_http());
    let client = Client::builder(TokioExecutor::new()).build::<_, Body>(in_memory(app));
    let start: Instant = now();
    let per_second = CAPACITY * times;
    let mut running = Vec::new();
    for number in 0..per_second * u32::try_from(TIME.as_secs()).expect("seconds") {
        tokio::time::sleep_until(start + number * SECOND / per_second).await;
        let (client, priority) = (client.clone(), priority_of(number));
        running.push(tokio::spawn(async move {
            let request = Request::get("http://memory/").header("x-priority", priority.as_str());
            let request = request.body(Body::empty()).expect("a request");
            let begin = now();
            let response = client.request(request).await.expect("an answer");
            let served = response.status() == StatusCode::OK;
            response.into_body().collect().await.expect("its body");
            Ended {
                priority,
                at: now() - start,
                took: begin.elapsed(),
                served,
            }
        }));
    }
    let mut ended = Vec::new();
    for each in running {
        ended.push(each.await.expect("no panic"));
    }
    let run = Run { times, ended };
    report(&run);
    run
}

#[expect(clippy::print_stdout, reason = "a report is there to be read")]
fn report(run: &Run) {
    println!("{run}");
}

#[tokio::test(start_paused = true)]
async fn whatever_is_offered_the_capacity_is_used_and_the_critical_are_served_in_time() {
    for times in [1, 10] {
        let run = offer(times, Some(SECOND)).await;
        let capacity = f64::from(CAPACITY);
        let goodput = run.goodput(None);
        assert!(
            (0.95 * capacity..=capacity + 1.0).contains(&goodput),
            "{run}"
        );
        let critical = run.slowest_but_one_in_a_hundred(Priority::Critical);
        assert!(critical <= 2 * SERVICE + 2 * MS, "{run}");
        let refused = run.ended.iter().filter(|ended| !ended.served);
        let refused = refused.filter(|ended| ended.priority == Priority::Critical);
        assert_eq!(refused.count(), 0, "{run}");
        assert!(run.goodput(Some(Priority::Low)) > 0.02 * capacity, "{run}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_ageing_the_least_urgent_stand_still_under_ten_times_the_load() {
    let run = offer(10, None).await;
    assert!(
        run.goodput(Some(Priority::Low)) < 0.02 * f64::from(CAPACITY),
        "{run}"
    );
}
