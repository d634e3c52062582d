//! Several policies as one: all admit, or none stays spent.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use buttress_core::{
    Ask, End, KeyHash, LimitId, Now, Outcome, Permit, Policy, PolicyId, Reason, Rejection, Ticket,
    When,
};

/// A number of units, and what its tickets hear.
#[derive(Clone, Debug)]
struct Bucket(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    id: PolicyId,
    left: Cell<u64>,
    /// Others spend between the look and the spending.
    raced: Cell<bool>,
    spent: Cell<u32>,
    released: Cell<u32>,
    heard: RefCell<Vec<Heard>>,
    subscribed: Cell<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Heard {
    Head(Outcome),
    End(End),
}

#[derive(Debug)]
struct Held {
    bucket: Bucket,
    shadowed: bool,
}

impl Ticket for Held {
    fn head(&mut self, outcome: Outcome, _: &Now) {
        self.bucket.hear(Heard::Head(outcome));
    }

    fn end(self, end: End, _: &Now) {
        self.bucket.hear(Heard::End(end));
    }

    fn shadowed(&self) -> bool {
        self.shadowed
    }
}

impl Bucket {
    fn new(left: u64) -> Self {
        Self(Rc::new(Inner {
            id: PolicyId::unique(),
            left: Cell::new(left),
            raced: Cell::new(false),
            spent: Cell::new(0),
            released: Cell::new(0),
            heard: RefCell::default(),
            subscribed: Cell::new(0),
        }))
    }

    fn hear(&self, heard: Heard) {
        self.0.heard.borrow_mut().push(heard);
    }

    fn heard(&self) -> Vec<Heard> {
        self.0.heard.take()
    }

    fn limit(&self) -> LimitId {
        LimitId {
            policy: self.0.id,
            key: KeyHash::EVERYONE,
            quota: 0,
        }
    }

    fn refusal(&self) -> Rejection {
        Rejection::new(Reason::TokenBudget, When::Unknown).by(self.limit())
    }
}

impl Policy for Bucket {
    type Demand = u64;
    type Ticket = Held;

    fn would_admit(&self, cost: &u64, _: &Now) -> Result<(), Rejection> {
        match self.0.left.get() >= *cost {
            true => Ok(()),
            false => Err(self.refusal()),
        }
    }

    fn try_admit(&self, cost: &u64, now: &Now) -> Result<Permit<Held>, Rejection> {
        if self.0.raced.take() {
            return Err(self.refusal());
        }
        self.would_admit(cost, now)?;
        self.0.left.set(self.0.left.get() - cost);
        self.0.spent.set(self.0.spent.get() + 1);
        Ok(Permit::new(Held {
            bucket: self.clone(),
            shadowed: *cost == 7,
        }))
    }

    fn release(&self, cost: &u64, permit: Permit<Held>, now: &Now) {
        permit.end(End::Released, now);
        self.0.left.set(self.0.left.get() + cost);
        self.0.released.set(self.0.released.get() + 1);
    }

    fn touches(&self, cost: &u64, limit: LimitId) -> bool {
        *cost > 0 && limit.policy == self.0.id
    }

    fn subscribe(&self, _: &Waker) {
        self.0.subscribed.set(self.0.subscribed.get() + 1);
    }
}

fn left<const N: usize>(buckets: [&Bucket; N]) -> [u64; N] {
    buckets.map(|bucket| bucket.0.left.get())
}

fn three() -> (Bucket, Bucket, Bucket) {
    (Bucket::new(10), Bucket::new(5), Bucket::new(10))
}

#[test]
fn all_admit_or_nothing_is_even_tried() {
    let gates = three();
    let (a, b, c) = &gates;
    let now = Now::new();
    let permit = gates.try_admit(&(Some(1), Some(2), Some(3)), &now).unwrap();
    assert_eq!(left([a, b, c]), [9, 3, 7]);
    let refused = gates.try_admit(&(Some(1), Some(4), Some(1)), &now);
    assert_eq!(refused.unwrap_err(), b.refusal());
    assert_eq!(left([a, b, c]), [9, 3, 7]);
    assert_eq!(
        a.0.spent.get(),
        1,
        "the first member was not spent and rolled back"
    );
    assert_eq!(a.0.released.get(), 0);
    let would = gates.would_admit(&(Some(1), Some(4), Some(1)), &now);
    assert_eq!(would.unwrap_err(), b.refusal());
    assert_eq!(
        gates.would_admit(&(Some(9), Some(3), Some(7)), &now),
        Ok(())
    );
    assert_eq!(left([a, b, c]), [9, 3, 7]);
    permit.end(End::Settled(Outcome::Success, None), &now);
    let success = Heard::End(End::Settled(Outcome::Success, None));
    for bucket in [a, b, c] {
        assert_eq!(bucket.heard(), [success]);
    }
}

#[test]
fn trap_12_a_member_lost_in_a_race_rolls_back_those_before_it() {
    let gates = three();
    let (a, b, c) = &gates;
    let now = Now::new();
    c.0.raced.set(true);
    let refused = gates.try_admit(&(Some(1), Some(1), Some(1)), &now);
    assert_eq!(refused.unwrap_err(), c.refusal());
    assert_eq!(left([a, b, c]), [10, 5, 10]);
    assert_eq!((a.0.released.get(), b.0.released.get()), (1, 1));
    assert_eq!(a.heard(), [Heard::End(End::Released)]);
    assert_eq!(c.heard(), []);
    a.0.raced.set(true);
    gates
        .try_admit(&(Some(1), Some(1), Some(1)), &now)
        .unwrap_err();
    assert_eq!(b.0.spent.get(), 1, "those behind it were not asked");
}

#[test]
fn a_member_from_which_the_request_is_exempt_is_left_alone() {
    let gates = three();
    let (a, b, c) = &gates;
    let now = Now::new();
    b.0.left.set(0);
    let demand = (Some(1), None, Some(1));
    assert_eq!(gates.would_admit(&demand, &now), Ok(()));
    let permit = gates.try_admit(&demand, &now).unwrap();
    assert_eq!(left([a, b, c]), [9, 0, 9]);
    drop(permit);
    assert_eq!(a.heard(), [Heard::End(End::Cancelled(None))]);
    assert_eq!(b.heard(), []);
    let nobody = gates.try_admit(&(None, None, None), &now).unwrap();
    nobody.end(End::Released, &now);
    assert_eq!(left([a, b, c]), [9, 0, 9]);
    assert_eq!(a.heard(), []);
}

#[test]
fn release_gives_back_what_every_member_spent() {
    let gates = three();
    let (a, b, c) = &gates;
    let now = Now::new();
    let demand = (Some(3), None, Some(4));
    let permit = gates.try_admit(&demand, &now).unwrap();
    gates.release(&demand, permit, &now);
    assert_eq!(left([a, b, c]), [10, 5, 10]);
    assert_eq!(b.0.released.get(), 0);
    assert_eq!(a.heard(), [Heard::End(End::Released)]);
    gates.release(&demand, Permit::exempt(), &now);
    assert_eq!(
        left([a, b, c]),
        [10, 5, 10],
        "an exempt permit spent nothing"
    );
}

#[test]
fn heads_and_shadows_reach_and_leave_every_member() {
    let gates = (Bucket::new(10), Bucket::new(10));
    let now = Now::new();
    let mut permit = gates.try_admit(&(Some(1), Some(7)), &now).unwrap();
    permit.head(Outcome::Overloaded, &now);
    assert_eq!(gates.0.heard(), [Heard::Head(Outcome::Overloaded)]);
    assert_eq!(gates.1.heard(), [Heard::Head(Outcome::Overloaded)]);
    assert!(permit.ticket().is_some_and(Ticket::shadowed));
    drop(permit);
    let plain = gates.try_admit(&(Some(1), None), &now).unwrap();
    assert!(!plain.ticket().is_some_and(Ticket::shadowed));
}

#[test]
fn a_limit_is_touched_by_the_member_that_has_it() {
    let gates = three();
    let (a, b, _) = &gates;
    let demand = (Some(1), Some(0), None);
    assert!(gates.touches(&demand, a.limit()));
    assert!(!gates.touches(&demand, b.limit()), "it needs none of it");
    assert!(!gates.touches(&demand, gates.2.limit()), "it is exempt");
    gates.subscribe(Waker::noop());
    assert_eq!((a.0.subscribed.get(), b.0.subscribed.get()), (1, 1));
}

#[test]
fn all_members_tell_what_they_refuse() {
    let gates = three();
    let now = Now::new();
    let told = |demand| {
        let mut told = Vec::new();
        gates.refusals(&demand, &now, &mut |rejection| told.push(rejection.limit()));
        told
    };
    let (a, b, c) = (&gates.0, &gates.1, &gates.2);
    let too_much = Some(1_000);
    assert_eq!(
        told((too_much, too_much, too_much)),
        [a, b, c].map(|bucket| Some(bucket.limit()))
    );
    assert_eq!(told((Some(1), None, too_much)), [Some(c.limit())]);
    assert_eq!(told((Some(1), too_much, Some(1))), [Some(b.limit())]);
    assert_eq!(told((Some(1), Some(1), Some(1))), []);
}

#[test]
fn tuples_nest() {
    let bucket = Bucket::new(4);
    let other = Bucket::new(4);
    let gates = ((bucket.clone(), other.clone()), bucket.clone());
    let now = Now::new();
    let demand = (Some((Some(1), Some(2))), Some(3));
    let permit = gates.try_admit(&demand, &now).unwrap();
    assert_eq!(left([&bucket, &other]), [0, 2]);
    gates.release(&demand, permit, &now);
    assert_eq!(left([&bucket, &other]), [4, 4]);
    // Both members look at the same four units: each alone would fit, and together they do not.
    let too_much = (Some((Some(2), Some(1))), Some(3));
    assert_eq!(gates.would_admit(&too_much, &now), Ok(()));
    gates.try_admit(&too_much, &now).unwrap_err();
    assert_eq!(left([&bucket, &other]), [4, 4]);
    assert!(gates.touches(&demand, bucket.limit()));
    gates.subscribe(Waker::noop());
    assert_eq!(bucket.0.subscribed.get(), 2);
}

#[test]
fn what_shares_a_policy_is_that_policy() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    /// Counts its calls, each in four bits of its own.
    #[derive(Debug, Default)]
    struct Calls(AtomicU32);
    impl Calls {
        fn count(&self, call: u32) {
            self.0.fetch_add(1 << (4 * call), Relaxed);
        }
    }
    impl Policy for Calls {
        type Demand = ();
        type Ticket = ();

        fn would_admit(&self, (): &(), _: &Now) -> Result<(), Rejection> {
            self.count(0);
            Ok(())
        }

        fn try_admit(&self, (): &(), _: &Now) -> Result<Permit<()>, Rejection> {
            self.count(1);
            Ok(Permit::new(()))
        }

        fn release(&self, (): &(), permit: Permit<()>, now: &Now) {
            self.count(2);
            permit.end(End::Released, now);
        }

        fn refusals(&self, (): &(), _: &Now, _: &mut dyn FnMut(Rejection)) {
            self.count(5);
        }

        fn touches(&self, (): &(), _: LimitId) -> bool {
            self.count(3);
            false
        }

        fn subscribe(&self, _: &Waker) {
            self.count(4);
        }
    }
    let shared = Arc::new(Calls::default());
    let now = Now::new();
    assert_eq!(Policy::would_admit(&shared, &(), &now), Ok(()));
    let permit = Policy::try_admit(&shared, &(), &now).unwrap();
    Policy::release(&shared, &(), permit, &now);
    assert!(!Policy::touches(&shared, &(), Bucket::new(0).limit()));
    Policy::refusals(&shared, &(), &now, &mut |_| ());
    Policy::subscribe(&shared, Waker::noop());
    assert_eq!(
        shared.0.load(Relaxed),
        0x11_1111,
        "nothing falls to a default"
    );
}

#[test]
fn the_ask_of_a_tuple_asks_for_every_member() {
    struct Even;
    impl Ask<u64> for Even {
        type Demand = u64;

        fn ask(&self, request: &u64, _: &Now) -> Result<Option<u64>, Rejection> {
            match request {
                0 => Err(Rejection::new(Reason::MissingKey, When::Never)),
                _ => Ok(request.is_multiple_of(2).then_some(request / 2)),
            }
        }
    }
    let now = Now::new();
    assert_eq!((Even, ()).ask(&6, &now), Ok(Some((Some(3), Some(())))));
    assert_eq!((Even, ()).ask(&5, &now), Ok(Some((None, Some(())))));
    assert_eq!(
        ((), Even).ask(&0, &now).map_err(|r| r.reason()),
        Err(Reason::MissingKey)
    );
}
