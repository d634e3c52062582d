//! Permits that last as long as a body.

mod support;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use buttress_core::{End, Now, Outcome, Permit, Settle, Ticket, as_settled, as_timed_out};
use buttress_http::{AtBodyEnd, PermitBody};
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use support::{Heard, Listening};

const SUCCESS: End = End::Settled(Outcome::Success, None);
const FAILURE: End = End::Settled(Outcome::Failure, None);

/// Gives its frames one by one; `None` is an error.
#[derive(Debug, Default)]
struct Frames {
    frames: VecDeque<Option<Frame<Bytes>>>,
    tells_its_end: bool,
    tells_its_size: Option<u64>,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        let frame = self.frames.pop_front();
        Poll::Ready(frame.map(|frame| frame.ok_or("broken off")))
    }

    fn is_end_stream(&self) -> bool {
        self.tells_its_end && self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.tells_its_size {
            Some(size) => SizeHint::with_exact(size),
            None => SizeHint::default(),
        }
    }
}

fn data(text: &'static str) -> Option<Frame<Bytes>> {
    Some(Frame::data(Bytes::from_static(text.as_bytes())))
}

fn frames(frames: impl IntoIterator<Item = Option<Frame<Bytes>>>) -> Frames {
    Frames {
        frames: frames.into_iter().collect(),
        ..Frames::default()
    }
}

fn settle<B: Body>(heard: &Heard, response: Response<B>) -> Response<PermitBody<B, Listening>> {
    let permit = Permit::new(heard.ticket(None));
    let settled: Result<_, String> = AtBodyEnd::default().settle(Ok(response), permit, &Now::new());
    settled.expect("a response")
}

fn carry(heard: &Heard, body: Frames) -> PermitBody<Frames, Listening> {
    settle(heard, Response::new(body)).into_body()
}

fn next(body: &mut PermitBody<Frames, Listening>) -> Option<Result<Frame<Bytes>, &'static str>> {
    let mut context = Context::from_waker(Waker::noop());
    match Pin::new(body).poll_frame(&mut context) {
        Poll::Ready(frame) => frame,
        Poll::Pending => panic!("the body of a test is always ready"),
    }
}

#[test]
fn trap_16_the_permit_lasts_until_the_body_has_ended() {
    let heard = Heard::default();
    let mut body = carry(&heard, frames([data("a"), data("b")]));
    assert_eq!(
        heard.heads(),
        [Outcome::Success],
        "the head is told at once"
    );
    assert_eq!(heard.ends(), []);
    assert!(next(&mut body).is_some());
    assert!(next(&mut body).is_some());
    assert_eq!(heard.ends(), []);
    assert!(next(&mut body).is_none());
    assert_eq!(heard.ends(), [SUCCESS]);
    drop(body);
    assert_eq!(heard.ends(), [SUCCESS], "once");
}

#[test]
fn hyper_drops_a_body_that_said_it_ended() {
    let heard = Heard::default();
    let told = || Frames {
        tells_its_end: true,
        ..frames([data("a")])
    };
    let mut body = carry(&heard, told());
    assert!(next(&mut body).is_some());
    assert_eq!(heard.ends(), [SUCCESS], "after the last frame");
    drop(body);
    drop(carry(
        &heard,
        Frames {
            tells_its_end: true,
            ..Frames::default()
        },
    ));
    assert_eq!(heard.ends(), [SUCCESS; 2], "at the head");
    drop(carry(&heard, told()));
    assert_eq!(
        heard.ends()[2],
        End::Cancelled(None),
        "there was a frame left"
    );
}

#[test]
fn hyper_drops_a_body_whose_length_has_been_sent() {
    let heard = Heard::default();
    let response = Response::builder().header("content-length", "3");
    let body = frames([data("ab"), data("c")]);
    let mut body = settle(&heard, response.body(body).unwrap()).into_body();
    assert!(next(&mut body).is_some());
    assert_eq!(heard.ends(), []);
    assert!(next(&mut body).is_some());
    drop(body);
    assert_eq!(heard.ends(), [SUCCESS]);

    let sized = Frames {
        tells_its_size: Some(2),
        ..frames([data("ab")])
    };
    let mut body = carry(&heard, sized);
    assert_eq!(body.size_hint().exact(), Some(2));
    assert!(next(&mut body).is_some());
    assert_eq!(heard.ends(), [SUCCESS; 2]);
}

#[test]
fn trailers_are_the_last_frame_and_pass_through() {
    let heard = Heard::default();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let mut body = carry(
        &heard,
        frames([data("a"), Some(Frame::trailers(trailers.clone()))]),
    );
    assert!(next(&mut body).is_some());
    let last = next(&mut body).unwrap().unwrap();
    assert_eq!(last.trailers_ref(), Some(&trailers));
    drop(body);
    assert_eq!(heard.ends(), [SUCCESS]);
}

#[test]
fn trailers_of_grpc_tell_how_the_call_ended() {
    for (status, end) in [
        ("5", SUCCESS),
        ("13", FAILURE),
        ("14", End::Settled(Outcome::Overloaded, None)),
        ("nonsense", FAILURE),
    ] {
        let heard = Heard::default();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.parse().unwrap());
        let mut body = carry(&heard, frames([Some(Frame::trailers(trailers))]));
        assert!(next(&mut body).is_some());
        assert_eq!(heard.ends(), [end], "{status}");
    }
    let heard = Heard::default();
    let mut body = carry(&heard, frames([Some(Frame::trailers(HeaderMap::new()))]));
    assert!(next(&mut body).is_some());
    assert_eq!(heard.ends(), [SUCCESS], "another protocol's");
}

#[test]
fn a_body_that_is_dropped_early_is_cancelled() {
    let heard = Heard::default();
    drop(carry(&heard, frames([data("a")])));
    let mut body = carry(&heard, frames([data("a"), data("b")]));
    assert!(next(&mut body).is_some());
    drop(body);
    assert_eq!(heard.ends(), [End::Cancelled(None); 2]);
    let body = carry(&heard, frames([data("a")]));
    as_timed_out(|| drop(body));
    assert_eq!(heard.ends()[2], End::Settled(Outcome::TimedOut, None));
    let body = carry(&heard, frames([data("a")]));
    as_settled(|| drop(body));
    assert_eq!(heard.ends()[3], SUCCESS, "its head was one");
}

#[test]
fn a_body_that_breaks_off_is_a_failure() {
    let heard = Heard::default();
    let mut body = carry(&heard, frames([data("a"), None]));
    assert!(next(&mut body).unwrap().is_ok());
    assert_eq!(next(&mut body).unwrap().unwrap_err(), "broken off");
    drop(body);
    assert_eq!(heard.ends(), [FAILURE]);
}

#[test]
fn a_head_that_is_no_success_is_final() {
    let heard = Heard::default();
    for (status, outcome) in [
        (503, Outcome::Overloaded),
        (500, Outcome::Failure),
        (429, Outcome::Throttled(None)),
    ] {
        let response = Response::builder().status(status);
        let body = settle(&heard, response.body(frames([data("a")])).unwrap()).into_body();
        assert_eq!(heard.ends().last(), Some(&End::Settled(outcome, None)));
        assert_eq!(heard.heads().last(), Some(&outcome));
        drop(body);
    }
    assert_eq!(
        heard.ends().len(),
        3,
        "dropping the body unread is no cancellation"
    );
}

#[test]
fn an_error_ends_the_permit() {
    let heard = Heard::default();
    let permit = Permit::new(heard.ticket(None));
    let result: Result<Response<Frames>, _> = Err("reset");
    let settled = AtBodyEnd::default().settle(result, permit, &Now::new());
    assert_eq!(settled.unwrap_err(), "reset");
    assert_eq!(heard.heads(), [Outcome::Failure]);
    assert_eq!(heard.ends(), [FAILURE]);
}

#[test]
fn responses_without_a_body_are_complete_at_the_head() {
    let heard = Heard::default();
    for status in [204, 304] {
        let response = Response::builder().status(status);
        drop(settle(&heard, response.body(Frames::default()).unwrap()));
    }
    // A `HEAD` is answered with the length of what a `GET` would give, and an empty body.
    let head = Response::builder().header("content-length", "99");
    let body = Frames {
        tells_its_end: true,
        ..Frames::default()
    };
    drop(settle(&heard, head.body(body).unwrap()));
    drop(carry(
        &heard,
        Frames {
            tells_its_size: Some(0),
            ..Frames::default()
        },
    ));
    assert_eq!(heard.ends(), [SUCCESS; 4]);
}

type Order = Arc<Mutex<Vec<&'static str>>>;

struct Work(Order);

impl Drop for Work {
    fn drop(&mut self) {
        self.0
            .lock()
            .expect("no other thread panicked")
            .push("work");
    }
}

impl Body for Work {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Pending
    }
}

struct Place(Order);

impl Ticket for Place {
    fn end(self, _: End, _: &Now) {
        self.0
            .lock()
            .expect("no other thread panicked")
            .push("place");
    }
}

#[test]
fn the_work_ends_before_its_place_is_free() {
    let order = Order::default();
    let permit = Permit::new(Place(Arc::clone(&order)));
    let work = Response::new(Work(Arc::clone(&order)));
    let response: Result<_, String> = AtBodyEnd::default().settle(Ok(work), permit, &Now::new());
    drop(response.unwrap());
    assert_eq!(*order.lock().unwrap(), ["work", "place"]);
}

#[test]
fn a_grpc_status_in_the_trailers_says_how_the_call_ended() {
    let cases = [
        ("0", Outcome::Success),
        ("8", Outcome::Throttled(None)),
        ("13", Outcome::Failure),
        ("14", Outcome::Overloaded),
    ];
    for (status, outcome) in cases {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.parse().unwrap());
        let heard = Heard::default();
        let mut body = carry(&heard, frames([data("a"), Some(Frame::trailers(trailers))]));
        next(&mut body);
        next(&mut body);
        assert_eq!(heard.ends(), [End::Settled(outcome, None)]);
    }
}
