//! The real budget beside its model, and callers that are polled by hand.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use buttress_core::test_util::advance;
use buttress_core::time::now;
use buttress_core::{Admission, End, Now, Outcome, Permit, Reason, Rejection, Verdict, When};
use buttress_token_budget::{
    Amounts, BudgetWait, Dimension, Limit, Reserved, TokenBudget, Waiting,
};

use crate::model::{Fate, Model, World};
use crate::{GLOBAL, KEYED, Request, Step, rolling};

const MILLI: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub(crate) struct Caller {
    id: usize,
    request: Request,
    wait: Pin<Box<BudgetWait>>,
    woken: Arc<Woken>,
}

pub(crate) struct Run {
    budget: TokenBudget,
    world: World,
    /// In milliseconds.
    now: u64,
    next: usize,
    pub(crate) callers: Vec<Caller>,
    running: Vec<(usize, Request, Permit<Reserved>)>,
    fates: Vec<(usize, Fate)>,
}

impl Run {
    pub(crate) fn new(global: bool) -> Self {
        let mut builder = TokenBudget::builder().limit(Dimension::TOTAL, rolling(KEYED));
        if global {
            builder = builder.global(Dimension::TOTAL, rolling(GLOBAL));
        }
        Self {
            budget: builder
                .seed(1)
                .keys(16)
                .build()
                .expect("they can be enforced"),
            world: World::new(global),
            now: 0,
            next: 0,
            callers: Vec::new(),
            running: Vec::new(),
            fates: Vec::new(),
        }
    }

    pub(crate) async fn step(&mut self, step: Step) {
        match step {
            Step::Pass(millis) => {
                for _ in 0..millis {
                    advance(MILLI).await;
                    self.now += 1;
                    self.world.look(self.now);
                    self.look();
                    self.compare();
                }
            }
            Step::Arrive(request) => self.arrive(request),
            Step::Leave(which) => {
                if let Some(index) = which.checked_rem(self.callers.len()) {
                    let caller = self.callers.remove(index);
                    self.world.line.retain(|waiter| waiter.id != caller.id);
                    drop(caller);
                }
            }
            Step::Settle { which, used } => self.settle(which, used),
            Step::SetLimit(units) => {
                let quota = rolling((units, KEYED.1));
                let limits = [Limit::new(Dimension::TOTAL, quota)];
                self.budget
                    .set_limits(0, limits)
                    .expect("it can be enforced");
                for keyed in &mut self.world.keyed {
                    keyed.capacity = units;
                }
            }
        }
        self.world.look(self.now);
        self.look();
        self.compare();
    }

    fn arrive(&mut self, request: Request) {
        let id = self.next;
        self.next += 1;
        let expected = self.world.due(request, self.now);
        let demand = self.budget.demand(
            &[self.budget.hash(request.key)],
            Amounts::total(request.cost),
        );
        let deadline = request.deadline.map(|at| now() + Duration::from_millis(at));
        let waiting = Waiting::new(self.budget.clone(), Duration::from_millis(request.max));
        match waiting.admit(demand.deadline(deadline), &Now::new()) {
            Verdict::Later(wait) => {
                let due = expected.expect("what never fits is refused");
                assert!(
                    due > self.now && due - self.now <= request.max,
                    "{request:?} {due}"
                );
                let woken = Arc::new(Woken(AtomicBool::new(true)));
                let wait = Box::pin(wait);
                self.callers.push(Caller {
                    id,
                    request,
                    wait,
                    woken,
                });
                let arrived = self.now;
                self.world.line.push(Model {
                    id,
                    request,
                    arrived,
                });
            }
            Verdict::Now(Ok(permit)) => {
                assert_eq!(expected, Some(self.now), "{request:?}");
                self.world.spend(id, &request, self.now);
                self.running.push((id, request, permit));
            }
            Verdict::Now(Err(refused)) => self.is_refused(request, expected, &refused),
        }
    }

    fn is_refused(&self, request: Request, expected: Option<u64>, refused: &Rejection) {
        let wait = expected.map(|due| due - self.now);
        let after = |millis| When::After(Duration::from_millis(millis));
        let answer = match wait {
            None => (Reason::TokenBudget, When::Never),
            Some(wait) if wait > request.max => (Reason::TokenBudget, after(wait)),
            Some(wait) => {
                assert!(
                    request.deadline.is_some_and(|at| wait >= at),
                    "{request:?} {wait}"
                );
                (Reason::Deadline, When::Unknown)
            }
        };
        assert_eq!((refused.reason(), refused.when()), answer, "{request:?}");
    }

    fn settle(&mut self, which: usize, used: u64) {
        let Some(index) = which.checked_rem(self.running.len()) else {
            return;
        };
        let (id, request, permit) = self.running.remove(index);
        let usage = Amounts::total(used).usage();
        permit.end(End::Settled(Outcome::Success, Some(usage)), &Now::new());
        self.world.keyed[request.key].settle(id, used, self.now);
        if let Some(all) = &mut self.world.global {
            all.settle(id, used, self.now);
        }
    }

    /// Lets everybody look who was woken, until nobody is.
    fn look(&mut self) {
        while let Some(index) = self
            .callers
            .iter()
            .position(|caller| caller.woken.0.load(Ordering::SeqCst))
        {
            let caller = &mut self.callers[index];
            caller.woken.0.store(false, Ordering::SeqCst);
            let waker = Waker::from(Arc::clone(&caller.woken));
            let Poll::Ready(answer) = caller.wait.as_mut().poll(&mut Context::from_waker(&waker))
            else {
                continue;
            };
            let Caller { id, request, .. } = self.callers.remove(index);
            match answer {
                Ok(permit) => {
                    self.running.push((id, request, permit));
                    self.fates.push((id, Fate::Granted));
                }
                Err(refused) => self.fates.push((id, Fate::Refused(refused.reason()))),
            }
        }
    }

    fn compare(&mut self) {
        let sorted = |fates: &mut Vec<(usize, Fate)>| {
            fates.sort_by_key(|(id, _)| *id);
            std::mem::take(fates)
        };
        let (real, model) = (sorted(&mut self.fates), sorted(&mut self.world.fates));
        assert_eq!(real, model, "at {}", self.now);
        // Both sides keep who runs in the order in which they were granted.
        self.running.sort_by_key(|(id, ..)| *id);
    }
}
