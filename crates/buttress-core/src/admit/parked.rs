use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::layer::Path;
use super::leave::dropped_unsent;
use crate::permit::{End, Permit, Ticket};
use crate::rejection::Rejection;
use crate::time::Now;

pin_project! {
    /// A request that waits: first for its admission, then for the inner service's readiness.
    ///
    /// It is boxed, so that the future of a request that does not wait has no room for it.
    pub(super) struct Parked<S, Req, W, T: Ticket, Q, A, C, R> {
        #[pin]
        wait: W,
        admitted: Unused<T>,
        service: S,
        request: Option<Req>,
        path: Arc<Path<Q, A, C, R>>,
        // Whether it has an answer: it was sent, refused, or the service failed.
        over: bool,
    }

    impl<S, Req, W, T: Ticket, Q, A, C, R> PinnedDrop for Parked<S, Req, W, T, Q, A, C, R> {
        fn drop(this: Pin<&mut Self>) {
            if !*this.project().over {
                dropped_unsent();
            }
        }
    }
}

/// A permit that nothing was sent with yet.
struct Unused<T: Ticket>(Option<Permit<T>>);

impl<T: Ticket> Drop for Unused<T> {
    fn drop(&mut self) {
        if let Some(permit) = self.0.take() {
            permit.end(End::Released, &Now::new());
        }
    }
}

/// How a wait came out, for a service that was parked.
type UnparkedOf<S, Req, T, C, R> =
    Unparked<<S as Service<Req>>::Future, T, C, R, <S as Service<Req>>::Error>;

/// How a wait came out.
pub(super) enum Unparked<F, T: Ticket, C, R, E> {
    Running(F, Permit<T>, C),
    Refused(Rejection, R),
    Failed(E),
}

impl<S, Req, W, T: Ticket, Q, A, C, R> Parked<S, Req, W, T, Q, A, C, R> {
    pub(super) const fn new(
        wait: W,
        service: S,
        request: Req,
        path: Arc<Path<Q, A, C, R>>,
    ) -> Self {
        Self {
            wait,
            admitted: Unused(None),
            service,
            request: Some(request),
            path,
            over: false,
        }
    }
}

impl<S, Req, W, T, Q, A, C, R> Parked<S, Req, W, T, Q, A, C, R>
where
    S: Service<Req>,
    W: Future<Output = Result<Permit<T>, Rejection>>,
    T: Ticket,
    C: Clone,
    R: Clone,
{
    pub(super) fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<UnparkedOf<S, Req, T, C, R>> {
        let this = self.project();
        if this.admitted.0.is_none() {
            match ready!(this.wait.poll(cx)) {
                Ok(permit) => this.admitted.0 = Some(permit),
                Err(rejection) => {
                    *this.over = true;
                    let on_reject = this.path.on_reject.clone();
                    return Poll::Ready(Unparked::Refused(rejection, on_reject));
                }
            }
        }
        if let Err(error) = ready!(this.service.poll_ready(cx)) {
            // The permit goes now, and not when the caller gets around to dropping the future.
            *this.admitted = Unused(None);
            *this.over = true;
            return Poll::Ready(Unparked::Failed(error));
        }
        let permit = this.admitted.0.take().unwrap_or_else(Permit::exempt);
        *this.over = true;
        let request = this
            .request
            .take()
            .expect("a request that was sent is not parked any more");
        let running = this.service.call(request);
        Poll::Ready(Unparked::Running(running, permit, this.path.settle.clone()))
    }
}
