//! What a call really used, read from its response without delaying or copying it.

use std::fmt;
use std::io::IoSlice;

use buttress_core::{Classify, End, Now, Outcome, Permit, Settle, Ticket, Usage};
use bytes::Buf;
use http::Response;
use http::response::Parts;
use http_body::Body;

use crate::body::{PermitBody, hold};
use crate::classify::ByStatus;

/// How many pieces of one frame can be looked at.
const PIECES: usize = 64;

/// Finds out what a call used.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell what a call used",
    note = "use `FromHead`, `FromBody` or `FromFrames` with a closure whose argument is annotated"
)]
pub trait Measure {
    /// What follows the body.
    type Reader: ReadUsage;

    /// Looks at the head of a response that is a success.
    fn begin(&self, head: &Parts) -> Self::Reader;
}

/// Follows the body of a response.
pub trait ReadUsage {
    /// Sees the next piece of data, as it goes by.
    fn data(&mut self, piece: &[u8]);

    /// What was used, as far as is known by now.
    fn usage(&mut self) -> Option<Usage>;

    /// Whether the data need be looked at.
    fn wants_data(&self) -> bool {
        true
    }
}

/// Measures nothing.
impl Measure for () {
    type Reader = ();

    fn begin(&self, _: &Parts) {}
}

impl ReadUsage for () {
    #[inline]
    fn data(&mut self, _: &[u8]) {}

    #[inline]
    fn usage(&mut self) -> Option<Usage> {
        None
    }

    #[inline]
    fn wants_data(&self) -> bool {
        false
    }
}

/// Reads the usage from the head: `|head: &Parts| ..`.
#[derive(Clone, Copy, Debug)]
pub struct FromHead<F>(
    /// Finds it, if it is there.
    pub F,
);

/// What a head told.
#[derive(Clone, Copy, Debug)]
pub struct HeadUsage(Option<Usage>);

impl<F, U> Measure for FromHead<F>
where
    F: Fn(&Parts) -> Option<U>,
    U: Into<Usage>,
{
    type Reader = HeadUsage;

    fn begin(&self, head: &Parts) -> HeadUsage {
        HeadUsage((self.0)(head).map(Into::into))
    }
}

impl ReadUsage for HeadUsage {
    fn data(&mut self, _: &[u8]) {}

    fn usage(&mut self) -> Option<Usage> {
        self.0
    }

    fn wants_data(&self) -> bool {
        false
    }
}

/// Reads the usage from the whole body, when it has ended: `|body: &[u8]| ..`.
///
/// The body goes on as it comes; what is read is a copy, of at most so many bytes. Of a longer body nothing
/// is known.
#[derive(Clone, Copy, Debug)]
pub struct FromBody<F> {
    read: F,
    most: usize,
}

impl<F> FromBody<F> {
    /// Reads bodies of at most 1 MiB.
    pub const fn new(read: F) -> Self {
        Self {
            read,
            most: 1 << 20,
        }
    }

    /// Reads bodies of at most so many bytes.
    #[must_use]
    pub const fn at_most(mut self, bytes: usize) -> Self {
        self.most = bytes;
        self
    }
}

/// Collects a body.
pub struct BodyUsage<F> {
    read: F,
    most: usize,
    /// None once there is too much of it.
    collected: Option<Vec<u8>>,
}

impl<F, U> Measure for FromBody<F>
where
    F: Fn(&[u8]) -> Option<U> + Clone,
    U: Into<Usage>,
{
    type Reader = BodyUsage<F>;

    fn begin(&self, _: &Parts) -> BodyUsage<F> {
        BodyUsage {
            read: self.read.clone(),
            most: self.most,
            collected: Some(Vec::new()),
        }
    }
}

impl<F, U> ReadUsage for BodyUsage<F>
where
    F: Fn(&[u8]) -> Option<U>,
    U: Into<Usage>,
{
    fn data(&mut self, piece: &[u8]) {
        if let Some(collected) = &mut self.collected {
            match self.most - collected.len() >= piece.len() {
                true => collected.extend_from_slice(piece),
                false => self.collected = None,
            }
        }
    }

    fn usage(&mut self) -> Option<Usage> {
        let collected = self.collected.as_deref()?;
        (self.read)(collected).map(Into::into)
    }
}

impl<F> fmt::Debug for BodyUsage<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.collected.as_ref().map(Vec::len);
        f.debug_struct("BodyUsage")
            .field("bytes", &bytes)
            .finish_non_exhaustive()
    }
}

/// Reads the usage piece by piece while a streamed body goes by: a function of the head that makes a reader,
/// `|head: &Parts| move |piece: &[u8]| ..`. The reader tells what is known from then on, or nothing new.
#[derive(Clone, Copy, Debug)]
pub struct FromFrames<F>(
    /// Makes a reader.
    pub F,
);

/// Follows a streamed body.
pub struct FrameUsage<G> {
    read: G,
    known: Option<Usage>,
}

impl<F, G, U> Measure for FromFrames<F>
where
    F: Fn(&Parts) -> G,
    G: FnMut(&[u8]) -> Option<U>,
    U: Into<Usage>,
{
    type Reader = FrameUsage<G>;

    fn begin(&self, head: &Parts) -> FrameUsage<G> {
        FrameUsage {
            read: (self.0)(head),
            known: None,
        }
    }
}

impl<G, U> ReadUsage for FrameUsage<G>
where
    G: FnMut(&[u8]) -> Option<U>,
    U: Into<Usage>,
{
    fn data(&mut self, piece: &[u8]) {
        if let Some(usage) = (self.read)(piece) {
            self.known = Some(usage.into());
        }
    }

    fn usage(&mut self) -> Option<Usage> {
        self.known
    }
}

impl<G> fmt::Debug for FrameUsage<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameUsage")
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

/// Shows a frame's data to a reader, where it lies. Of data in more than 64 pieces the rest is not seen.
pub(crate) fn show(data: &impl Buf, reader: &mut impl ReadUsage) {
    if !reader.wants_data() {
        return;
    }
    let first = data.chunk();
    if first.len() == data.remaining() {
        return reader.data(first);
    }
    let mut pieces = [IoSlice::new(&[]); PIECES];
    let found = data.chunks_vectored(&mut pieces);
    for piece in &pieces[..found] {
        reader.data(piece);
    }
}

/// Ends the permit when the body ends, as [`AtBodyEnd`](crate::AtBodyEnd) does, with what `M` measures.
///
/// A response that is not 2xx did nothing, so its permit ends at once with [`Usage::NOTHING`], whatever it
/// counts as for those who judge the upstream. A body that breaks off, or is left, tells what was seen of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct AtUsage<M = (), C = ByStatus> {
    measure: M,
    classify: C,
}

impl<M> AtUsage<M> {
    /// Ends permits with what `measure` finds.
    #[must_use]
    pub fn new(measure: M) -> Self {
        Self {
            measure,
            classify: ByStatus::default(),
        }
    }
}

impl<M, C> AtUsage<M, C> {
    /// How a call went, as its head tells.
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> AtUsage<M, C2> {
        AtUsage {
            measure: self.measure,
            classify,
        }
    }
}

impl<B, E, T, M, C> Settle<Response<B>, E, T> for AtUsage<M, C>
where
    B: Body,
    T: Ticket,
    M: Measure,
    C: Classify<Response<B>, E>,
{
    type Response = Response<PermitBody<B, T, M::Reader>>;

    fn settle(
        &self,
        result: Result<Response<B>, E>,
        mut permit: Permit<T>,
        now: &Now,
    ) -> Result<Self::Response, E> {
        let outcome = self.classify.classify(result.as_ref());
        permit.head(outcome, now);
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                permit.end(End::Settled(outcome, None), now);
                return Err(error);
            }
        };
        let (parts, inner) = response.into_parts();
        let was_done = outcome == Outcome::Success && parts.status.is_success();
        let held = match was_done {
            true => Ok((permit, self.measure.begin(&parts))),
            false => {
                let nothing = match outcome {
                    // It tells nothing of the upstream, or the upstream may have gone on.
                    Outcome::Refused | Outcome::TimedOut => None,
                    _ => Some(Usage::NOTHING),
                };
                permit.end(End::Settled(outcome, nothing), now);
                Err(())
            }
        };
        Ok(hold(parts, inner, held.ok(), now))
    }
}
