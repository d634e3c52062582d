//! A request that runs, from the call to whatever ends it.

use std::sync::Arc;
use std::time::Duration;

use buttress_core::time::Instant;
use buttress_core::{End, Now, Outcome, Ticket};

use crate::ending::Ending;
use crate::kind::NO_CODE;
use crate::shared::{Ended, Place, Shared};
use crate::spans::CallSpan;

/// What is known of a request before it is sent.
#[derive(Debug)]
pub struct Asked {
    pub(crate) place: Place,
    /// Which of the methods that gauges tell apart.
    pub(crate) method: u8,
    /// How many bytes its body has, as far as that is known.
    pub(crate) sent: u64,
}

/// A request that runs: the ticket of a permit, so that it ends however the request does.
#[derive(Debug)]
pub struct Call {
    shared: Arc<Shared>,
    place: Place,
    begun: Instant,
    sent: u64,
    method: u8,
    /// Whether the gauge rose.
    is_told: bool,
    code: u8,
    head: Option<Outcome>,
    is_broken: bool,
    pub(crate) span: CallSpan,
}

impl Call {
    #[inline]
    pub(crate) fn begin(shared: &Arc<Shared>, asked: Asked, span: CallSpan, now: &Now) -> Self {
        Self {
            is_told: shared.begin(asked.method),
            shared: Arc::clone(shared),
            place: asked.place,
            begun: now.get(),
            sent: asked.sent,
            method: asked.method,
            code: NO_CODE,
            head: None,
            is_broken: false,
            span,
        }
    }

    fn took(&self, now: &Now) -> Duration {
        now.get().saturating_duration_since(self.begun)
    }

    /// The head has come, with this code if it says one.
    #[cfg(feature = "http")]
    pub(crate) const fn set_code(&mut self, code: u8) {
        self.code = code;
    }

    /// The service knows the names of the call.
    #[cfg(feature = "http")]
    pub(crate) fn prove(&mut self) {
        if let Place::Unproven(uri) = &self.place {
            let place = match crate::grpc::names(uri.path()) {
                Some(names) => self.shared.place(names),
                None => Place::Other,
            };
            self.place = place;
        }
    }

    #[cfg(feature = "http")]
    pub(crate) fn received(&self, bytes: u64) {
        self.shared.received(&self.place, bytes);
    }

    /// Trailers tell how it went, which the head could not know.
    #[cfg(feature = "http")]
    pub(crate) const fn set_outcome(&mut self, outcome: Outcome) {
        self.head = Some(outcome);
    }

    /// The body has broken off.
    #[cfg(feature = "http")]
    pub(crate) const fn set_broken(&mut self) {
        self.is_broken = true;
    }

    fn ending(&self, end: End) -> Ending {
        match (self.head, end) {
            (Some(Outcome::Success), _) if self.is_broken => Ending::BodyBroken,
            (Some(Outcome::Success) | None, End::Settled(outcome, _)) => outcome.into(),
            (Some(Outcome::Success), _) => Ending::BodyAborted,
            // A head that is no success is final, whatever becomes of the body.
            (Some(outcome), _) => outcome.into(),
            (None, _) => Ending::Aborted,
        }
    }
}

impl Ticket for Call {
    #[inline]
    fn head(&mut self, outcome: Outcome, now: &Now) {
        self.head = Some(outcome);
        let took = self.took(now);
        self.shared.head(&self.place, took, self.sent, now.get());
    }

    #[inline]
    fn end(self, end: End, now: &Now) {
        let ended = Ended {
            place: &self.place,
            code: self.code,
            ending: self.ending(end),
            took: self.took(now),
            active: self.is_told.then_some(self.method),
        };
        self.span.end(&self.shared, &ended);
        self.shared.end(&ended, now.get());
    }
}
