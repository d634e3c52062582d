//! Waiters that are polled by hand, so that a test says exactly who looks when.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use buttress_core::{Admission, Now, Permit, Policy, Rejection, Verdict};
use buttress_priority_queue::{PriorityQueue, QueueDemand, QueueTicket, QueueWait};

pub(crate) type Answer<G> = Result<Permit<QueueTicket<G>>, Rejection>;

/// One who asked for a place.
pub(crate) struct Caller<G: Policy> {
    wait: Option<Pin<Box<QueueWait<G>>>>,
    answer: Option<Answer<G>>,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Asks, and looks once.
pub(crate) fn call<G: Policy>(
    queue: &PriorityQueue<G>,
    demand: QueueDemand<G::Demand>,
) -> Caller<G> {
    let mut caller = Caller {
        wait: None,
        answer: None,
        woken: Arc::default(),
    };
    match queue.admit(demand, &Now::new()) {
        Verdict::Now(answer) => caller.answer = Some(answer),
        Verdict::Later(wait) => caller.wait = Some(Box::pin(wait)),
    }
    caller.look();
    caller
}

impl<G: Policy> Caller<G> {
    /// Looks whether the wait has come out, and again if it asks for that: the end of its timer is acted on
    /// only when everybody else has looked.
    pub(crate) fn look(&mut self) -> &mut Self {
        let waker = Waker::from(Arc::clone(&self.woken));
        let before = self.woken();
        while let Some(wait) = &mut self.wait {
            if let Poll::Ready(answer) = wait.as_mut().poll(&mut Context::from_waker(&waker)) {
                self.answer = Some(answer);
                self.wait = None;
            } else if self.woken.0.swap(before, Ordering::SeqCst) == before {
                break;
            }
        }
        self
    }

    /// How often it was woken so far.
    pub(crate) fn woken(&self) -> usize {
        self.woken.0.load(Ordering::SeqCst)
    }

    /// Looks only if it was woken, as an executor does.
    pub(crate) fn look_if_woken(&mut self) -> &mut Self {
        if self.woken.0.swap(0, Ordering::SeqCst) > 0 {
            self.look();
        }
        self
    }

    pub(crate) fn waits(&self) -> bool {
        self.answer.is_none()
    }

    pub(crate) fn is_admitted(&self) -> bool {
        matches!(self.answer, Some(Ok(_)))
    }

    pub(crate) fn rejection(&self) -> Rejection {
        match &self.answer {
            Some(Err(rejection)) => *rejection,
            Some(Ok(_)) => panic!("it was admitted"),
            None => panic!("it waits"),
        }
    }

    /// Gives the place back, or goes away.
    pub(crate) fn leave(self) {}
}

/// Lets everybody look who was woken, until nobody is woken any more.
pub(crate) fn look_all<'a, G: Policy + 'a, const N: usize>(callers: [&'a mut Caller<G>; N]) {
    let mut callers = callers;
    while callers.iter().any(|caller| caller.woken() > 0) {
        for caller in &mut callers {
            caller.look_if_woken();
        }
    }
}
