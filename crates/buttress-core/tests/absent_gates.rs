//! Gates that a configuration may leave out.

use buttress_core::{
    Ask, Gate, GateOf, LimitId, Now, Permit, Policy, PolicyId, Reason, Rejection, When,
};

/// Admits whom it is told to.
struct Door {
    id: PolicyId,
    open: bool,
}

impl Policy for Door {
    type Demand = ();
    type Ticket = ();

    fn would_admit(&self, (): &(), _: &Now) -> Result<(), Rejection> {
        match self.open {
            true => Ok(()),
            false => Err(Rejection::new(Reason::Overloaded, When::Unknown)),
        }
    }

    fn try_admit(&self, demand: &(), now: &Now) -> Result<Permit<()>, Rejection> {
        self.would_admit(demand, now).map(Permit::new)
    }

    fn touches(&self, (): &(), limit: LimitId) -> bool {
        limit.policy == self.id
    }
}

fn door(open: bool) -> GateOf<(), Door> {
    let policy = Door {
        id: PolicyId::unique(),
        open,
    };
    GateOf { ask: (), policy }
}

#[test]
fn what_is_absent_is_asked_nothing_and_what_is_there_decides() {
    for (gates, admits) in [
        ((Some(door(true)), None), true),
        ((Some(door(false)), None), false),
        ((None, Some(door(false))), false),
        ((None, None), true),
    ] {
        let present = gates.0.is_some() || gates.1.is_some();
        let id = gates.0.as_ref().or(gates.1.as_ref());
        let id = id.map_or_else(PolicyId::unique, |gate| gate.policy.id);
        let (ask, policy) = gates.into_parts();
        let now = Now::new();
        let demand = ask.ask(&"request", &now).expect("it has no key");
        let demand = demand.expect("a tuple is always asked");
        assert_eq!(policy.try_admit(&demand, &now).is_ok(), admits);
        assert_eq!(policy.would_admit(&demand, &now).is_ok(), admits);
        let mut refusals = 0;
        policy.refusals(&demand, &now, &mut |_| refusals += 1);
        assert_eq!(refusals, usize::from(!admits));
        let limit = LimitId {
            policy: id,
            key: buttress_core::KeyHash::EVERYONE,
            quota: 0,
        };
        assert_eq!(policy.touches(&demand, limit), present);
    }
}
