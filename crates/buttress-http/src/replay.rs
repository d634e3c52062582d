//! Request bodies that can be sent again.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use buttress_core::BoxError;
use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::recording::Recording;

/// How many bytes of a body are kept by default.
pub const DEFAULT_REPLAY_LIMIT: usize = 64 * 1024;

pin_project! {
    /// A request body that can be sent again.
    ///
    /// It is passed on as it comes, with its trailers and size, and recorded on the way; the
    /// [`BodyReplay`] that is made with it sends it again. A body that is longer than the limit is passed
    /// on all the same, and is then not sent again.
    pub struct ReplayBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B> {
        // It is sent once, or has nothing in it.
        Once {
            #[pin]
            body: B,
        },
        Empty,
        // It was recorded to its end.
        Copy {
            recording: Recording,
            number: usize,
        },
        Shared {
            shared: Arc<Mutex<Source<B>>>,
            reader: Reader,
        },
    }
}

/// Who reads a source, and how far it has come.
struct Reader {
    /// Only the youngest may read.
    generation: u32,
    /// The next piece of the recording.
    number: usize,
    /// It has read the recording and goes on with the rest.
    is_live: bool,
}

/// A body that is being recorded.
struct Source<B> {
    /// What was not read yet; nothing once it has ended.
    rest: Option<Pin<Box<B>>>,
    /// What was read; nothing if it cannot be sent again.
    recording: Option<Recording>,
    /// Whether nobody will ask for the recording again.
    is_last: bool,
    generation: u32,
}

/// Sends a body again, as far as it was recorded; the rest comes from the body itself.
pub struct BodyReplay<B> {
    shared: Option<Arc<Mutex<Source<B>>>>,
}

/// Why a body broke off.
#[derive(Debug)]
pub enum ReplayError {
    /// The body itself failed.
    Inner(BoxError),
    /// A later attempt has taken the body over. Who reads it still must not take it for complete.
    Superseded,
}

impl<B> ReplayBody<B> {
    /// A body that is sent once: nothing is recorded, and nothing is paid for it.
    #[must_use]
    pub const fn once(body: B) -> Self {
        Self {
            kind: Kind::Once { body },
        }
    }
}

impl<B> ReplayBody<B>
where
    B: Body<Error: Into<BoxError>>,
{
    /// A body to be sent, and what sends it again as long as no more than `limit` bytes of it were read.
    ///
    /// With a limit of zero nothing is recorded: it can be sent again while nothing of it was read.
    #[must_use]
    pub fn recorded(body: B, limit: usize) -> (Self, BodyReplay<B>) {
        if body.is_end_stream() {
            return (Self::once(body), BodyReplay { shared: None });
        }
        let is_longer = usize::try_from(body.size_hint().lower()).map_or(true, |size| size > limit);
        let shared = Arc::new(Mutex::new(Source {
            rest: Some(Box::pin(body)),
            recording: Some(Recording::new(if is_longer { 0 } else { limit })),
            is_last: false,
            generation: 0,
        }));
        let replay = BodyReplay {
            shared: Some(Arc::clone(&shared)),
        };
        (Self::shared(shared, 0), replay)
    }

    const fn shared(shared: Arc<Mutex<Source<B>>>, generation: u32) -> Self {
        Self {
            kind: Kind::Shared {
                shared,
                reader: Reader {
                    generation,
                    number: 0,
                    is_live: false,
                },
            },
        }
    }

    const fn empty() -> Self {
        Self { kind: Kind::Empty }
    }

    const fn copy(recording: Recording) -> Self {
        Self {
            kind: Kind::Copy {
                recording,
                number: 0,
            },
        }
    }
}

impl<B> BodyReplay<B>
where
    B: Body<Error: Into<BoxError>>,
{
    /// Whether the body can be sent again now.
    #[must_use]
    pub fn can_repeat(&self) -> bool {
        match &self.shared {
            Some(shared) => lock(shared).recording.is_some(),
            None => true,
        }
    }

    /// The body once more. Whoever reads an earlier one gets an error, unless that was read to its end.
    /// With `last` nothing more is recorded.
    pub fn next(&mut self, last: bool) -> Option<ReplayBody<B>> {
        let Some(shared) = &self.shared else {
            return Some(ReplayBody::empty());
        };
        let mut source = lock(shared);
        if let Some(copy) = source.copy() {
            return Some(ReplayBody::copy(copy));
        }
        source.recording.as_mut()?.seal();
        source.is_last = last;
        source.generation = source.generation.wrapping_add(1);
        let generation = source.generation;
        drop(source);
        Some(ReplayBody::shared(Arc::clone(shared), generation))
    }

    /// The body for an attempt beside one that goes on: nothing unless all of it was read by that one
    /// already.
    pub fn beside(&mut self) -> Option<ReplayBody<B>> {
        match &self.shared {
            Some(shared) => lock(shared).copy().map(ReplayBody::copy),
            None => Some(ReplayBody::empty()),
        }
    }
}

/// The lock is held while the body is polled, as only a reader that was superseded could wait for it.
fn lock<B>(shared: &Mutex<Source<B>>) -> MutexGuard<'_, Source<B>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

type PolledFrame = Poll<Option<Result<Frame<Bytes>, ReplayError>>>;

impl<B> Source<B>
where
    B: Body<Error: Into<BoxError>>,
{
    fn has_ended(&self) -> bool {
        self.rest.as_ref().is_none_or(|rest| rest.is_end_stream())
    }

    /// A copy of all of it, if all was read.
    fn copy(&mut self) -> Option<Recording> {
        match self.has_ended() {
            true => self.recording.as_mut().map(Recording::copy),
            false => None,
        }
    }

    fn poll_frame(&mut self, reader: &mut Reader, cx: &mut Context<'_>) -> PolledFrame {
        if reader.generation != self.generation {
            return Poll::Ready(Some(Err(ReplayError::Superseded)));
        }
        if !reader.is_live {
            if let Some(frame) = self.recorded_frame(reader) {
                return Poll::Ready(Some(Ok(frame)));
            }
            reader.is_live = true;
        }
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let frame = ready!(rest.as_mut().poll_frame(cx));
        let Some(frame) = frame else {
            self.rest = None;
            return Poll::Ready(None);
        };
        Poll::Ready(Some(match frame {
            Ok(frame) => {
                if frame.is_trailers() {
                    self.rest = None;
                }
                Ok(self.keep(frame))
            }
            Err(error) => {
                self.recording = None;
                Err(ReplayError::Inner(error.into()))
            }
        }))
    }

    fn recorded_frame(&mut self, reader: &mut Reader) -> Option<Frame<Bytes>> {
        let recording = self.recording.as_mut()?;
        let piece = match self.is_last {
            true => recording.take_piece(reader.number),
            false => recording.piece(reader.number),
        };
        reader.number += 1;
        piece.map(Frame::data)
    }

    fn keep(&mut self, frame: Frame<B::Data>) -> Frame<Bytes> {
        let frame = frame.map_data(into_bytes);
        if self.is_last {
            self.recording = None;
        }
        if let Some(recording) = &mut self.recording {
            if let Some(trailers) = frame.trailers_ref() {
                recording.keep_trailers(trailers);
            } else if frame.data_ref().is_some_and(|data| !recording.keep(data)) {
                self.recording = None;
            }
        }
        frame
    }

    fn unread(&self, reader: &Reader) -> u64 {
        match (&self.recording, reader.is_live) {
            (Some(recording), false) => recording.bytes_from(reader.number),
            _ => 0,
        }
    }
}

fn into_bytes(mut data: impl Buf) -> Bytes {
    let length = data.remaining();
    data.copy_to_bytes(length)
}

impl<B> Body for ReplayBody<B>
where
    B: Body<Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = ReplayError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> PolledFrame {
        match self.project().kind.project() {
            KindProjection::Once { body } => {
                let frame = ready!(body.poll_frame(cx));
                Poll::Ready(frame.map(|frame| match frame {
                    Ok(frame) => Ok(frame.map_data(into_bytes)),
                    Err(error) => Err(ReplayError::Inner(error.into())),
                }))
            }
            KindProjection::Empty => Poll::Ready(None),
            KindProjection::Copy { recording, number } => {
                let piece = recording.take_piece(*number).map(Frame::data);
                *number += 1;
                let frame = piece.or_else(|| recording.take_trailers().map(Frame::trailers));
                Poll::Ready(frame.map(Ok))
            }
            KindProjection::Shared { shared, reader } => lock(shared).poll_frame(reader, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Once { body } => body.is_end_stream(),
            Kind::Empty => true,
            Kind::Copy { recording, number } => {
                recording.bytes_from(*number) == 0 && !recording.has_trailers()
            }
            Kind::Shared { shared, reader } => {
                let source = lock(shared);
                reader.generation == source.generation
                    && source.unread(reader) == 0
                    && source.has_ended()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Once { body } => body.size_hint(),
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Copy { recording, number } => recording.size_from(*number),
            Kind::Shared { shared, reader } => {
                let source = lock(shared);
                let rest = source.rest.as_ref();
                let rest = rest.map_or_else(|| SizeHint::with_exact(0), |rest| rest.size_hint());
                longer(&rest, source.unread(reader))
            }
        }
    }
}

fn longer(rest: &SizeHint, by: u64) -> SizeHint {
    let mut hint = SizeHint::new();
    hint.set_lower(rest.lower().saturating_add(by));
    if let Some(upper) = rest.upper() {
        hint.set_upper(upper.saturating_add(by));
    }
    hint
}

/// A body without content.
impl<B> Default for ReplayBody<B> {
    fn default() -> Self {
        Self { kind: Kind::Empty }
    }
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(error) => error.fmt(f),
            Self::Superseded => f.write_str("the body was taken over by a later attempt"),
        }
    }
}

impl Error for ReplayError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Inner(error) => Some(&**error),
            Self::Superseded => None,
        }
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Once { .. } => "once",
            Kind::Empty => "empty",
            Kind::Copy { .. } => "copy",
            Kind::Shared { .. } => "recorded",
        };
        f.debug_struct("ReplayBody")
            .field("kind", &kind)
            .finish_non_exhaustive()
    }
}

impl<B> fmt::Debug for BodyReplay<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyReplay")
            .field("is_empty", &self.shared.is_none())
            .finish_non_exhaustive()
    }
}
