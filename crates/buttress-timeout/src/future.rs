use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use buttress_core::{Now, OnReject, Rejection, as_timed_out};
use pin_project_lite::pin_project;
use tokio::task::unconstrained;
use tokio::time::{Sleep, sleep_until};

use crate::limits::Until;
use crate::watch::Watch;

pin_project! {
    /// The future of [`Timeout`](crate::Timeout).
    ///
    /// It sets no timer before the inner future was pending once. Dropping it before its time ends the
    /// call as cancelled; at or after it, as timed out.
    pub struct ResponseFuture<F, W, R> {
        #[pin]
        call: Call<F>,
        // In place, so that a call that has to wait allocates nothing.
        #[pin]
        timer: Option<Sleep>,
        watch: W,
        on_reject: R,
    }

    impl<F, W, R> PinnedDrop for ResponseFuture<F, W, R> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Call::Running { until: Some(until), .. } = &*this.call
                && until.has_come()
            {
                cut_off(this.call);
            }
        }
    }
}

pin_project! {
    #[project = CallProjection]
    enum Call<F> {
        Running { #[pin] inner: F, until: Option<Until> },
        Refused { rejection: Rejection },
        Over,
    }
}

impl<F, W, R> ResponseFuture<F, W, R> {
    #[inline]
    pub(crate) const fn running(inner: F, until: Option<Until>, watch: W, on_reject: R) -> Self {
        Self {
            call: Call::Running { inner, until },
            timer: None,
            watch,
            on_reject,
        }
    }

    pub(crate) const fn refused(rejection: Rejection, watch: W, on_reject: R) -> Self {
        Self {
            call: Call::Refused { rejection },
            timer: None,
            watch,
            on_reject,
        }
    }
}

impl<F, W, R, Res, E> Future for ResponseFuture<F, W, R>
where
    F: Future<Output = Result<Res, E>>,
    W: Watch<Res>,
    R: OnReject<W::Response, E>,
{
    type Output = Result<R::Response, R::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let rejection = match this.call.as_mut().project() {
            CallProjection::Running { inner, until } => {
                let until = *until;
                // The answer first: one that has come at this instant is not too late.
                if let Poll::Ready(result) = inner.poll(cx) {
                    this.call.set(Call::Over);
                    this.timer.set(None);
                    let watched = result.map(|response| this.watch.watch(response));
                    return Poll::Ready(watched.map(R::response).map_err(R::error));
                }
                match until {
                    Some(until) if poll_timer(this.timer.as_mut(), until, cx) => {
                        cut_off(this.call.as_mut());
                        until.rejection()
                    }
                    _ => return Poll::Pending,
                }
            }
            CallProjection::Refused { rejection } => *rejection,
            CallProjection::Over => panic!("a future is not polled after it was ready"),
        };
        this.call.set(Call::Over);
        this.timer.set(None);
        Poll::Ready(this.on_reject.reject(rejection, &Now::new()))
    }
}

/// Whether the time has come; if not, the task is woken when it has.
fn poll_timer(mut timer: Pin<&mut Option<Sleep>>, until: Until, cx: &mut Context<'_>) -> bool {
    if timer.is_none() {
        timer.set(Some(sleep_until(until.at())));
    }
    let Some(timer) = timer.as_pin_mut() else {
        return false;
    };
    // An inner future that uses up its task's share of time would leave none for the timer, which would
    // then never even be set. It fires once, so it takes nobody's turn.
    pin!(unconstrained(timer)).poll(cx).is_ready()
}

fn cut_off<F>(mut call: Pin<&mut Call<F>>) {
    as_timed_out(|| call.set(Call::Over));
}

impl<F, W, R> fmt::Debug for ResponseFuture<F, W, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.call {
            Call::Running { .. } => "running",
            Call::Refused { .. } => "refused",
            Call::Over => "over",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
