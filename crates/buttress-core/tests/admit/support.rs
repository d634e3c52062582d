//! An admission that does as it is told, and that hears what becomes of its permits.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use buttress_core::{
    Admission, AdmitLayer, AsBoxError, Ask, AtHead, End, Now, Outcome, Path, Permit, Reason,
    Rejection, Ticket, Verdict, When,
};

pub(crate) const REFUSED: Rejection = Rejection::new(Reason::Overloaded, When::Unknown);

/// What a gate does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Admit,
    Refuse,
    Wait,
}

/// What happened, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    Asked,
    Head(Outcome),
    End(End),
    Left,
    InnerDropped,
}

#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    mode: Mode,
    heard: Vec<Heard>,
    /// The answer to all who wait.
    answer: Option<Result<(), Rejection>>,
    wakers: Vec<Waker>,
}

impl Gate {
    pub(crate) fn new(mode: Mode) -> Self {
        Self(Arc::new(Mutex::new(State {
            mode,
            heard: Vec::new(),
            answer: None,
            wakers: Vec::new(),
        })))
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.0.lock().unwrap().mode = mode;
    }

    /// Answers those who wait.
    pub(crate) fn answer(&self, answer: Result<(), Rejection>) {
        let mut state = self.0.lock().unwrap();
        state.answer = Some(answer);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn hear(&self, heard: Heard) {
        self.0.lock().unwrap().heard.push(heard);
    }

    /// What was heard since the last time.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut self.0.lock().unwrap().heard)
    }

    pub(crate) fn layer(&self) -> AdmitLayer<(), Self> {
        AdmitLayer::new(self.clone())
    }

    pub(crate) fn box_error_layer(&self) -> AdmitLayer<(), Self, AtHead, AsBoxError> {
        AdmitLayer::from_path(Path {
            ask: (),
            admission: self.clone(),
            settle: AtHead::default(),
            on_reject: AsBoxError,
        })
    }
}

impl Admission for Gate {
    type Demand = ();
    type Ticket = Held;
    type Wait = Wait;

    fn admit(&self, (): (), _: &Now) -> Verdict<Held, Wait> {
        self.hear(Heard::Asked);
        let mode = self.0.lock().unwrap().mode;
        match mode {
            Mode::Admit => Verdict::Now(Ok(Permit::new(Held(self.clone())))),
            Mode::Refuse => Verdict::Now(Err(REFUSED)),
            Mode::Wait => Verdict::Later(Wait {
                gate: self.clone(),
                waits: true,
            }),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Held(Gate);

impl Ticket for Held {
    fn head(&mut self, outcome: Outcome, _: &Now) {
        self.0.hear(Heard::Head(outcome));
    }

    fn end(self, end: End, _: &Now) {
        self.0.hear(Heard::End(end));
    }
}

#[derive(Debug)]
pub(crate) struct Wait {
    gate: Gate,
    waits: bool,
}

impl Future for Wait {
    type Output = Result<Permit<Held>, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.gate.0.lock().unwrap();
        let Some(answer) = state.answer else {
            state.wakers.push(cx.waker().clone());
            return Poll::Pending;
        };
        drop(state);
        self.waits = false;
        Poll::Ready(answer.map(|()| Permit::new(Held(self.gate.clone()))))
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if self.waits {
            self.gate.hear(Heard::Left);
        }
    }
}

/// Negative requests are exempt, and zero lacks its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Positive;

impl Ask<i32> for Positive {
    type Demand = ();

    fn ask(&self, request: &i32, _: &Now) -> Result<Option<()>, Rejection> {
        match request {
            0 => Err(Rejection::new(Reason::MissingKey, When::Never)),
            1.. => Ok(Some(())),
            _ => Ok(None),
        }
    }
}
