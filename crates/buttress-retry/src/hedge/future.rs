use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use buttress_core::time::{Instant, later};
use buttress_core::{Event, Now, Observe, Outcome};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::layer::Parts;
use crate::attempt::Attempt;
use crate::budget::{Ended, InFlight, Payment};
use crate::judge::{Again, Judge, Judgement};
use crate::replay::{Repeats, Replay, Template};
use crate::timer::Timer;

pin_project! {
    /// The future of [`Hedge`](crate::Hedge).
    pub struct HedgeFuture<S, Req, W, J, O>
    where
        W: Replay<Req>,
        S: Service<W::Request>,
    {
        #[pin]
        state: State<S::Future, RaceOf<S, Req, W, J, O>>,
    }
}

type RaceOf<S, Req, W, J, O> = Race<S, <W as Replay<Req>>::Template, W, J, O>;

pin_project! {
    #[project = StateProjection]
    enum State<F, R> {
        Once {
            #[pin]
            inner: F,
        },
        Raced {
            #[pin]
            first: Arm<F>,
            #[pin]
            second: Arm<F>,
            race: R,
        },
    }
}

pin_project! {
    #[project = ArmProjection]
    enum Arm<F> {
        Running {
            #[pin]
            inner: F,
        },
        Absent,
    }
}

/// What two attempts of a call have in common.
pub(super) struct Race<S, T, W, J, O> {
    parts: Arc<Parts<W, J, O>>,
    /// Nothing once the second attempt was sent, or cannot be.
    service: Option<S>,
    template: Option<T>,
    attempt: Attempt,
    start: Option<Instant>,
    hedge_at: Option<Instant>,
    timer: Timer,
    _payment: Payment,
    _in_flight: InFlight,
    is_budgeted: bool,
}

impl<S, T: Template, W, J, O: Observe> Race<S, T, W, J, O> {
    pub(super) fn new(
        parts: Arc<Parts<W, J, O>>,
        service: Option<S>,
        template: Option<T>,
        attempt: Attempt,
        delay: Option<Duration>,
        now: &Now,
    ) -> Self {
        let is_budgeted = template.is_some() && parts.pays_in;
        let in_flight = match is_budgeted {
            true => parts.budget.begin(now),
            false => InFlight::default(),
        };
        Self {
            start: parts.delay.learns().then(|| now.get()),
            hedge_at: delay.map(|delay| later(now.get(), delay)),
            parts,
            service,
            template,
            attempt,
            timer: Timer::default(),
            _payment: Payment::default(),
            _in_flight: in_flight,
            is_budgeted,
        }
    }

    /// The call has its answer.
    fn ends(&mut self, judgement: Judgement) {
        if self.is_budgeted {
            self.parts.budget.heard(Ended {
                is_first: true,
                outcome: judgement.outcome,
                is_retryable: judgement.again != Again::No,
                price: 0,
            });
        }
        if let Some(start) = self.start
            && judgement.outcome == Outcome::Success
        {
            self.parts.delay.learn(start);
        }
    }

    /// The second attempt, when it is time, the inner service is ready and everything allows it.
    fn poll_second(&mut self, cx: &mut Context<'_>) -> Poll<Option<S::Future>>
    where
        S: Service<T::Request>,
    {
        let (Some(service), Some(at)) = (&mut self.service, self.hedge_at) else {
            return Poll::Pending;
        };
        ready!(self.timer.poll_until(at, cx));
        let Some(template) = self.template.as_mut() else {
            return Poll::Ready(None);
        };
        if template.repeats() != Repeats::Freely {
            return Poll::Ready(None);
        }
        if ready!(service.poll_ready(cx)).is_err() {
            return Poll::Ready(None);
        }
        let now = Now::new();
        let budget = &self.parts.budget;
        // An attempt that takes long may have timed out for all that is known.
        let Some(payment) = budget.pay(Outcome::TimedOut, false, &now) else {
            return Poll::Ready(None);
        };
        let attempt = self.attempt.next(Outcome::TimedOut);
        let Some(request) = template.beside(attempt) else {
            budget.give_back(payment, &now);
            return Poll::Ready(None);
        };
        self._payment = payment;
        self.parts.observer.event(Event::Hedged);
        Poll::Ready(Some(service.call(request)))
    }
}

impl<S, Req, W, J, O> HedgeFuture<S, Req, W, J, O>
where
    W: Replay<Req>,
    S: Service<W::Request>,
{
    pub(super) const fn once(inner: S::Future) -> Self {
        Self {
            state: State::Once { inner },
        }
    }

    pub(super) const fn raced(inner: S::Future, race: RaceOf<S, Req, W, J, O>) -> Self {
        Self {
            state: State::Raced {
                first: Arm::Running { inner },
                second: Arm::Absent,
                race,
            },
        }
    }
}

impl<S, Req, W, J, O> Future for HedgeFuture<S, Req, W, J, O>
where
    W: Replay<Req>,
    S: Service<W::Request>,
    J: Judge<S::Response, S::Error>,
    O: Observe,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Once { inner } => inner.poll(cx),
            StateProjection::Raced {
                mut first,
                mut second,
                race,
            } => {
                let judge = |race: &RaceOf<S, Req, W, J, O>, result: &Self::Output| {
                    race.parts.judge.judge(result.as_ref())
                };
                loop {
                    let mut answer = first.as_mut().poll_arm(cx).map(|result| {
                        let judgement = judge(race, &result);
                        (result, judgement, second.is_running())
                    });
                    if !wins(&answer) {
                        // A failure is dropped when the other still runs.
                        answer = second.as_mut().poll_arm(cx).map(|result| {
                            let judgement = judge(race, &result);
                            (result, judgement, first.is_running())
                        });
                    }
                    if wins(&answer) {
                        let (result, judgement, _) = ready!(answer);
                        first.set(Arm::Absent);
                        second.set(Arm::Absent);
                        race.ends(judgement);
                        return Poll::Ready(result);
                    }
                    let inner = ready!(race.poll_second(cx));
                    race.service = None;
                    if let Some(inner) = inner {
                        second.set(Arm::Running { inner });
                    }
                }
            }
        }
    }
}

/// Whether an answer is the call's: it is no failure, or nothing else runs.
fn wins<R>(answer: &Poll<(R, Judgement, bool)>) -> bool {
    match answer {
        Poll::Ready((_, judgement, other_runs)) => judgement.again == Again::No || !other_runs,
        Poll::Pending => false,
    }
}

impl<F: Future> Arm<F> {
    const fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }

    /// What has ended is dropped at once.
    fn poll_arm(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.as_mut().project() {
            ArmProjection::Running { inner } => {
                let result = ready!(inner.poll(cx));
                self.set(Self::Absent);
                Poll::Ready(result)
            }
            ArmProjection::Absent => Poll::Pending,
        }
    }
}

impl<S, Req, W, J, O> fmt::Debug for HedgeFuture<S, Req, W, J, O>
where
    W: Replay<Req>,
    S: Service<W::Request>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Once { .. } => "once",
            State::Raced {
                second: Arm::Absent,
                ..
            } => "one attempt",
            State::Raced { .. } => "two attempts",
        };
        f.debug_struct("HedgeFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
