//! Bodies that are sent again.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use buttress_http::{BodyReplay, ReplayBody, ReplayError};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use proptest::prelude::*;

/// What a body gives, piece by piece.
#[derive(Clone, Debug)]
enum Gives {
    Data(Bytes),
    Trailers,
    Breaks,
    Waits,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

/// A body that counts how many pieces were read of it, and knows its size if it is told to.
#[derive(Debug)]
struct Scripted {
    gives: VecDeque<Gives>,
    is_sized: bool,
    read: Arc<AtomicUsize>,
}

fn scripted(gives: impl IntoIterator<Item = Gives>) -> Scripted {
    Scripted {
        gives: gives.into_iter().collect(),
        is_sized: false,
        read: Arc::default(),
    }
}

fn data(text: &'static str) -> Gives {
    Gives::Data(Bytes::from_static(text.as_bytes()))
}

fn checksum() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", HeaderValue::from_static("abc"));
    trailers
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Some(Gives::Waits) = self.gives.front() {
            return Poll::Pending;
        }
        self.read.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(self.gives.pop_front().map(|gives| match gives {
            Gives::Data(data) => Ok(Frame::data(data)),
            Gives::Trailers => Ok(Frame::trailers(checksum())),
            Gives::Breaks | Gives::Waits => Err(Broken),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.is_sized && self.gives.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let size: usize = self
            .gives
            .iter()
            .map(|gives| match gives {
                Gives::Data(data) => data.len(),
                _ => 0,
            })
            .sum();
        match self.is_sized {
            true => SizeHint::with_exact(size as u64),
            false => SizeHint::default(),
        }
    }
}

type Read = (Vec<u8>, Option<HeaderMap>);

/// What was read, and the error in words; none if there is nothing more at the moment.
type Unfinished = (Vec<u8>, Option<String>);

/// All that can be read now; `Err` with what was read if it does not end well.
fn read<B>(body: &mut B) -> Result<Read, Unfinished>
where
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
{
    let mut context = Context::from_waker(Waker::noop());
    let (mut bytes, mut trailers) = (Vec::new(), None);
    loop {
        match Pin::new(&mut *body).poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
            Poll::Ready(Some(Err(error))) => return Err((bytes, Some(error.to_string()))),
            Poll::Ready(None) => return Ok((bytes, trailers)),
            Poll::Pending => return Err((bytes, None)),
        }
    }
}

fn recorded<B: Body<Error: Into<buttress_core::BoxError>>>(
    body: B,
    limit: usize,
) -> (ReplayBody<B>, BodyReplay<B>) {
    ReplayBody::recorded(body, limit)
}

#[test]
fn it_comes_again_with_its_trailers() {
    let body = scripted([data("hello "), data("world"), Gives::Trailers]);
    let (mut first, mut replay) = recorded(body, 64);
    let expected = (b"hello world".to_vec(), Some(checksum()));
    assert_eq!(read(&mut first).unwrap(), expected);
    for last in [false, false, true] {
        let mut again = replay.next(last).unwrap();
        let hint = again.size_hint();
        assert_eq!(
            (hint.lower(), hint.upper()),
            (11, None),
            "else HTTP/1 sends no trailers"
        );
        assert!(!again.is_end_stream(), "there are trailers to come");
        assert_eq!(read(&mut again).unwrap(), expected);
    }
}

#[test]
fn its_size_survives_the_first_time_and_every_other() {
    let (mut first, mut replay) = recorded(Full::new(Bytes::from_static(b"hello")), 64);
    for _ in 0..3 {
        assert_eq!(first.size_hint().exact(), Some(5));
        assert!(!first.is_end_stream());
        // A client does not ask for the end of what says that it is at its end.
        let frame = pin!(first.frame());
        let Poll::Ready(Some(Ok(_))) = frame.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("a frame");
        };
        assert!(first.is_end_stream());
        assert_eq!(first.size_hint().exact(), Some(0));
        first = replay.next(false).unwrap();
    }
    // Also if it was given up half-way.
    let body = Scripted {
        is_sized: true,
        ..scripted([data("hello "), data("world")])
    };
    let (mut first, mut replay) = recorded(body, 64);
    assert_eq!(first.size_hint().exact(), Some(11));
    let mut context = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut first).poll_frame(&mut context).is_ready());
    assert_eq!(first.size_hint().exact(), Some(5));
    let mut again = replay.next(true).unwrap();
    assert_eq!(again.size_hint().exact(), Some(11));
    assert_eq!(read(&mut again).unwrap().0, b"hello world");
    assert!(again.is_end_stream());
}

#[test]
fn a_body_without_content_stays_without() {
    let (first, mut replay) = recorded(Empty::<Bytes>::new(), 64);
    assert!(first.is_end_stream());
    let mut again = replay.next(false).unwrap();
    assert!(again.is_end_stream());
    assert_eq!(again.size_hint().exact(), Some(0));
    assert_eq!(read(&mut again), Ok((Vec::new(), None)));
    assert!(replay.beside().is_some());
}

#[test]
fn trap_17_up_to_the_limit_it_is_kept_and_beyond_it_it_is_passed_on_all_the_same() {
    for (limit, can_repeat) in [(11, true), (10, false), (6, false), (0, false)] {
        let body = scripted([data("hello "), data("world"), Gives::Trailers]);
        let (mut first, mut replay) = recorded(body, limit);
        assert!(replay.can_repeat(), "nothing was read yet");
        let all = read(&mut first).unwrap();
        assert_eq!(all, (b"hello world".to_vec(), Some(checksum())), "{limit}");
        assert_eq!(replay.can_repeat(), can_repeat, "{limit}");
        assert_eq!(replay.next(true).is_some(), can_repeat);
    }
    // What says that it is longer is not even begun to be kept.
    let body = Scripted {
        is_sized: true,
        ..scripted([data("a"), data("hello world")])
    };
    let (mut first, replay) = recorded(body, 11);
    let mut context = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut first).poll_frame(&mut context).is_ready());
    assert!(!replay.can_repeat());
}

#[test]
fn what_was_not_read_yet_comes_from_the_body_itself() {
    let body = scripted([data("hello "), Gives::Waits, data("world"), Gives::Trailers]);
    let read_of_it = Arc::clone(&body.read);
    let (mut first, mut replay) = recorded(body, 64);
    assert_eq!(read(&mut first), Err((b"hello ".to_vec(), None)));
    let mut second = replay.next(true).unwrap();
    assert_eq!(read(&mut second), Err((b"hello ".to_vec(), None)));
    assert_eq!(read_of_it.load(Ordering::SeqCst), 1, "it was read once");
    assert_eq!(
        read(&mut first),
        Err((Vec::new(), Some(ReplayError::Superseded.to_string()))),
        "and must not be taken for complete"
    );
}

#[test]
fn a_body_that_broke_is_not_sent_again() {
    let body = scripted([data("hello"), Gives::Breaks]);
    let (mut first, mut replay) = recorded(body, 64);
    let broken = Err((b"hello".to_vec(), Some(Broken.to_string())));
    assert_eq!(read(&mut first), broken);
    assert!(!replay.can_repeat());
    assert!(replay.next(false).is_none());
}

#[test]
fn with_a_limit_of_zero_it_can_be_sent_again_until_it_was_read() {
    let (first, mut replay) = recorded(Full::new(Bytes::from_static(b"hello")), 0);
    drop(first);
    let mut second = replay.next(false).unwrap();
    assert_eq!(second.size_hint().exact(), Some(5));
    assert_eq!(read(&mut second).unwrap().0, b"hello");
    assert!(replay.next(false).is_none());
}

#[test]
fn beside_one_that_goes_on_there_is_another_only_once_it_has_read_all() {
    let body = scripted([data("hello "), data("world"), Gives::Trailers]);
    let (mut first, mut replay) = recorded(body, 64);
    assert!(replay.beside().is_none());
    let all = read(&mut first).unwrap();
    assert_eq!(read(&mut replay.beside().unwrap()).unwrap(), all);
    assert_eq!(
        read(&mut first),
        Ok((Vec::new(), None)),
        "it is not disturbed"
    );
}

#[test]
fn a_body_that_is_sent_once_is_what_it_was() {
    let mut once = ReplayBody::once(scripted([data("hello"), Gives::Trailers]));
    assert_eq!(
        read(&mut once).unwrap(),
        (b"hello".to_vec(), Some(checksum()))
    );
}

#[test]
fn auto_traits() {
    fn assert_auto<T: Send + Sync>() {}
    assert_auto::<ReplayBody<Full<Bytes>>>();
    // Sharing asks no more of a body than `Send`.
    type OnlySend = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;
    assert_auto::<BodyReplay<OnlySend>>();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever was read of each attempt, the last one gets every byte in order.
    #[test]
    fn every_attempt_reads_the_same(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1_200), 0..20),
        reads in prop::collection::vec(0_usize..25, 0..5),
    ) {
        let whole: Vec<u8> = pieces.concat();
        let gives = pieces.iter().map(|piece| Gives::Data(piece.clone().into()));
        let (mut body, mut replay) = recorded(scripted(gives), whole.len());
        let mut context = Context::from_waker(Waker::noop());
        for frames in reads {
            let mut seen = Vec::new();
            for _ in 0..frames {
                if let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) {
                    seen.extend_from_slice(frame.data_ref().unwrap());
                }
            }
            prop_assert!(whole.starts_with(&seen));
            body = replay.next(false).unwrap();
        }
        prop_assert_eq!(read(&mut body).unwrap().0, whole);
    }
}
