//! What a body has given so far.

use bytes::Bytes;
use http::HeaderMap;
use http_body::SizeHint;

/// Shorter pieces are copied together, so that a body of single bytes costs no more than its bytes.
const SHORT: usize = 512;

/// The frames of a body, in order, up to a limit.
#[derive(Debug)]
pub(crate) struct Recording {
    pieces: Vec<Bytes>,
    short: Vec<u8>,
    trailers: Option<HeaderMap>,
    room: usize,
}

impl Recording {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            pieces: Vec::new(),
            short: Vec::new(),
            trailers: None,
            room: limit,
        }
    }

    /// Keeps a piece; false if it exceeds the limit, after which the recording is useless.
    pub(crate) fn keep(&mut self, piece: &Bytes) -> bool {
        let Some(room) = self.room.checked_sub(piece.len()) else {
            return false;
        };
        self.room = room;
        if piece.len() < SHORT {
            self.short.extend_from_slice(piece);
        } else {
            self.seal();
            self.pieces.push(piece.clone());
        }
        true
    }

    pub(crate) fn keep_trailers(&mut self, trailers: &HeaderMap) {
        self.trailers = Some(trailers.clone());
    }

    /// Makes everything that was kept a piece, to be read by number.
    pub(crate) fn seal(&mut self) {
        if !self.short.is_empty() {
            self.pieces.push(std::mem::take(&mut self.short).into());
        }
    }

    pub(crate) fn piece(&self, number: usize) -> Option<Bytes> {
        self.pieces.get(number).cloned()
    }

    /// A piece that nobody will ask for again.
    pub(crate) fn take_piece(&mut self, number: usize) -> Option<Bytes> {
        self.pieces.get_mut(number).map(std::mem::take)
    }

    pub(crate) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    pub(crate) const fn has_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    /// How many bytes there are from a piece on.
    pub(crate) fn bytes_from(&self, number: usize) -> u64 {
        let pieces = self.pieces.get(number..).unwrap_or_default();
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// What is said of the size. HTTP/1 sends no trailers after a body whose length it has told, so a body
    /// with trailers has none.
    pub(crate) fn size_from(&self, number: usize) -> SizeHint {
        let bytes = self.bytes_from(number);
        match self.trailers {
            Some(_) => {
                let mut hint = SizeHint::new();
                hint.set_lower(bytes);
                hint
            }
            None => SizeHint::with_exact(bytes),
        }
    }

    /// A copy to be read by its own, which shares the bytes.
    pub(crate) fn copy(&mut self) -> Self {
        self.seal();
        Self {
            pieces: self.pieces.clone(),
            short: Vec::new(),
            trailers: self.trailers.clone(),
            room: 0,
        }
    }
}
