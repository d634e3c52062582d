//! Sending a request again.

use buttress_core::time::Instant;

use crate::attempt::Attempt;

/// Turns a request into the first attempt and a template of those that may follow.
pub trait Replay<Req> {
    /// What the inner service is called with.
    type Request;
    /// What is kept of a request while it may be sent again.
    type Template: Template<Request = Self::Request>;

    /// When an answer to the request is worthless, if the request says so.
    fn deadline(&self, request: &Req) -> Option<Instant> {
        let _ = request;
        None
    }

    /// The first attempt, and a template unless the request can never be sent again. Then nothing of it
    /// should be copied.
    fn prepare(&self, request: Req, first: Attempt) -> (Self::Request, Option<Self::Template>);
}

/// What is kept of a request while it may be sent again.
pub trait Template {
    /// What the inner service is called with.
    type Request;

    /// After which failures it can be sent again now.
    fn repeats(&self) -> Repeats;

    /// The next attempt; nothing if it turns out that there can be none. It is asked when another attempt
    /// is decided, before the wait.
    fn next(&mut self, attempt: Attempt) -> Option<Self::Request>;

    /// An attempt beside one that still runs and must not be disturbed; nothing if that cannot be.
    fn beside(&mut self, attempt: Attempt) -> Option<Self::Request> {
        self.next(attempt)
    }
}

/// After which failures a request can be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    /// After none.
    Never,
    /// If the upstream has not got it.
    IfUnsent,
    /// After any: it does no harm if the upstream gets it twice.
    Freely,
}

/// Clones requests, and takes every one for repeatable. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cloned;

impl<Req: Clone> Replay<Req> for Cloned {
    type Request = Req;
    type Template = Copies<Req>;

    fn prepare(&self, request: Req, first: Attempt) -> (Req, Option<Copies<Req>>) {
        match first.is_last() {
            true => (request, None),
            false => (request.clone(), Some(Copies(Some(request)))),
        }
    }
}

/// The template of [`Cloned`].
#[derive(Clone, Debug)]
pub struct Copies<Req>(Option<Req>);

impl<Req: Clone> Template for Copies<Req> {
    type Request = Req;

    fn repeats(&self) -> Repeats {
        match self.0 {
            Some(_) => Repeats::Freely,
            None => Repeats::Never,
        }
    }

    fn next(&mut self, attempt: Attempt) -> Option<Req> {
        match attempt.is_last() {
            true => self.0.take(),
            false => self.0.clone(),
        }
    }
}

/// Copies requests by a function, which returns nothing for one that is not to be sent again.
#[derive(Clone, Copy, Debug)]
pub struct CopiedBy<F>(
    /// Copies a request.
    pub F,
);

impl<Req, F> Replay<Req> for CopiedBy<F>
where
    F: Fn(&Req) -> Option<Req> + Clone,
{
    type Request = Req;
    type Template = CopiesBy<Req, F>;

    fn prepare(&self, request: Req, first: Attempt) -> (Req, Option<CopiesBy<Req, F>>) {
        let copy = match first.is_last() {
            true => None,
            false => (self.0)(&request),
        };
        let template = copy.map(|copy| CopiesBy {
            kept: Some(copy),
            copy: self.0.clone(),
        });
        (request, template)
    }
}

/// The template of [`CopiedBy`].
#[derive(Clone, Debug)]
pub struct CopiesBy<Req, F> {
    kept: Option<Req>,
    copy: F,
}

impl<Req, F: Fn(&Req) -> Option<Req>> Template for CopiesBy<Req, F> {
    type Request = Req;

    fn repeats(&self) -> Repeats {
        match self.kept {
            Some(_) => Repeats::Freely,
            None => Repeats::Never,
        }
    }

    fn next(&mut self, attempt: Attempt) -> Option<Req> {
        match attempt.is_last() {
            true => self.kept.take(),
            false => (self.copy)(self.kept.as_ref()?),
        }
    }
}
