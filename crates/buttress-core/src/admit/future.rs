use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::leave::{dropped_unsent, leave};
use super::parked::{Parked, Unparked};
use crate::admission::Admission;
use crate::on_reject::OnReject;
use crate::permit::{Permit, Ticket};
use crate::rejection::Rejection;
use crate::settle::Settle;
use crate::time::{Instant, Now};

pin_project! {
    /// The future of [`Admit`](crate::Admit).
    ///
    /// Dropping it gives back what the request held: its place among the waiting, or its permit (after
    /// the inner future, so that work ends before its place is free).
    pub struct ResponseFuture<S, Req, Q, A, C, R>
    where
        S: Service<Req>,
        A: Admission,
    {
        #[pin]
        state: State<S::Future, Parking<S, Req, Q, A, C, R>, A::Ticket, C, R>,
    }

    impl<S, Req, Q, A, C, R> PinnedDrop for ResponseFuture<S, Req, Q, A, C, R>
    where
        S: Service<Req>,
        A: Admission,
    {
        #[inline]
        fn drop(this: Pin<&mut Self>) {
            let mut state = this.project().state;
            match state.as_mut().project() {
                StateProjection::Running { permit, .. } if permit.ticket().is_some() => {
                    let permit = mem::replace(permit, Permit::exempt());
                    leave(permit, || state.set(State::Gone));
                }
                StateProjection::Refused { .. } => dropped_unsent(),
                _ => {}
            }
        }
    }
}

type Parking<S, Req, Q, A, C, R> =
    Parked<S, Req, <A as Admission>::Wait, <A as Admission>::Ticket, Q, A, C, R>;

pin_project! {
    #[project = StateProjection]
    enum State<F, P, T: Ticket, C, R> {
        // The order of the fields is the order in which they are dropped.
        Running {
            #[pin]
            inner: F,
            permit: Permit<T>,
            settle: C,
        },
        Refused {
            rejection: Rejection,
            decided: Option<Instant>,
            on_reject: R,
        },
        Waiting {
            parked: Pin<Box<P>>,
        },
        Gone,
    }
}

impl<S, Req, Q, A, C, R> ResponseFuture<S, Req, Q, A, C, R>
where
    S: Service<Req>,
    A: Admission,
{
    #[inline]
    pub(super) const fn running(inner: S::Future, permit: Permit<A::Ticket>, settle: C) -> Self {
        Self {
            state: State::Running {
                inner,
                permit,
                settle,
            },
        }
    }

    #[inline]
    pub(super) const fn refused(
        rejection: Rejection,
        decided: Option<Instant>,
        on_reject: R,
    ) -> Self {
        Self {
            state: State::Refused {
                rejection,
                decided,
                on_reject,
            },
        }
    }

    pub(super) fn parked(parked: Parking<S, Req, Q, A, C, R>) -> Self {
        Self {
            state: State::Waiting {
                parked: Box::pin(parked),
            },
        }
    }
}

impl<S, Req, Q, A, C, R> Future for ResponseFuture<S, Req, Q, A, C, R>
where
    S: Service<Req>,
    A: Admission,
    C: Settle<S::Response, S::Error, A::Ticket> + Clone,
    R: OnReject<C::Response, S::Error> + Clone,
{
    type Output = Result<R::Response, R::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Running {
                    inner,
                    permit,
                    settle,
                } => {
                    let result = ready!(inner.poll(cx));
                    let permit = mem::replace(permit, Permit::exempt());
                    let settled = settle.settle(result, permit, &Now::new());
                    return Poll::Ready(settled.map(R::response).map_err(R::error));
                }
                StateProjection::Refused {
                    rejection,
                    decided,
                    on_reject,
                } => {
                    let now = Now::maybe_at(*decided);
                    return Poll::Ready(on_reject.reject(*rejection, &now));
                }
                StateProjection::Waiting { parked } => match ready!(parked.as_mut().poll(cx)) {
                    Unparked::Running(inner, permit, settle) => State::Running {
                        inner,
                        permit,
                        settle,
                    },
                    Unparked::Refused(rejection, on_reject) => State::Refused {
                        rejection,
                        decided: None,
                        on_reject,
                    },
                    Unparked::Failed(error) => return Poll::Ready(Err(R::error(error))),
                },
                // Nobody polls what is being dropped.
                StateProjection::Gone => return Poll::Pending,
            };
            state.set(next);
        }
    }
}

impl<S, Req, Q, A, C, R> fmt::Debug for ResponseFuture<S, Req, Q, A, C, R>
where
    S: Service<Req>,
    A: Admission,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Running { .. } => "running",
            State::Refused { .. } => "refused",
            State::Waiting { .. } => "waiting",
            State::Gone => "gone",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
