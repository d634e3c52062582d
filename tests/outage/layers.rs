//! An upstream that answers every request with 503 for twelve seconds.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use buttress::core::Now;
use buttress::core::time::{Instant, now};
use buttress::{BudgetRule, CircuitBreakerLayer, RetryLayer};
use http::{Request, StatusCode};
use tower::ServiceBuilder;

use crate::load::{Ended, client, name_of, offer, report};

const UNBROKEN: &str = "nobody panics while holding it";
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const PER_SECOND: u32 = 200;
const BEGIN: Duration = Duration::from_secs(1);
const END: Duration = Duration::from_secs(13);
const ALL: Duration = Duration::from_secs(18);
const OPEN: Duration = Duration::from_secs(2);
/// What the default budget starts with.
const RESERVE: usize = 100;

/// A request as the upstream saw it.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    name: u32,
    at: Duration,
    served: bool,
}

/// What the upstream saw, and what the callers got.
struct Run {
    stack: &'static str,
    arrivals: Vec<Arrival>,
    ended: Vec<Ended>,
}

impl Run {
    fn in_the_outage(&self) -> impl Iterator<Item = &Arrival> {
        let arrivals = self.arrivals.iter();
        arrivals.filter(|arrival| (BEGIN..END).contains(&arrival.at))
    }

    /// Calls of the upstream for each request of the outage, without so many that a reserve paid for.
    fn amplification(&self, reserve: usize) -> f64 {
        let requests = f64::from(PER_SECOND) * (END - BEGIN).as_secs_f64();
        (self.in_the_outage().count() - reserve) as f64 / requests
    }

    /// How long after the end of the outage somebody was served again.
    fn recovery(&self) -> Duration {
        let served = self.ended.iter().filter(|ended| ended.served);
        let first = served.map(|ended| ended.at).filter(|at| *at >= END).min();
        first.expect("it recovers") - END
    }

    /// How many requests that came at that time or later were not served.
    fn lost_from(&self, from: Duration) -> usize {
        let late = self.ended.iter().filter(|ended| ended.issued >= from);
        late.filter(|ended| !ended.served).count()
    }

    /// Which requests the upstream served, and which of them got that answer.
    fn served(&self) -> (HashSet<u32>, HashSet<u32>) {
        let arrivals = self.arrivals.iter().filter(|arrival| arrival.served);
        let ended = self.ended.iter().filter(|ended| ended.served);
        (
            arrivals.map(|arrival| arrival.name).collect(),
            ended.map(|ended| ended.name).collect(),
        )
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:20} {:6} calls in the outage, {:.3} a request; {:4} ms to recover; {} lost after that",
            self.stack,
            self.in_the_outage().count(),
            self.amplification(0),
            self.recovery().as_millis(),
            self.lost_from(END + self.recovery()),
        )
    }
}

/// Answers after a millisecond, and notes it.
fn upstream(start: Instant) -> (Router, Arc<Mutex<Vec<Arrival>>>) {
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&arrivals);
    let app = Router::new().fallback(async move |request: Request<Body>| {
        let at = now() - start;
        let served = !(BEGIN..END).contains(&at);
        let name = name_of(request.headers());
        seen.lock()
            .expect(UNBROKEN)
            .push(Arrival { name, at, served });
        tokio::time::sleep_until(start + at + MS).await;
        match served {
            true => (StatusCode::OK, "yes"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "down"),
        }
    });
    (app, arrivals)
}

fn retry() -> RetryLayer {
    let pauses = SECOND / 2..=8 * SECOND;
    RetryLayer::exponential(pauses).attempts(4).seed(1)
}

async fn retrying(stack: &'static str, retry: RetryLayer) -> Run {
    let start = now();
    let (app, arrivals) = upstream(start);
    let service = ServiceBuilder::new()
        .layer(retry.http().wrap_bodies(Body::new))
        .service(client(app));
    let ended = offer(service, start, PER_SECOND, ALL).await;
    let arrivals = arrivals.lock().expect(UNBROKEN).clone();
    let run = Run {
        stack,
        arrivals,
        ended,
    };
    report(&run);
    run
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_an_outage_gets_every_attempt() {
    let run = retrying(
        "retries, no budget",
        retry().budget(BudgetRule::unlimited()),
    )
    .await;
    // Those whose last attempt is made at the latest half, one and two seconds after the first.
    let whole = BEGIN..END - 4 * SECOND;
    let requests = run.ended.iter();
    let requests: HashSet<u32> = requests
        .filter(|ended| whole.contains(&ended.issued))
        .map(|ended| ended.name)
        .collect();
    let calls = run.arrivals.iter();
    let calls = calls.filter(|arrival| requests.contains(&arrival.name));
    assert_eq!(calls.count(), 4 * requests.len());
    assert!(run.amplification(0) > 3.3);
}

#[tokio::test(start_paused = true)]
async fn a_budget_bounds_what_an_outage_gets() {
    let layer = retry();
    let budget = layer.retry_budget().clone();
    let run = retrying("retries, budget", layer).await;

    assert!(budget.snapshot(&Now::new()).refused > 0, "it was spent");
    let steady = run.amplification(RESERVE);
    // One, the ratio, and the floor over the rate: 1 + 0.2 + 10/200.
    assert!(steady > 1.2 && steady <= 1.25, "{steady}");
    let retries = run.arrivals.len() - run.ended.len();
    let allowed = budget.snapshot(&Now::new()).allowed;
    assert_eq!(retries as u64, allowed, "every retry was paid for");

    assert_eq!(run.lost_from(END), 0, "who comes after it is served");
    assert!(run.recovery() <= 6 * MS, "{:?}", run.recovery());
    let (served, got) = run.served();
    assert_eq!(served, got);
}

#[tokio::test(start_paused = true)]
async fn with_a_breaker_an_outage_gets_probes_and_one_of_them_ends_it() {
    let start = now();
    let (app, arrivals) = upstream(start);
    let breaker = CircuitBreakerLayer::failure_rate(0.5)
        .window(SECOND)
        .minimum_calls(20)
        .open_for(OPEN);
    let circuit = breaker.breaker().clone();
    let layer = retry();
    let budget = layer.retry_budget().clone();
    let service = ServiceBuilder::new()
        .layer(layer.retry_refused().http().wrap_bodies(Body::new))
        .layer(breaker.respond_http())
        .service(client(app));
    let ended = offer(service, start, PER_SECOND, ALL).await;
    let arrivals = arrivals.lock().expect(UNBROKEN).clone();
    let run = Run {
        stack: "retries and breaker",
        arrivals,
        ended,
    };
    report(&run);

    // Half of the last second failed: so much of an outage trips it, and then there is a probe every two
    // seconds.
    assert!(run.amplification(0) < 0.25, "{}", run.amplification(0));
    let tripped = BEGIN + SECOND;
    let late = run.in_the_outage().filter(|arrival| arrival.at >= tripped);
    let probes: Vec<Duration> = late.map(|probe| probe.at).collect();
    assert!((5..=6).contains(&probes.len()), "{probes:?}");
    assert!(probes.windows(2).all(|pair| pair[1] - pair[0] >= OPEN));
    assert!(
        budget.snapshot(&Now::new()).allowed < 300,
        "refusals of the breaker cost nothing of it"
    );

    // The next probe after the end is served and closes.
    let last = *probes.last().expect("probes");
    let after = run.arrivals.iter().find(|arrival| arrival.at >= END);
    let probe = after.expect("a probe");
    assert!(probe.served);
    assert!(probe.at - last <= OPEN + 7 * MS, "{:?}", (last, probe.at));
    assert!(run.recovery() <= OPEN + 7 * MS);
    let metrics = circuit.metrics();
    assert_eq!(metrics.state, buttress::circuit_breaker::State::Closed);
    assert_eq!(metrics.opened, 1 + probes.len() as u64);

    // Who was refused since the last probe failed came back as told, and was served.
    assert_eq!(run.lost_from(last + 2 * MS), 0);
    let (served, got) = run.served();
    assert_eq!(served, got);
}
