//! Bodies that end in time or are cut off, answers, and deadlines that are passed on.

#![cfg(feature = "http")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use buttress_core::time::now;
use buttress_core::{
    AdmitLayer, AsError, BoxError, End, Now, Outcome, Path, Permit, Policy, Reason, Rejection,
    Ticket, With,
};
use buttress_http::{AtBodyEnd, CallDeadline, GRPC_STATUS, GRPC_TIMEOUT, PermitBody, TimeoutField};
use buttress_timeout::TimeoutLayer;
use futures_util::poll;
use http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use proptest::prelude::*;
use tokio::sync::mpsc;
use tower::util::BoxCloneService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

type Bytes = std::collections::VecDeque<u8>;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const OWN: HeaderName = HeaderName::from_static("x-timeout-ms");

/// A policy that admits everything and writes down how it ended.
#[derive(Clone, Debug, Default)]
struct Ends(Arc<Mutex<Vec<End>>>);

impl Ends {
    fn take(&self) -> Vec<End> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Ticket for Ends {
    fn end(self, end: End, _: &Now) {
        self.0.lock().unwrap().push(end);
    }
}

impl Policy for Ends {
    type Demand = ();
    type Ticket = Self;

    fn would_admit(&self, (): &(), _: &Now) -> Result<(), Rejection> {
        Ok(())
    }

    fn try_admit(&self, (): &(), _: &Now) -> Result<Permit<Self>, Rejection> {
        Ok(Permit::new(self.clone()))
    }
}

const SETTLED: End = End::Settled(Outcome::Success, None);
const TIMED_OUT: End = End::Settled(Outcome::TimedOut, None);

/// A body whose frames a test sends.
#[derive(Debug)]
struct Stream(mpsc::UnboundedReceiver<Result<Frame<Bytes>, BoxError>>);

impl Default for Stream {
    fn default() -> Self {
        Self(mpsc::unbounded_channel().1)
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx)
    }
}

type Frames = mpsc::UnboundedSender<Result<Frame<Bytes>, BoxError>>;

fn data(text: &str) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(text.bytes().collect()))
}

type Held = Response<PermitBody<Stream, Ends>>;
type Below = BoxCloneService<Request<()>, Held, Infallible>;

/// What stands below a timeout: a service that answers once, the frames of its body, and how it ended.
fn streaming(after: Duration) -> (Below, Frames, Ends) {
    let (send, receive) = mpsc::unbounded_channel();
    let receive = Arc::new(Mutex::new(Some(receive)));
    let ends = Ends::default();
    let service = AdmitLayer::from_path(Path {
        ask: (),
        admission: ends.clone(),
        settle: AtBodyEnd::default(),
        on_reject: With(|_| -> Result<Held, Infallible> { panic!("everything is admitted") }),
    })
    .layer(service_fn(move |_: Request<()>| {
        let body = Stream(receive.lock().unwrap().take().expect("one body a test"));
        async move {
            tokio::time::sleep(after).await;
            Ok::<_, Infallible>(Response::new(body))
        }
    }));
    (Below::new(service), send, ends)
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_in_time_is_let_through() {
    let layer = TimeoutLayer::new(SECOND).to_body_end(5 * SECOND);
    let (below, frames, ends) = streaming(SECOND / 2);
    let service = layer.layer(below);
    let response = service.oneshot(Request::new(())).await.unwrap();
    let mut body = Box::pin(response.into_body());
    assert!(poll!(body.frame()).is_pending());
    frames.send(data("hello")).unwrap();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    tokio::time::advance(4 * SECOND).await;
    assert!(poll!(body.frame()).is_pending());
    drop(frames);
    assert!(body.frame().await.is_none());
    assert_eq!(ends.take(), [SETTLED]);
    tokio::time::advance(5 * SECOND).await;
    drop(body);
    assert_eq!(ends.take(), []);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_end_is_cut_off_at_the_instant_and_timed_out_below() {
    let layer = TimeoutLayer::new(SECOND).to_body_end(5 * SECOND);
    let (below, frames, ends) = streaming(SECOND / 2);
    let service = layer.layer(below);
    let start = now();
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(start.elapsed(), SECOND / 2);
    let mut body = Box::pin(response.into_body());
    frames.send(data("hello")).unwrap();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    assert_eq!(ends.take(), []);
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(start.elapsed(), 5 * SECOND, "counted from the call");
    assert_eq!(Rejection::find(&*error), Some(&Rejection::timed_out()));
    assert_eq!(
        ends.take(),
        [TIMED_OUT],
        "and at once, not when the body is dropped"
    );
    assert!(frames.is_closed());
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_body_is_cancelled_by_who_leaves_before_its_time_and_timed_out_afterwards() {
    for (after, expected) in [
        (SECOND - MILLISECOND, End::Cancelled(None)),
        (SECOND, TIMED_OUT),
    ] {
        let layer = TimeoutLayer::default().to_body_end(SECOND);
        let (below, _frames, ends) = streaming(Duration::ZERO);
        let service = layer.layer(below);
        let start = now();
        let response = service.oneshot(Request::new(())).await.unwrap();
        let mut body = Box::pin(response.into_body());
        assert!(poll!(body.frame()).is_pending());
        tokio::time::advance(after - start.elapsed()).await;
        drop(body);
        assert_eq!(ends.take(), [expected]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_is_handed_on_however_late_it_is_asked_for() {
    let layer = TimeoutLayer::default().to_body_end(SECOND);
    let (below, frames, ends) = streaming(Duration::ZERO);
    let service = layer.layer(below);
    let response = service.oneshot(Request::new(())).await.unwrap();
    let mut body = Box::pin(response.into_body());
    for text in ["a", "b"] {
        frames.send(data(text)).unwrap();
    }
    drop(frames);
    tokio::time::advance(60 * SECOND).await;
    for _ in 0..2 {
        assert!(body.frame().await.unwrap().unwrap().is_data());
    }
    assert!(
        body.frame().await.is_none(),
        "the reader was slow, not the upstream"
    );
    assert_eq!(ends.take(), [SETTLED]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_body_only_if_bodies_are_watched() {
    let layer = TimeoutLayer::default().deadline(SECOND).through_body();
    let (below, _frames, ends) = streaming(Duration::ZERO);
    let service = layer.layer(below);
    let response = service.oneshot(Request::new(())).await.unwrap();
    let error = response.into_body().collect().await.unwrap_err();
    assert_eq!(Rejection::find(&*error), Some(&Rejection::past_deadline()));
    assert_eq!(ends.take(), [TIMED_OUT]);

    let service = TimeoutLayer::default()
        .deadline(SECOND)
        .layer(service_fn(|_: Request<()>| {
            ready(Ok::<_, Infallible>(Response::new(5)))
        }));
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(*response.body(), 5, "the response keeps its type");
}

#[tokio::test(start_paused = true)]
async fn in_grpc_a_body_that_is_cut_off_ends_with_trailers() {
    let layer = TimeoutLayer::default().to_body_end(SECOND).respond_grpc();
    let (below, frames, ends) = streaming(Duration::ZERO);
    let service = layer.layer(below);
    let response = service.oneshot(Request::new(())).await.unwrap();
    let mut body = Box::pin(response.into_body());
    frames.send(data("message")).unwrap();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    let trailers = body
        .frame()
        .await
        .unwrap()
        .unwrap()
        .into_trailers()
        .unwrap();
    assert_eq!(trailers[GRPC_STATUS], "4");
    assert_eq!(trailers.len(), 2, "a status and a message: {trailers:?}");
    assert!(body.frame().await.is_none());
    assert_eq!(ends.take(), [TIMED_OUT]);
}

fn never(_: Request<()>) -> std::future::Pending<Result<Response<Full<bytes::Bytes>>, Infallible>> {
    std::future::pending()
}

#[tokio::test(start_paused = true)]
async fn it_answers_504_in_http_and_deadline_exceeded_in_grpc_and_says_nothing_of_retrying() {
    let http = TimeoutLayer::new(SECOND)
        .respond_http()
        .layer(service_fn(never));
    let answer = http.oneshot(Request::new(())).await.unwrap();
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
    assert_eq!(answer.headers().get(RETRY_AFTER), None);
    assert_eq!(answer.extensions().get(), Some(&Rejection::timed_out()));
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["detail"], "The service did not answer in time.");

    let watched = TimeoutLayer::default()
        .deadline(SECOND)
        .through_body()
        .respond_http();
    let watched = watched.layer(service_fn(never));
    let answer = watched.oneshot(Request::new(())).await.unwrap();
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    assert!(
        !answer
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );

    let any = TimeoutLayer::new(SECOND).respond_http_any_body();
    let any = any.layer(service_fn(|_: Request<()>| {
        std::future::pending::<Result<Response<Empty<bytes::Bytes>>, Infallible>>()
    }));
    let answer = any.oneshot(Request::new(())).await.unwrap();
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);

    for layer in [
        TimeoutLayer::new(SECOND).respond_grpc(),
        TimeoutLayer::default().deadline(SECOND).respond_grpc(),
        TimeoutLayer::default()
            .deadline(Duration::ZERO)
            .respond_grpc(),
    ] {
        let answer = layer
            .layer(service_fn(never))
            .oneshot(Request::new(()))
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[GRPC_STATUS], "4");
        assert!(!answer.headers().contains_key("grpc-retry-pushback-ms"));
        assert!(answer.extensions().get::<Rejection>().is_some());
    }
}

/// Answers with the request that it was sent.
fn mirror(request: Request<()>) -> Ready<Result<Response<Request<()>>, Infallible>> {
    ready(Ok(Response::new(request)))
}

async fn sent<S>(service: S, request: Request<()>) -> Option<Request<()>>
where
    S: Service<Request<()>, Response = Response<Request<()>>>,
    S::Error: std::fmt::Debug,
{
    service.oneshot(request).await.ok().map(Response::into_body)
}

fn asking(field: HeaderName, value: &'static str) -> Request<()> {
    let request = Request::builder().header(field, value);
    request.body(()).expect("a request")
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_told_to_services_and_to_the_upstream() {
    let layer = TimeoutLayer::default()
        .deadline(5 * SECOND)
        .pass_on()
        .send(TimeoutField::grpc())
        .send(TimeoutField::millis(OWN));
    let service = layer.layer(service_fn(mirror));
    let request = sent(service.clone(), Request::new(())).await.unwrap();
    assert_eq!(CallDeadline::of(&request), Some(now() + 5 * SECOND));
    assert_eq!(request.headers()[GRPC_TIMEOUT], "5000000u");
    assert_eq!(request.headers()[OWN], "5000");
    let request = sent(service, asking(OWN, "700")).await.unwrap();
    assert_eq!(request.headers()[OWN], "700", "what says less stays");
    let deadline = CallDeadline::of(&request).unwrap();
    assert_eq!(deadline - now(), 5 * SECOND, "but it was not trusted");

    let quiet = TimeoutLayer::new(SECOND)
        .pass_on()
        .send(TimeoutField::grpc());
    let request = sent(quiet.layer(service_fn(mirror)), Request::new(()))
        .await
        .unwrap();
    assert!(
        request.headers().is_empty(),
        "the head's time is no deadline"
    );
    assert_eq!(CallDeadline::of(&request), None);

    let unsaid = TimeoutLayer::default()
        .deadline(SECOND)
        .layer(service_fn(mirror));
    let request = sent(unsaid, Request::new(())).await.unwrap();
    assert_eq!(
        CallDeadline::of(&request),
        None,
        "nobody asked to pass it on"
    );
}

#[tokio::test(start_paused = true)]
async fn deadlines_are_taken_from_further_out_and_from_trusted_fields_only() {
    let trusting = TimeoutLayer::default()
        .deadline(9 * SECOND)
        .pass_on()
        .trust(TimeoutField::grpc())
        .trust(TimeoutField::millis(OWN));
    let trusting = trusting.layer(service_fn(mirror));
    for (field, value, expected) in [
        (GRPC_TIMEOUT, "3S", 3),
        (GRPC_TIMEOUT, "30S", 9),
        (GRPC_TIMEOUT, "three", 9),
        (OWN, "2000", 2),
    ] {
        let request = sent(trusting.clone(), asking(field, value)).await.unwrap();
        let deadline = CallDeadline::of(&request).unwrap();
        assert_eq!(deadline - now(), SECOND * expected, "{value}");
    }
    for value in ["0S", "0n"] {
        let request = sent(trusting.clone(), asking(GRPC_TIMEOUT, value)).await;
        assert!(request.is_none(), "nobody waits any more");
    }
    let doubtful = TimeoutLayer::default().deadline(9 * SECOND).pass_on();
    let doubtful = doubtful.layer(service_fn(mirror));
    let request = sent(doubtful.clone(), asking(GRPC_TIMEOUT, "3S"))
        .await
        .unwrap();
    assert_eq!(CallDeadline::of(&request).unwrap() - now(), 9 * SECOND);

    let mut inherited = Request::new(());
    CallDeadline::tighten(inherited.extensions_mut(), now() + 4 * SECOND);
    let request = sent(doubtful.clone(), inherited).await.unwrap();
    assert_eq!(CallDeadline::of(&request).unwrap() - now(), 4 * SECOND);
    let mut late = Request::new(());
    CallDeadline::tighten(late.extensions_mut(), now());
    assert!(sent(doubtful, late).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_time_to_the_end_of_the_body_is_passed_on_like_a_deadline() {
    let layer = TimeoutLayer::default().to_body_end(3 * SECOND).pass_on();
    let service = layer
        .send(TimeoutField::grpc())
        .layer(service_fn(|request: Request<()>| {
            let told = CallDeadline::of(&request);
            assert_eq!(told, Some(now() + 3 * SECOND));
            assert_eq!(request.headers()[GRPC_TIMEOUT], "3000000u");
            ready(Ok::<_, Infallible>(Response::new(
                Full::<bytes::Bytes>::default(),
            )))
        }));
    assert!(service.oneshot(Request::new(())).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_breaker_above_hears_of_what_was_cut_off() {
    let ends = Ends::default();
    let service = ServiceBuilder::new()
        .layer(AdmitLayer::from_path(Path {
            ask: (),
            admission: ends.clone(),
            settle: buttress_core::AtHead(buttress_http::ByStatus::default()),
            on_reject: AsError,
        }))
        .layer(TimeoutLayer::new(SECOND).respond_http())
        .service(service_fn(never));
    let answer = service.oneshot(Request::new(())).await;
    assert_eq!(
        answer.map(|answer| answer.status()).ok(),
        Some(StatusCode::GATEWAY_TIMEOUT)
    );
    assert_eq!(ends.take(), [TIMED_OUT]);
    assert_eq!(Rejection::timed_out().reason(), Reason::AttemptTimeout);
}

/// What a test does with a body, one step after the other.
#[derive(Clone, Copy, Debug)]
enum Step {
    Send,
    End,
    Break,
    Pass(u16),
    Read,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Send),
        1 => Just(Step::End),
        1 => Just(Step::Break),
        3 => (0_u16..700).prop_map(Step::Pass),
        6 => Just(Step::Read),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A body hands on what its upstream has, and is cut off exactly when it is waited for at or after its
    /// time.
    #[test]
    fn a_body_is_as_the_model(steps in prop::collection::vec(step(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(against_model(steps))?;
    }
}

async fn against_model(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let layer = TimeoutLayer::default().to_body_end(SECOND);
    let (below, frames, ends) = streaming(Duration::ZERO);
    let service = layer.layer(below);
    let start = now();
    let response = service.oneshot(Request::new(())).await.unwrap();
    let mut body = Box::pin(response.into_body());
    let mut frames = Some(frames);
    let mut queued = std::collections::VecDeque::new();
    let (mut over, mut expected) = (false, None);
    for step in steps {
        match (step, &frames) {
            (Step::Send, Some(sender)) if sender.send(data("x")).is_ok() => queued.push_back('d'),
            (Step::Break, Some(sender)) if sender.send(Err("broken".into())).is_ok() => {
                queued.push_back('e');
            }
            (Step::End, Some(_)) => {
                frames = None;
                queued.push_back('.');
            }
            (Step::Pass(millis), _) => {
                tokio::time::advance(MILLISECOND * u32::from(millis)).await;
            }
            (Step::Read, _) => {
                let read = poll!(body.frame());
                let told = match read {
                    Poll::Pending => 'p',
                    Poll::Ready(None) => '.',
                    Poll::Ready(Some(Ok(_))) => 'd',
                    Poll::Ready(Some(Err(error))) => match Rejection::find(&*error) {
                        Some(_) => 't',
                        None => 'e',
                    },
                };
                let modelled = match queued.pop_front() {
                    _ if over => '.',
                    Some(frame) => frame,
                    None if start.elapsed() >= SECOND && expected.is_none() => 't',
                    None => 'p',
                };
                prop_assert_eq!(told, modelled);
                match told {
                    't' => expected = Some(TIMED_OUT),
                    'e' => expected = Some(End::Settled(Outcome::Failure, None)),
                    '.' if !over => expected = Some(SETTLED),
                    _ => {}
                }
                over |= told == 't' || told == '.';
                if over || told == 'e' {
                    break;
                }
            }
            _ => {}
        }
    }
    let cut = expected.is_none() && start.elapsed() >= SECOND;
    drop(body);
    let last = if cut { TIMED_OUT } else { End::Cancelled(None) };
    prop_assert_eq!(ends.take(), [expected.unwrap_or(last)]);
    Ok(())
}
