//! Waiting beside the plainest model of it: everything that was spent in lists, everybody who waits in another,
//! and a look at all of them every millisecond.

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
    Amounts, BudgetWait, Dimension, Limit, Quota, Reserved, TokenBudget, Waiting,
};
use proptest::prelude::*;

const MILLI: Duration = Duration::from_millis(1);

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Arrive(Request),
    Leave(usize),
    Settle { which: usize, used: u64 },
    SetLimit(u64),
}

#[derive(Clone, Copy, Debug)]
struct Request {
    key: usize,
    cost: u64,
    max: u64,
    deadline: Option<u64>,
}

const KEYS: usize = 3;
const KEYED: (u64, u64) = (10, 20);
const GLOBAL: (u64, u64) = (14, 15);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let deadline = prop_oneof![3 => Just(None), 1 => (0..40_u64).prop_map(Some)];
    let request = (0..KEYS, 0..12_u64, 0..60_u64, deadline);
    let request = request.prop_map(|(key, cost, max, deadline)| Request {
        key,
        cost,
        max,
        deadline,
    });
    let step = prop_oneof![
        4 => (1..9_u64).prop_map(Step::Pass),
        6 => request.prop_map(Step::Arrive),
        1 => (0..9_usize).prop_map(Step::Leave),
        3 => (0..9_usize, 0..16_u64).prop_map(|(which, used)| Step::Settle { which, used }),
        1 => (5..14_u64).prop_map(Step::SetLimit),
    ];
    prop::collection::vec(step, 1..50)
}

fn rolling((units, period): (u64, u64)) -> Quota {
    Quota::rolling(units, Duration::from_millis(period))
}

// The model.

/// One rolling quota: when, by which request, how much.
#[derive(Clone, Debug)]
struct Rolling {
    capacity: u64,
    period: u64,
    spent: Vec<(u64, usize, u64)>,
}

impl Rolling {
    fn new((capacity, period): (u64, u64)) -> Self {
        Self {
            capacity,
            period,
            spent: Vec::new(),
        }
    }

    fn fits(&self, cost: u64, now: u64) -> bool {
        let live = self.spent.iter().filter(|(at, ..)| at + self.period > now);
        live.map(|(.., units)| units).sum::<u64>() + cost <= self.capacity
    }

    fn due(&self, cost: u64, now: u64) -> Option<u64> {
        (now..=now + self.period).find(|at| self.fits(cost, *at))
    }

    fn settle(&mut self, id: usize, used: u64, now: u64) {
        let mut entries = self.spent.iter_mut();
        let entry = entries
            .find(|(_, held, _)| *held == id)
            .expect("it was reserved");
        let (at, reserved) = (entry.0, entry.2);
        if used > reserved {
            self.spent.push((now, usize::MAX, used - reserved));
        } else if at + self.period > now {
            entry.2 = used;
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Model {
    id: usize,
    request: Request,
    arrived: u64,
}

impl Model {
    fn is_too_late(&self, now: u64) -> bool {
        now > self.arrived
            && self
                .request
                .deadline
                .is_some_and(|at| now >= self.arrived + at)
    }

    fn is_out_of_patience(&self, now: u64) -> bool {
        now > self.arrived && now >= self.arrived + self.request.max
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Granted,
    Refused(Reason),
}

#[derive(Clone, Debug)]
struct World {
    keyed: Vec<Rolling>,
    global: Option<Rolling>,
    line: Vec<Model>,
    fates: Vec<(usize, Fate)>,
}

/// What stands between somebody and its units: when they are there, and whether all need them.
type Refusal = (Option<u64>, bool);

impl World {
    fn new(global: bool) -> Self {
        Self {
            keyed: vec![Rolling::new(KEYED); KEYS],
            global: global.then(|| Rolling::new(GLOBAL)),
            line: Vec::new(),
            fates: Vec::new(),
        }
    }

    fn check(&self, request: &Request, now: u64) -> Result<(), Refusal> {
        let own = self.keyed[request.key].due(request.cost, now);
        let all = self
            .global
            .as_ref()
            .map_or(Some(now), |all| all.due(request.cost, now));
        match (own, all) {
            (Some(own), Some(all)) if own == now && all == now => Ok(()),
            (Some(own), Some(all)) => Err((Some(own.max(all)), all > own)),
            _ => Err((None, false)),
        }
    }

    fn spend(&mut self, id: usize, request: &Request, now: u64) {
        self.keyed[request.key].spent.push((now, id, request.cost));
        if let Some(all) = &mut self.global {
            all.spent.push((now, id, request.cost));
        }
    }

    /// Everybody is looked at, and after everyone who goes all are looked at anew.
    fn look(&mut self, now: u64) {
        while let Some((index, fate)) = self.next_to_go(now) {
            let gone = self.line.remove(index);
            if fate == Fate::Granted {
                self.spend(gone.id, &gone.request, now);
            }
            self.fates.push((gone.id, fate));
        }
    }

    fn next_to_go(&self, now: u64) -> Option<(usize, Fate)> {
        let mut held = [false; KEYS];
        let mut all_held = false;
        let mut over = None;
        for (index, one) in self.line.iter().enumerate() {
            let refused = Fate::Refused(Reason::TokenBudget);
            if one.is_too_late(now) {
                return Some((index, Fate::Refused(Reason::Deadline)));
            }
            let key = one.request.key;
            let (is_held, out) = (all_held || held[key], one.is_out_of_patience(now));
            match self.check(&one.request, now) {
                _ if is_held && out => over = over.or(Some((index, refused))),
                _ if is_held => {}
                Ok(()) => return Some((index, Fate::Granted)),
                Err((None, _)) => return Some((index, refused)),
                Err(_) if out => return Some((index, refused)),
                Err((_, by_all)) => all_held |= by_all,
            }
            held[key] = true;
        }
        over
    }

    /// When a newcomer is served if nobody else comes.
    fn due(&self, newcomer: Request, now: u64) -> Option<u64> {
        if let Err((None, _)) = self.check(&newcomer, now) {
            return None;
        }
        let mut world = self.clone();
        world.fates.clear();
        let patient = Request {
            max: u64::MAX / 2,
            deadline: None,
            ..newcomer
        };
        world.line.push(Model {
            id: usize::MAX,
            request: patient,
            arrived: now,
        });
        (now..now + 10_000).find(|at| {
            world.look(*at);
            world.fates.contains(&(usize::MAX, Fate::Granted))
        })
    }
}

// The real one.

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Caller {
    id: usize,
    request: Request,
    wait: Pin<Box<BudgetWait>>,
    woken: Arc<Woken>,
}

struct Run {
    budget: TokenBudget,
    world: World,
    /// In milliseconds.
    now: u64,
    next: usize,
    callers: Vec<Caller>,
    running: Vec<(usize, Request, Permit<Reserved>)>,
    fates: Vec<(usize, Fate)>,
}

impl Run {
    fn new(global: bool) -> Self {
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

    async fn step(&mut self, step: Step) {
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

fn runs_as_its_model(global: bool, steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O can be made");
    runtime.block_on(async {
        let mut run = Run::new(global);
        for step in steps {
            run.step(step).await;
        }
        run.step(Step::Pass(80)).await;
        assert!(run.callers.is_empty(), "nobody waits for ever");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn keys_wait_for_themselves(steps in steps()) {
        runs_as_its_model(false, steps);
    }

    #[test]
    fn keys_wait_for_themselves_and_for_each_other(steps in steps()) {
        runs_as_its_model(true, steps);
    }
}
