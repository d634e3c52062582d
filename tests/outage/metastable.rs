//! The metastable failure of "Metastable Failures in Distributed Systems" (Bronson and others, HotOS 2021):
//! a database that serves 300 queries a second gets 280, stands still for ten seconds, and then gets 560,
//! because every query that took too long is sent once more. It never gets well by itself, although it
//! could serve what is asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use buttress::core::time::{Instant, now};
use buttress::{BudgetRule, CircuitBreakerLayer, RetryLayer, TimeoutLayer};
use http::StatusCode;
use tower::ServiceBuilder;

use crate::load::{Ended, client, offer, report};

const UNBROKEN: &str = "nobody panics while holding it";
const SECOND: Duration = Duration::from_secs(1);
const PER_SECOND: u32 = 280;
const CAPACITY: u32 = 300;
const STALL: Duration = Duration::from_secs(2);
const STALLED_UNTIL: Duration = Duration::from_secs(12);
/// How many queries wait in the database at most.
const QUEUE: u32 = 360;
const TIMEOUT: Duration = SECOND;
const OPEN: Duration = Duration::from_secs(2);

/// Works on one query after the other, also for callers who have gone.
#[derive(Debug, Default)]
struct Database {
    /// When it is done with all that it has taken on.
    free_at: Duration,
    /// When queries came, worked on or not.
    queries: Vec<Duration>,
}

impl Database {
    /// When the query will be answered; none if there is no room for it.
    fn query(&mut self, at: Duration) -> Option<Duration> {
        self.queries.push(at);
        let begin = match (STALL..STALLED_UNTIL).contains(&at) {
            true => self.free_at.max(STALLED_UNTIL),
            false => self.free_at.max(at),
        };
        let queued = begin - at.max(STALLED_UNTIL).min(begin);
        if queued >= QUEUE * SECOND / CAPACITY {
            return None;
        }
        self.free_at = begin + SECOND / CAPACITY;
        Some(self.free_at)
    }

    fn queries_in(&self, second: u64) -> usize {
        let queries = self.queries.iter();
        queries.filter(|at| at.as_secs() == second).count()
    }
}

fn app(start: Instant) -> (Router, Arc<Mutex<Database>>) {
    let database = Arc::new(Mutex::new(Database::default()));
    let asked = Arc::clone(&database);
    let app = Router::new().fallback(async move || {
        let done = asked.lock().expect(UNBROKEN).query(now() - start);
        match done {
            Some(done) => {
                tokio::time::sleep_until(start + done).await;
                (StatusCode::OK, "rows")
            }
            None => (StatusCode::SERVICE_UNAVAILABLE, "full"),
        }
    });
    (app, database)
}

/// One retry, at once.
fn retry() -> RetryLayer {
    RetryLayer::exponential(Duration::ZERO..=Duration::ZERO).attempts(2)
}

/// How many of the requests of a second were served.
fn served_in(ended: &[Ended], second: u64) -> usize {
    let asked = ended
        .iter()
        .filter(|ended| ended.issued.as_secs() == second);
    asked.filter(|ended| ended.served).count()
}

fn table(stack: &str, ended: &[Ended], database: &Database, last: u64) {
    report(format_args!(
        "{stack}: second, requests served of {PER_SECOND}, queries"
    ));
    for second in [1, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 27] {
        if second <= last {
            let served = served_in(ended, second);
            let queries = database.queries_in(second);
            report(format_args!("{second:4} {served:4} {queries:4}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn retries_alone_hold_a_database_down_that_could_serve_all() {
    let start = now();
    let (app, database) = app(start);
    let service = ServiceBuilder::new()
        .layer(
            retry()
                .budget(BudgetRule::unlimited())
                .http()
                .wrap_bodies(Body::new),
        )
        .layer(TimeoutLayer::new(TIMEOUT).respond_http())
        .service(client(app));
    let ended = offer(service, start, PER_SECOND, 24 * SECOND).await;
    let database = database.lock().expect(UNBROKEN);
    table("retries alone", &ended, &database, 23);
    assert_eq!(served_in(&ended, 1), 280);
    let served: usize = (13..23).map(|second| served_in(&ended, second)).sum();
    assert_eq!(served, 0);
    // The callers' timeouts make it come in waves.
    let queries: usize = (13..23).map(|second| database.queries_in(second)).sum();
    assert!((540..=580).contains(&(queries / 10)), "{queries}");
}

#[tokio::test(start_paused = true)]
async fn a_budget_and_a_breaker_let_it_recover_by_itself() {
    let start = now();
    let (app, database) = app(start);
    let breaker = CircuitBreakerLayer::failure_rate(0.5)
        .window(SECOND)
        .minimum_calls(20)
        .open_for(OPEN);
    let service = ServiceBuilder::new()
        .layer(retry().http().wrap_bodies(Body::new))
        .layer(breaker.respond_http())
        .layer(TimeoutLayer::new(TIMEOUT).respond_http())
        .service(client(app));
    let ended = offer(service, start, PER_SECOND, 20 * SECOND).await;
    let database = database.lock().expect(UNBROKEN);
    table("budget and breaker", &ended, &database, 19);
    for second in 4..12 {
        assert!(database.queries_in(second) <= 2, "in second {second}");
    }
    for second in 16..20 {
        assert_eq!(served_in(&ended, second), 280, "in second {second}");
        assert_eq!(database.queries_in(second), 280, "in second {second}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_alone_lets_it_recover_though_slowly() {
    let start = now();
    let (app, database) = app(start);
    let service = ServiceBuilder::new()
        .layer(retry().http().wrap_bodies(Body::new))
        .layer(TimeoutLayer::new(TIMEOUT).respond_http())
        .service(client(app));
    let ended = offer(service, start, PER_SECOND, 28 * SECOND).await;
    let database = database.lock().expect(UNBROKEN);
    table("budget alone", &ended, &database, 27);
    // Attempts that time out pay nothing in, so that only the floor of ten a second is left: 290 of 300.
    for second in 14..17 {
        assert_eq!(database.queries_in(second), 290, "in second {second}");
    }
    for second in 25..28 {
        assert_eq!(served_in(&ended, second), 280, "in second {second}");
        assert_eq!(database.queries_in(second), 280, "in second {second}");
    }
}
