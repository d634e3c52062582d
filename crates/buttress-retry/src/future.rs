use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use buttress_core::{
    Event, Now, Observe, OnReject, Outcome, Reason, Rejection, When, as_settled, as_timed_out,
    note_sent,
};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::call::{Call, Cut};
use crate::judge::{Judge, Judgement};
use crate::layer::Parts;
use crate::replay::Replay;

pin_project! {
    /// The future of [`Retry`](crate::Retry).
    pub struct ResponseFuture<S, Req, W, J, R, O>
    where
        W: Replay<Req>,
        S: Service<W::Request>,
    {
        #[pin]
        state: State<S::Future, W::Request, CallOf<S, Req, W, J, R, O>, Arc<Parts<W, J, R, O>>>,
    }

    impl<S, Req, W, J, R, O> PinnedDrop for ResponseFuture<S, Req, W, J, R, O>
    where
        W: Replay<Req>,
        S: Service<W::Request>,
    {
        fn drop(this: Pin<&mut Self>) {
            if let StateProjection::Repeatable { mut step, call } = this.project().state.project()
                && call.has_sent
            {
                // The last attempt may still wait; one before it did not.
                step.set(Step::Ended);
                note_sent();
            }
        }
    }
}

type CallOf<S, Req, W, J, R, O> = Call<S, <W as Replay<Req>>::Template, W, J, R, O>;

pin_project! {
    #[project = StateProjection]
    enum State<F, Req, C, P> {
        // It can neither be repeated nor cut off, so nothing is kept beside it.
        Once {
            #[pin]
            inner: F,
        },
        Repeatable {
            #[pin]
            step: Step<F, Req>,
            call: C,
        },
        Late {
            parts: P,
        },
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F, Req> {
        Running { #[pin] inner: F },
        Pausing { request: Option<Req> },
        Readying { request: Option<Req> },
        Ended,
    }
}

impl<S, Req, W, J, R, O> ResponseFuture<S, Req, W, J, R, O>
where
    W: Replay<Req>,
    S: Service<W::Request>,
{
    #[inline]
    pub(crate) const fn once(inner: S::Future) -> Self {
        Self {
            state: State::Once { inner },
        }
    }

    #[inline]
    pub(crate) const fn repeatable(inner: S::Future, call: CallOf<S, Req, W, J, R, O>) -> Self {
        Self {
            state: State::Repeatable {
                step: Step::Running { inner },
                call,
            },
        }
    }

    pub(crate) const fn late(parts: Arc<Parts<W, J, R, O>>) -> Self {
        Self {
            state: State::Late { parts },
        }
    }
}

impl<S, Req, W, J, R, O> Future for ResponseFuture<S, Req, W, J, R, O>
where
    W: Replay<Req>,
    S: Service<W::Request>,
    J: Judge<S::Response, S::Error>,
    R: OnReject<S::Response, S::Error>,
    O: Observe,
{
    type Output = Result<R::Response, R::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Once { inner } => {
                let result = ready!(inner.poll(cx));
                Poll::Ready(result.map(R::response).map_err(R::error))
            }
            StateProjection::Repeatable { step, call } => poll_repeatable(step, call, cx),
            StateProjection::Late { parts } => {
                let late = Rejection::new(Reason::Deadline, When::Never);
                Poll::Ready(reject(parts, late))
            }
        }
    }
}

fn poll_repeatable<S, Req, W, J, R, O>(
    mut step: Pin<&mut Step<S::Future, W::Request>>,
    call: &mut CallOf<S, Req, W, J, R, O>,
    cx: &mut Context<'_>,
) -> Poll<Result<R::Response, R::Error>>
where
    W: Replay<Req>,
    S: Service<W::Request>,
    J: Judge<S::Response, S::Error>,
    R: OnReject<S::Response, S::Error>,
    O: Observe,
{
    loop {
        let next = match step.as_mut().project() {
            StepProjection::Running { inner } => match inner.poll(cx) {
                Poll::Ready(result) => {
                    let judgement = call.parts.judge.judge(result.as_ref());
                    let Some(request) = call.decide(judgement) else {
                        return Poll::Ready(result.map(R::response).map_err(R::error));
                    };
                    call.has_sent = true;
                    // The failed response goes before the wait: it may hold a connection.
                    as_settled(|| drop(result));
                    pausing(request)
                }
                Poll::Pending => {
                    let cut = ready!(call.poll_cut(cx));
                    as_timed_out(|| step.set(Step::Ended));
                    call.has_sent = true;
                    let again = match cut {
                        Cut::AttemptTimeout => call.decide(Judgement::again(Outcome::TimedOut)),
                        Cut::Deadline => None,
                    };
                    match again {
                        Some(request) => pausing(request),
                        None => return Poll::Ready(reject(&call.parts, cut.into())),
                    }
                }
            },
            StepProjection::Pausing { request } => {
                ready!(call.poll_pause(cx));
                Step::Readying {
                    request: request.take(),
                }
            }
            StepProjection::Readying { request } => {
                let service = call.service.as_mut();
                let service = service.expect("a request is repeated only with a service");
                match service.poll_ready(cx) {
                    Poll::Ready(Ok(())) => {
                        let request = request.take().expect("it is sent only once");
                        let inner = service.call(request);
                        call.starts(&Now::new());
                        Step::Running { inner }
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(R::error(error))),
                    Poll::Pending => {
                        let cut = ready!(call.poll_cut(cx));
                        return Poll::Ready(reject(&call.parts, cut.into()));
                    }
                }
            }
            StepProjection::Ended => return Poll::Pending,
        };
        step.set(next);
    }
}

const fn pausing<F, Req>(request: Req) -> Step<F, Req> {
    Step::Pausing {
        request: Some(request),
    }
}

impl From<Cut> for Rejection {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::AttemptTimeout => Self::timed_out(),
            Cut::Deadline => Self::past_deadline(),
        }
    }
}

fn reject<Res, E, W, J, R, O>(
    parts: &Parts<W, J, R, O>,
    rejection: Rejection,
) -> Result<R::Response, R::Error>
where
    R: OnReject<Res, E>,
    O: Observe,
{
    parts.observer.event(Event::Rejected(rejection));
    parts.on_reject.reject(rejection, &Now::new())
}

impl<S, Req, W, J, R, O> fmt::Debug for ResponseFuture<S, Req, W, J, R, O>
where
    W: Replay<Req>,
    S: Service<W::Request>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Once { .. } => "once",
            State::Late { .. } => "late",
            State::Repeatable { step, .. } => match step {
                Step::Running { .. } => "running",
                Step::Pausing { .. } => "pausing",
                Step::Readying { .. } => "readying",
                Step::Ended => "ended",
            },
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
