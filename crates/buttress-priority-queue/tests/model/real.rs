//! The real queue, looked at as an executor does.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use buttress_core::{Admission, Now, Permit, Reason, Verdict};
use buttress_priority_queue::{PriorityQueue, QueueDemand, QueueTicket, QueueWait};
use buttress_rate_limit::{RateDemand, RateLimiter};

use crate::Fate;

type Place = Permit<QueueTicket<RateLimiter>>;

#[derive(Default)]
pub(crate) struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub(crate) struct Real {
    pub(crate) queue: PriorityQueue<RateLimiter>,
    pub(crate) waits: Vec<Option<Pin<Box<QueueWait<RateLimiter>>>>>,
    pub(crate) places: Vec<Option<Place>>,
    pub(crate) fates: Vec<Fate>,
    pub(crate) woken: Vec<Arc<Woken>>,
}

impl Real {
    fn settle(&mut self, number: usize, answer: Result<Place, buttress_core::Rejection>) {
        self.fates[number] = match answer {
            Ok(place) => {
                self.places[number] = Some(place);
                Fate::Runs
            }
            Err(rejection) => match rejection.reason() {
                Reason::QueueFull => Fate::Full,
                Reason::QueueTimeout => Fate::TimedOut,
                Reason::Deadline => Fate::TooLate,
                Reason::RateLimit => Fate::Never,
                reason => panic!("nobody is refused for {reason:?}"),
            },
        };
    }

    pub(crate) fn arrive(&mut self, demand: QueueDemand<RateDemand>) {
        let number = self.fates.len();
        self.fates.push(Fate::Waits);
        self.places.push(None);
        self.waits.push(None);
        let woken = Arc::new(Woken::default());
        woken.0.store(true, Ordering::SeqCst);
        self.woken.push(woken);
        match self.queue.admit(demand, &Now::new()) {
            Verdict::Now(answer) => self.settle(number, answer),
            Verdict::Later(wait) => self.waits[number] = Some(Box::pin(wait)),
        }
    }

    pub(crate) fn look(&mut self) {
        loop {
            let woken = |number: &usize| {
                self.waits[*number].is_some() && self.woken[*number].0.swap(false, Ordering::SeqCst)
            };
            let all: Vec<_> = (0..self.waits.len()).filter(woken).collect();
            if all.is_empty() {
                return;
            }
            for number in all {
                let waker = Waker::from(Arc::clone(&self.woken[number]));
                let mut cx = Context::from_waker(&waker);
                if let Some(wait) = &mut self.waits[number]
                    && let Poll::Ready(answer) = wait.as_mut().poll(&mut cx)
                {
                    self.waits[number] = None;
                    self.settle(number, answer);
                }
            }
        }
    }
}
