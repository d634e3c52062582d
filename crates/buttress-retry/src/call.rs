//! One call: what is kept of it while it may be attempted again.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use buttress_core::time::{Instant, later};
use buttress_core::{Event, GiveUp, Now, Observe, Outcome, When};

use crate::attempt::Attempt;
use crate::backoff::Pauses;
use crate::budget::{Ended, InFlight, Payment};
use crate::judge::{Again, Judgement};
use crate::layer::Parts;
use crate::replay::{Repeats, Template};
use crate::timer::Timer;

/// What is kept of a call while it may be attempted again or cut off.
pub(crate) struct Call<S, T, W, J, R, O> {
    pub(crate) parts: Arc<Parts<W, J, R, O>>,
    /// Nothing if the call can only be cut off.
    pub(crate) service: Option<S>,
    template: Option<T>,
    attempt: Attempt,
    /// Whether an earlier attempt may have been sent.
    pub(crate) has_sent: bool,
    pauses: Pauses,
    payment: Payment,
    _in_flight: InFlight,
    attempt_end: Option<Instant>,
    resume: Option<Instant>,
    timer: Timer,
}

/// What cuts an attempt off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    AttemptTimeout,
    Deadline,
}

impl<S, T: Template, W, J, R, O: Observe> Call<S, T, W, J, R, O> {
    #[inline]
    pub(crate) fn new(
        parts: Arc<Parts<W, J, R, O>>,
        attempt: Attempt,
        service: Option<S>,
        template: Option<T>,
        now: &Now,
    ) -> Self {
        let in_flight = match template {
            Some(_) => parts.budget.begin(now),
            None => InFlight::default(),
        };
        let mut call = Self {
            pauses: parts.policy.backoff.pauses(),
            parts,
            service,
            template,
            attempt,
            has_sent: false,
            payment: Payment::default(),
            _in_flight: in_flight,
            attempt_end: None,
            resume: None,
            timer: Timer::default(),
        };
        call.starts(now);
        call
    }

    /// An attempt enters the inner service.
    pub(crate) fn starts(&mut self, now: &Now) {
        let timeout = self.parts.policy.attempt_timeout;
        self.attempt_end = timeout.map(|timeout| later(now.get(), timeout));
    }

    /// The next attempt, if there is to be one after such an end of the last.
    #[inline]
    pub(crate) fn decide(&mut self, judgement: Judgement) -> Option<T::Request> {
        if self.service.is_some() {
            self.parts.budget.heard(Ended {
                is_first: self.attempt.number == 1,
                outcome: judgement.outcome,
                is_retryable: judgement.again != Again::No || judgement.hint == When::Never,
                price: self.payment.price,
            });
        }
        let is_refused = judgement.outcome == Outcome::Refused;
        let again = match is_refused && self.parts.policy.repeats_refused {
            true => Again::Always,
            false => judgement.again,
        };
        if again == Again::No {
            return None;
        }
        self.decide_retry(judgement, again)
    }

    fn decide_retry(&mut self, judgement: Judgement, again: Again) -> Option<T::Request> {
        let (attempt, cause) = (self.attempt.number, judgement.outcome);
        match self.plan(judgement, again, &Now::new()) {
            Ok((request, pause)) => {
                self.parts.observer.event(Event::Retrying {
                    attempt,
                    cause,
                    pause,
                });
                Some(request)
            }
            Err(reason) => {
                self.parts.observer.event(Event::GivenUp {
                    attempt,
                    cause,
                    reason,
                });
                None
            }
        }
    }

    fn plan(
        &mut self,
        judgement: Judgement,
        again: Again,
        now: &Now,
    ) -> Result<(T::Request, Duration), GiveUp> {
        if self.attempt.is_last() {
            return Err(GiveUp::Attempts);
        }
        let template = self.template.as_mut().ok_or(GiveUp::Request)?;
        match (template.repeats(), again) {
            (Repeats::Freely, _) | (Repeats::IfUnsent, Again::Always) => {}
            _ => return Err(GiveUp::Request),
        }
        let is_refused = judgement.outcome == Outcome::Refused;
        let parts = &*self.parts;
        let mut pauses = self.pauses;
        let pause = match judgement.hint {
            When::Never => return Err(GiveUp::Hint),
            When::After(wait) if wait > parts.policy.max_retry_after => {
                return Err(GiveUp::Hint);
            }
            When::After(wait) => {
                pauses.skip(&parts.policy.backoff);
                if parts.policy.hints_restart {
                    pauses = parts.policy.backoff.pauses();
                }
                wait
            }
            When::Unknown => pauses.next(&parts.policy.backoff, parts.random.draw()),
        };
        let resume = later(now.get(), pause);
        if self.attempt.deadline.is_some_and(|end| resume >= end) {
            return Err(GiveUp::Deadline);
        }
        let payment = match is_refused {
            true => Payment::default(),
            false => {
                let is_lost = again == Again::Always;
                let payment = parts.budget.pay(judgement.outcome, is_lost, now);
                payment.ok_or(GiveUp::Budget)?
            }
        };
        let attempt = self.attempt.next(judgement.outcome);
        let Some(request) = template.next(attempt) else {
            if !is_refused {
                parts.budget.give_back(payment, now);
            }
            return Err(GiveUp::Request);
        };
        if !is_refused {
            self.pauses = pauses;
        }
        self.attempt = attempt;
        self.payment = payment;
        self.attempt_end = None;
        self.resume = (!pause.is_zero()).then_some(resume);
        Ok((request, pause))
    }

    /// Waits for the end of the pause.
    pub(crate) fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.resume {
            Some(resume) => self.timer.poll_until(resume, cx),
            None => Poll::Ready(()),
        }
    }

    /// Waits for whatever cuts off what runs; for ever, if nothing does.
    pub(crate) fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<Cut> {
        let (end, cut) = match (self.attempt_end, self.attempt.deadline) {
            (None, None) => return Poll::Pending,
            (None, Some(deadline)) => (deadline, Cut::Deadline),
            (Some(end), Some(deadline)) if deadline < end => (deadline, Cut::Deadline),
            (Some(end), _) => (end, Cut::AttemptTimeout),
        };
        ready!(self.timer.poll_until(end, cx));
        Poll::Ready(cut)
    }
}
