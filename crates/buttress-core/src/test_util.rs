//! A scripted upstream and a paused clock, for tests of your own stacks.
//!
//! Use it from `[dev-dependencies]` only: with it comes tokio's `test-util`, whose clock costs more to
//! read.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tower_service::Service;

use crate::time::{Instant, now};

/// Moves a paused clock on, timer by timer.
///
/// All that is due until then happens in order, each at its own time, and what it starts in turn happens
/// too. `tokio::time::advance` would jump there at once, so that a second wait of a task began too late.
///
/// # Panics
///
/// If the clock is not paused: annotate the test `#[tokio::test(start_paused = true)]`.
pub async fn advance(duration: Duration) {
    // This is what fails if the clock runs by itself.
    tokio::time::advance(Duration::ZERO).await;
    tokio::time::sleep(duration).await;
}

/// What comes of the future, and how long it took.
///
/// On a paused clock this is exact to a millisecond, which is as fine as tokio's timers are, and takes no
/// time at all.
pub async fn timed<F: Future>(future: F) -> (F::Output, Duration) {
    let begin = now();
    let output = future.await;
    (output, begin.elapsed())
}

/// What a [`Scripted`] upstream does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<Res, E> {
    after: Duration,
    result: Option<Result<Res, E>>,
}

impl<Res, E> Reply<Res, E> {
    /// Answers with a response, at once.
    pub const fn ok(response: Res) -> Self {
        Self {
            after: Duration::ZERO,
            result: Some(Ok(response)),
        }
    }

    /// Fails, at once.
    pub const fn error(error: E) -> Self {
        Self {
            after: Duration::ZERO,
            result: Some(Err(error)),
        }
    }

    /// Never answers: the call hangs until it is dropped.
    pub const fn never() -> Self {
        Self {
            after: Duration::ZERO,
            result: None,
        }
    }

    /// The same, after so long.
    #[must_use]
    pub fn after(self, latency: Duration) -> Self {
        Self {
            after: latency,
            ..self
        }
    }
}

type Script<Req, Res, E> = dyn FnMut(Req) -> Reply<Res, E> + Send;

/// An upstream that does what it is told, and counts.
///
/// All clones are the same upstream: keep one to ask it what came. As services must, it insists on being
/// ready before it is called, each clone for itself.
///
/// ```
/// use std::time::Duration;
///
/// use buttress_core::test_util::{Reply, Scripted};
///
/// let upstream = Scripted::new(|request: u32| match request {
///     0 => Reply::error("zero"),
///     _ => Reply::ok(request * 2).after(Duration::from_millis(50)),
/// });
/// assert_eq!(upstream.calls(), 0);
/// ```
pub struct Scripted<Req, Res, E> {
    script: Arc<Mutex<Script<Req, Res, E>>>,
    counts: Arc<Counts>,
    ready: bool,
}

#[derive(Debug)]
struct Counts {
    made: Instant,
    arrivals: Mutex<Vec<Duration>>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    abandoned: AtomicUsize,
}

impl<Req, Res, E> Scripted<Req, Res, E> {
    /// Asks the function what to do with each call. It is called for one call at a time.
    pub fn new(script: impl FnMut(Req) -> Reply<Res, E> + Send + 'static) -> Self {
        let counts = Counts {
            made: now(),
            arrivals: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
            abandoned: AtomicUsize::new(0),
        };
        Self {
            script: Arc::new(Mutex::new(script)),
            counts: Arc::new(counts),
            ready: false,
        }
    }

    /// Gives the first reply to the first call, and so on.
    ///
    /// A call for which none is left panics, as more came than the test expects.
    pub fn in_order(replies: impl IntoIterator<Item = Reply<Res, E>>) -> Self
    where
        Res: Send + 'static,
        E: Send + 'static,
    {
        let mut replies: VecDeque<_> = replies.into_iter().collect();
        let known = replies.len();
        Self::new(move |_| match replies.pop_front() {
            Some(reply) => reply,
            None => panic!("the script has {known} replies, and there is one call more"),
        })
    }

    /// How many calls came.
    #[must_use]
    pub fn calls(&self) -> usize {
        lock(&self.counts.arrivals).len()
    }

    /// When each of them came, counted from when the upstream was made.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Duration> {
        lock(&self.counts.arrivals).clone()
    }

    /// How many calls have neither been answered nor dropped.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.counts.in_flight.load(Ordering::SeqCst)
    }

    /// How many there were at most at the same time.
    #[must_use]
    pub fn most_in_flight(&self) -> usize {
        self.counts.most_in_flight.load(Ordering::SeqCst)
    }

    /// How many calls were dropped before they were answered.
    #[must_use]
    pub fn abandoned(&self) -> usize {
        self.counts.abandoned.load(Ordering::SeqCst)
    }
}

// A panicking script is the test's failure already.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<Req, Res, E> Service<Req> for Scripted<Req, Res, E>
where
    Res: Send + 'static,
    E: Send + 'static,
{
    type Response = Res;
    type Error = E;
    type Future = Pin<Box<dyn Future<Output = Result<Res, E>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    /// # Panics
    ///
    /// If this clone was not polled for readiness since its last call.
    fn call(&mut self, request: Req) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "a layer called its inner service without `poll_ready` on the same clone"
        );
        let call = Call::begin(Arc::clone(&self.counts));
        let reply = (lock(&self.script))(request);
        Box::pin(async move {
            let mut call = call;
            if !reply.after.is_zero() {
                tokio::time::sleep(reply.after).await;
            }
            match reply.result {
                Some(result) => {
                    call.answered = true;
                    result
                }
                None => std::future::pending().await,
            }
        })
    }
}

/// A call in flight.
struct Call {
    counts: Arc<Counts>,
    answered: bool,
}

impl Call {
    fn begin(counts: Arc<Counts>) -> Self {
        lock(&counts.arrivals).push(counts.made.elapsed());
        let others = counts.in_flight.fetch_add(1, Ordering::SeqCst);
        counts
            .most_in_flight
            .fetch_max(others + 1, Ordering::SeqCst);
        Self {
            counts,
            answered: false,
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.counts.in_flight.fetch_sub(1, Ordering::SeqCst);
        if !self.answered {
            self.counts.abandoned.fetch_add(1, Ordering::SeqCst);
        }
    }
}

// Derived, this would be as ready as what it is cloned from, and demand `Clone` of the types.
impl<Req, Res, E> Clone for Scripted<Req, Res, E> {
    fn clone(&self) -> Self {
        Self {
            script: Arc::clone(&self.script),
            counts: Arc::clone(&self.counts),
            ready: false,
        }
    }
}

impl<Req, Res, E> fmt::Debug for Scripted<Req, Res, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted")
            .field("calls", &self.calls())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
