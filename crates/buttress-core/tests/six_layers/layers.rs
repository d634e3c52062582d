//! The toys: one policy or admission for every layer, written against core's words alone.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use buttress_core::time::{self, Instant};
use buttress_core::{
    Admission, Ask, End, Error, Now, Outcome, Permit, Policy, Reason, Rejection, Settle, Ticket,
    Usage, Verdict, When,
};
use tower::{Service, ServiceExt};

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) tokens: u64,
    pub(crate) status: u16,
}

/// A response whose body carries a permit until it ends.
#[derive(Debug)]
pub(crate) struct Streamed<T: Ticket> {
    pub(crate) status: u16,
    used: u64,
    permit: Option<Permit<T>>,
}

impl<T: Ticket> Streamed<T> {
    pub(crate) fn finish(mut self) {
        let usage = Usage::default().with(0, self.used);
        let permit = self.permit.take().expect("a body ends once");
        permit.end(End::Settled(Outcome::Success, Some(usage)), &Now::new());
    }
}

// === a paced limiter ===

pub(crate) struct Paced {
    pub(crate) interval: Duration,
    pub(crate) next: Mutex<Option<Instant>>,
}

impl Policy for Paced {
    type Demand = ();
    type Ticket = ();

    fn would_admit(&self, _: &(), now: &Now) -> Result<(), Rejection> {
        match *self.next.lock().unwrap() {
            Some(next) if next > now.get() => Err(Rejection::new(
                Reason::RateLimit,
                When::After(next - now.get()),
            )),
            _ => Ok(()),
        }
    }

    fn try_admit(&self, demand: &(), now: &Now) -> Result<Permit<()>, Rejection> {
        self.would_admit(demand, now)?;
        *self.next.lock().unwrap() = Some(now.get() + self.interval);
        Ok(Permit::new(()))
    }

    fn release(&self, (): &(), permit: Permit<()>, now: &Now) {
        permit.end(End::Released, now);
        *self.next.lock().unwrap() = None;
    }
}

// === a budget that settles with the true usage ===

#[derive(Clone, Debug)]
pub(crate) struct Budget(pub(crate) Arc<Mutex<u64>>);

#[derive(Debug)]
pub(crate) struct Reservation(Budget, u64);

impl Ticket for Reservation {
    fn end(self, end: End, _: &Now) {
        let reserved = self.1;
        let used = match end {
            End::Settled(Outcome::Success, Some(usage)) => usage.get(0).unwrap_or(reserved),
            End::Settled(Outcome::Success, None) | End::Cancelled(_) => reserved,
            End::Settled(..) | End::Released => 0,
        };
        let mut left = self.0.0.lock().unwrap();
        *left = *left + reserved - used;
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Tokens;

impl Ask<Call> for Tokens {
    type Demand = u64;

    fn ask(&self, call: &Call, _: &Now) -> Result<Option<u64>, Rejection> {
        Ok((call.tokens > 0).then_some(call.tokens))
    }
}

impl Policy for Budget {
    type Demand = u64;
    type Ticket = Reservation;

    fn would_admit(&self, tokens: &u64, _: &Now) -> Result<(), Rejection> {
        match *self.0.lock().unwrap() >= *tokens {
            true => Ok(()),
            false => Err(Rejection::new(Reason::TokenBudget, When::Unknown)),
        }
    }

    fn try_admit(&self, tokens: &u64, now: &Now) -> Result<Permit<Reservation>, Rejection> {
        self.would_admit(tokens, now)?;
        *self.0.lock().unwrap() -= tokens;
        Ok(Permit::new(Reservation(self.clone(), *tokens)))
    }
}

#[derive(Clone, Copy)]
pub(crate) struct AtBodyEnd;

impl<T: Ticket> Settle<u16, Infallible, T> for AtBodyEnd {
    type Response = Streamed<T>;

    fn settle(
        &self,
        result: Result<u16, Infallible>,
        permit: Permit<T>,
        _: &Now,
    ) -> Result<Streamed<T>, Infallible> {
        result.map(|status| Streamed {
            status,
            used: 30,
            permit: Some(permit),
        })
    }
}

// === a breaker that hears outcomes ===

#[derive(Clone)]
pub(crate) struct Breaker(pub(crate) Arc<Mutex<u32>>);

impl Ticket for Breaker {
    fn end(self, end: End, _: &Now) {
        let mut failures = self.0.lock().unwrap();
        match end {
            End::Settled(Outcome::Success, _) => *failures = 0,
            End::Settled(Outcome::Failure | Outcome::TimedOut, _) => *failures += 1,
            _ => {}
        }
    }
}

impl Policy for Breaker {
    type Demand = ();
    type Ticket = Self;

    fn would_admit(&self, (): &(), _: &Now) -> Result<(), Rejection> {
        match *self.0.lock().unwrap() < 2 {
            true => Ok(()),
            false => Err(Rejection::new(Reason::CircuitOpen, When::Unknown)),
        }
    }

    fn try_admit(&self, demand: &(), now: &Now) -> Result<Permit<Self>, Rejection> {
        self.would_admit(demand, now)
            .map(|()| Permit::new(self.clone()))
    }
}

pub(crate) fn by_status(result: Result<&u16, &Infallible>) -> Outcome {
    match result {
        Ok(500..) => Outcome::Failure,
        _ => Outcome::Success,
    }
}

// === a queue of one place that asks other policies when the place is free ===

pub(crate) struct Queue<G> {
    pub(crate) gates: G,
    pub(crate) line: Mutex<Line>,
}

#[derive(Default)]
pub(crate) struct Line {
    taken: bool,
    waiting: VecDeque<(u64, Waker)>,
    next: u64,
}

pub(crate) struct Place<G: Policy>(Arc<Queue<G>>, Permit<G::Ticket>);

impl<G: Policy> Ticket for Place<G> {
    fn end(self, end: End, now: &Now) {
        self.1.end(end, now);
        let mut line = self.0.line.lock().unwrap();
        line.taken = false;
        let first = line.waiting.front().map(|(_, waker)| waker.clone());
        drop(line);
        first.inspect(Waker::wake_by_ref);
    }
}

pub(crate) struct Waiting<G: Policy> {
    queue: Arc<Queue<G>>,
    demand: G::Demand,
    turn: Option<u64>,
}

// The demand is plain data.
impl<G: Policy> Unpin for Waiting<G> {}

impl<G: Policy> Future for Waiting<G> {
    type Output = Result<Permit<Place<G>>, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut line = this.queue.line.lock().unwrap();
        let turn = *this.turn.get_or_insert_with(|| {
            line.next += 1;
            let turn = line.next;
            line.waiting.push_back((turn, cx.waker().clone()));
            turn
        });
        let first = line
            .waiting
            .front()
            .is_some_and(|(first, _)| *first == turn);
        if line.taken || !first {
            return Poll::Pending;
        }
        match this.queue.gates.try_admit(&this.demand, &Now::new()) {
            Ok(permit) => {
                line.waiting.pop_front();
                line.taken = true;
                this.turn = None;
                Poll::Ready(Ok(Permit::new(Place(Arc::clone(&this.queue), permit))))
            }
            Err(rejection) => Poll::Ready(Err(rejection)),
        }
    }
}

impl<G: Policy> Drop for Waiting<G> {
    fn drop(&mut self) {
        if let Some(turn) = self.turn {
            let mut line = self.queue.line.lock().unwrap();
            line.waiting.retain(|(waiting, _)| *waiting != turn);
        }
    }
}

pub(crate) struct QueueHandle<G>(pub(crate) Arc<Queue<G>>);

impl<G: Policy> Admission for QueueHandle<G> {
    type Demand = G::Demand;
    type Ticket = Place<G>;
    type Wait = Waiting<G>;

    fn admit(&self, demand: G::Demand, _: &Now) -> Verdict<Place<G>, Waiting<G>> {
        Verdict::Later(Waiting {
            queue: Arc::clone(&self.0),
            demand,
            turn: None,
        })
    }
}

// === a remote store that answers later ===

pub(crate) struct Remote;

impl Admission for Remote {
    type Demand = ();
    type Ticket = ();
    type Wait = Pin<Box<dyn Future<Output = Result<Permit<()>, Rejection>> + Send>>;

    fn admit(&self, (): (), _: &Now) -> Verdict<(), Self::Wait> {
        Verdict::Later(Box::pin(async {
            tokio::time::sleep_until(time::now() + Duration::from_millis(5)).await;
            Ok(Permit::new(()))
        }))
    }
}

// === a retry around a service ===

pub(crate) async fn retry<S>(
    mut service: S,
    call: Call,
    attempts: u32,
) -> Result<u16, Error<Infallible>>
where
    S: Service<Call, Response = u16, Error = Error<Infallible>>,
{
    let mut result = Ok(503);
    for _ in 0..attempts {
        result = service.ready().await?.call(call.clone()).await;
        if !matches!(result, Ok(500..)) {
            break;
        }
    }
    result
}
