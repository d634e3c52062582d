//! Budgets around a real client and in front of a real server, over loopback.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use buttress::{Amounts, Dimension, TokenBudget, TokenBudgetLayer};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::response::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tower::util::BoxCloneService;
use tower::{BoxError, Layer, ServiceExt};

const ESTIMATE: u64 = 400;

fn budget() -> TokenBudget {
    let quota = "1000/hour rolling".parse().expect("it is a quota");
    TokenBudget::new(Dimension::TOTAL, quota)
}

/// What the budget's one key has spent.
fn spent(budget: &TokenBudget) -> u64 {
    let standing = &budget.balances("team")[0];
    1_000 - standing.remaining + standing.debt
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn events(events: &[&'static str], breaks: bool) -> Response<Body> {
    let events: Vec<Result<&'static str, &'static str>> = events
        .iter()
        .map(|event| Ok(*event))
        .chain(breaks.then_some(Err("the upstream breaks off")))
        .collect();
    // One after the other, so that each is a frame of its own.
    let frames = stream::iter(events).then(async |event| {
        tokio::task::yield_now().await;
        event
    });
    let response = Response::builder().header("content-type", "text/event-stream");
    let response = response.body(Body::from_stream(frames));
    response.expect("a response")
}

const CHUNK: &str = "data: {\"text\": \"once upon a time\"}\n\n";
const USAGE: &str = "data: {\"usage\": {\"total_tokens\": 123}}\n\ndata: [DONE]\n\n";

/// A provider: streams an answer, breaks off, refuses, or hangs, as its path says.
fn provider(asked: &Arc<Notify>) -> Router {
    let asked = Arc::clone(asked);
    Router::new()
        .route(
            "/stream",
            get(async || events(&[CHUNK, CHUNK, USAGE], false)),
        )
        .route("/breaks", get(async || events(&[CHUNK], true)))
        .route("/breaks-late", get(async || events(&[CHUNK, USAGE], true)))
        .route("/silent", get(async || events(&[CHUNK], false)))
        .route("/refuses", get(async || StatusCode::TOO_MANY_REQUESTS))
        .route(
            "/hangs",
            get(async move || {
                asked.notify_one();
                std::future::pending::<()>().await;
            }),
        )
}

/// Finds the usage in server-sent events, however they are cut into frames.
fn reader(_: &Parts) -> impl FnMut(&[u8]) -> Option<Amounts> + use<> {
    let mut line = Vec::new();
    let mut found = None;
    move |piece| {
        for &byte in piece {
            if byte != b'\n' {
                line.push(byte);
                continue;
            }
            let text = String::from_utf8_lossy(&line);
            let event = text.strip_prefix("data: ").unwrap_or_default();
            let event: Option<serde_json::Value> = serde_json::from_str(event).ok();
            let tokens = event.and_then(|event| event["usage"]["total_tokens"].as_u64());
            found = tokens.map(Amounts::total).or(found);
            line.clear();
        }
        found
    }
}

type Service = BoxCloneService<Request<Body>, Response<BoxBody>, BoxError>;
type BoxBody = http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>;

/// A client that holds itself to a budget.
fn client(budget: &TokenBudget) -> Service {
    let layer = TokenBudgetLayer::from(budget.clone())
        .by(|_: &Request<Body>| Some("team"))
        .estimate(Amounts::total(ESTIMATE))
        .measure_frames(reader);
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let service = layer.layer(client);
    let boxed = service
        .map_response(|response: Response<_>| response.map(boxed_body))
        .map_err(BoxError::from);
    BoxCloneService::new(boxed)
}

fn boxed_body<B>(body: B) -> BoxBody
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    body.map_err(Into::into).boxed_unsync()
}

fn request(address: SocketAddr, path: &str) -> Request<Body> {
    let request = Request::get(format!("http://{address}{path}"));
    request.body(Body::empty()).expect("a request")
}

/// What is spent at the head, and once the body has ended.
async fn spent_by(path: &str) -> (u64, u64) {
    let budget = budget();
    let address = serve(provider(&Arc::default())).await;
    let answer = client(&budget).oneshot(request(address, path)).await;
    let response = answer.expect("an answer");
    let at_head = spent(&budget);
    let mut body = response.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    drop(body);
    assert_eq!(budget.status().outstanding, 0);
    (at_head, spent(&budget))
}

#[tokio::test]
async fn the_usage_in_the_last_frame_takes_the_place_of_the_estimate() {
    assert_eq!(spent_by("/stream").await, (ESTIMATE, 123));
    assert_eq!(
        spent_by("/silent").await,
        (ESTIMATE, ESTIMATE),
        "it never said"
    );
}

#[tokio::test]
async fn a_stream_that_breaks_off_keeps_at_least_the_estimate() {
    assert_eq!(spent_by("/breaks").await, (ESTIMATE, ESTIMATE));
    assert_eq!(spent_by("/breaks-late").await, (ESTIMATE, ESTIMATE));
}

#[tokio::test]
async fn what_is_no_answer_gives_all_back_at_once() {
    assert_eq!(spent_by("/refuses").await, (0, 0));
    assert_eq!(spent_by("/not-found").await, (0, 0));
    let budget = budget();
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = gone.local_addr().expect("its address");
    drop(gone);
    let answer = client(&budget).oneshot(request(address, "/")).await;
    assert!(answer.is_err());
    assert_eq!(spent(&budget), 0);
}

#[tokio::test]
async fn a_caller_who_leaves_keeps_the_estimate_spent() {
    let (budget, asked) = (budget(), Arc::new(Notify::new()));
    let address = serve(provider(&asked)).await;
    let call = tokio::spawn(client(&budget).oneshot(request(address, "/hangs")));
    asked.notified().await;
    call.abort();
    assert!(call.await.is_err());
    assert_eq!((spent(&budget), budget.status().outstanding), (ESTIMATE, 0));
    // In the middle of the body, too.
    let address = serve(provider(&asked)).await;
    let answer = client(&budget).oneshot(request(address, "/stream")).await;
    let mut body = answer.expect("an answer").into_body();
    assert!(body.frame().await.is_some());
    drop(body);
    assert_eq!(
        (spent(&budget), budget.status().outstanding),
        (2 * ESTIMATE, 0)
    );
}

#[tokio::test]
async fn a_server_answers_what_is_over_the_budget() {
    let budget = budget();
    let layer = TokenBudgetLayer::from(budget.clone())
        .by(|_: &Request<Body>| Some("team"))
        .estimate(Amounts::total(600))
        .measure_body(|body: &[u8]| Some(Amounts::total(u64::try_from(body.len()).ok()?)))
        .respond_http();
    let slow = Arc::new(Notify::new());
    let release = Arc::clone(&slow);
    let handler = async move || {
        release.notified().await;
        "five!"
    };
    let app = Router::new().route("/", get(handler).route_layer(layer));
    let address = serve(app).await;
    let url = format!("http://{address}/");
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let running = tokio::spawn(client.get(&url).send());
    while budget.status().outstanding == 0 {
        tokio::task::yield_now().await;
    }
    let refused = client.get(&url).send().await.expect("an answer");
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "3600");
    slow.notify_one();
    let answer = running.await.expect("no panic").expect("an answer");
    assert_eq!(answer.text().await.expect("a body"), "five!");
    while budget.status().outstanding > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(spent(&budget), 5);
}
