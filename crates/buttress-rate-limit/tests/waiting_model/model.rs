//! What waiting means, in the plainest way: everything that was ever spent in one list, everybody who
//! waits in another, and a look at all of them every millisecond.

use crate::scenario::{Kind, Limit, Outcome, Request, Scenario, When};

pub(crate) const MILLI: u64 = 1_000_000;

#[derive(Clone)]
struct World<'a> {
    keyed: &'a [Limit],
    global: &'a [Limit],
    /// When, for which key and how much; times are nanoseconds.
    spent: Vec<(u64, u8, u64)>,
    line: Vec<Waiter>,
}

#[derive(Clone)]
struct Waiter {
    id: usize,
    request: Request,
}

/// What stands between a request and its units.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    Nothing,
    Nanos(u64),
    Never,
}

/// Who is held back in one pass.
#[derive(Default)]
struct HeldBack {
    keys: Vec<u8>,
    everyone: bool,
}

impl HeldBack {
    fn holds(&self, key: u8) -> bool {
        self.everyone || self.keys.contains(&key)
    }

    fn add(&mut self, key: u8, by_global: bool) {
        self.everyone |= by_global;
        self.keys.push(key);
    }
}

/// What becomes of every request of a scenario.
pub(crate) fn run(scenario: &Scenario) -> Vec<Outcome> {
    let mut outcomes = vec![None; scenario.requests.len()];
    let mut world = World {
        keyed: &scenario.keyed,
        global: &scenario.global,
        spent: Vec::new(),
        line: Vec::new(),
    };
    let mut milli = 0;
    while outcomes.contains(&None) {
        world.pass(milli * MILLI, &mut outcomes);
        for (id, request) in scenario.requests.iter().enumerate() {
            if outcomes[id].is_none() && request.cancelled_at() == Some(milli) && request.at < milli
            {
                world.line.retain(|waiter| waiter.id != id);
                outcomes[id] = Some(Outcome::Cancelled { at: milli });
                world.pass(milli * MILLI, &mut outcomes);
            }
        }
        for (id, request) in scenario.requests.iter().enumerate() {
            if request.at != milli {
                continue;
            }
            world.arrive(id, *request, &mut outcomes);
            if outcomes[id].is_none() && request.cancelled_at() == Some(milli) {
                world.line.retain(|waiter| waiter.id != id);
                outcomes[id] = Some(Outcome::Cancelled { at: milli });
            }
        }
        milli += 1;
    }
    outcomes.into_iter().flatten().collect()
}

impl World<'_> {
    fn arrive(&mut self, id: usize, request: Request, outcomes: &mut [Option<Outcome>]) {
        let now = request.at * MILLI;
        if request.cost == 0 {
            outcomes[id] = Some(Outcome::Admitted { at: request.at });
            return;
        }
        let Some(due) = self.due(&request, now) else {
            outcomes[id] = Some(Outcome::refused(request.at, When::Never));
            return;
        };
        if due == now {
            self.spent.push((now, request.key, request.cost));
            outcomes[id] = Some(Outcome::Admitted { at: request.at });
            return;
        }
        let max = match request.kind {
            Kind::Check => 0,
            Kind::Wait { max } => max * MILLI,
        };
        if due - now > max {
            outcomes[id] = Some(Outcome::refused(request.at, When::After(due - now)));
        } else if request
            .deadline_at()
            .is_some_and(|deadline| due.div_ceil(MILLI) >= deadline)
        {
            outcomes[id] = Some(Outcome::Late { at: request.at });
        } else {
            self.line.push(Waiter { id, request });
        }
    }

    /// When a newcomer would be served if nobody else came: to the nanosecond, although those ahead are
    /// served at whole milliseconds.
    fn due(&self, newcomer: &Request, now: u64) -> Option<u64> {
        let mut world = self.clone();
        let mut at = now;
        loop {
            let held_back = world.pass(at, &mut vec![None; 1_000]);
            if !held_back.holds(newcomer.key) {
                match world.need(newcomer, at).0 {
                    Need::Nothing => return Some(at),
                    Need::Never => return None,
                    Need::Nanos(wait) if wait < MILLI => {
                        let exact = at + wait;
                        if !world.held_back_between(exact).holds(newcomer.key)
                            && world.need(newcomer, exact).0 == Need::Nothing
                        {
                            return Some(exact);
                        }
                    }
                    Need::Nanos(_) => {}
                }
            }
            at += MILLI;
        }
    }

    /// Who is held back at an instant between two milliseconds, at which nobody ahead is served; also by
    /// somebody ahead whose units are there and who only waits for the next millisecond: those for all keys
    /// are spoken for.
    fn held_back_between(&self, at: u64) -> HeldBack {
        let mut held_back = HeldBack::default();
        for Waiter { request, .. } in &self.line {
            if held_back.holds(request.key) {
                continue;
            }
            match self.need(request, at) {
                (Need::Nothing, _) => held_back.add(request.key, !self.global.is_empty()),
                (_, by_global) => held_back.add(request.key, by_global),
            }
        }
        held_back
    }

    /// Serves whoever can be served, in order of arrival, and refuses whoever waited for too long. After
    /// everyone who goes, all are looked at anew: what was taken may hold back somebody ahead.
    fn pass(&mut self, now: u64, outcomes: &mut [Option<Outcome>]) -> HeldBack {
        let at = now / MILLI;
        'anew: loop {
            let mut held_back = HeldBack::default();
            for index in 0..self.line.len() {
                let Waiter { id, request } = self.line[index].clone();
                let held = held_back.holds(request.key);
                let (need, by_global) = self.need(&request, now);
                let outcome = if request.deadline_at().is_some_and(|deadline| at >= deadline) {
                    Outcome::Late { at }
                } else if !held && need == Need::Nothing {
                    self.spent.push((now, request.key, request.cost));
                    Outcome::Admitted { at }
                } else if request.is_out_of_patience(at) {
                    let when = match (held, need) {
                        (false, Need::Nanos(wait)) => When::After(wait),
                        _ => When::Unknown,
                    };
                    Outcome::refused(at, when)
                } else {
                    if !held {
                        held_back.add(request.key, by_global);
                    }
                    continue;
                };
                outcomes[id] = Some(outcome);
                self.line.remove(index);
                continue 'anew;
            }
            return held_back;
        }
    }

    /// What a request needs under all limits, and whether it is a limit for all keys that decides.
    fn need(&self, request: &Request, now: u64) -> (Need, bool) {
        let of_key = self.spent.iter().filter(|(_, key, _)| *key == request.key);
        let of_key: Vec<_> = of_key.map(|&(at, _, cost)| (at, cost)).collect();
        let of_all: Vec<_> = self.spent.iter().map(|&(at, _, cost)| (at, cost)).collect();
        let most = |limits: &[Limit], spent: &[(u64, u64)]| {
            let needs = limits.iter().map(|l| l.need(spent, request.cost, now));
            needs.max().unwrap_or(Need::Nothing)
        };
        let (by_key, by_global) = (most(self.keyed, &of_key), most(self.global, &of_all));
        (by_key.max(by_global), by_global > by_key)
    }
}

impl Limit {
    fn need(&self, spent: &[(u64, u64)], cost: u64, now: u64) -> Need {
        let wait = match *self {
            Self::Paced { burst, .. } if cost > burst => return Need::Never,
            Self::Rolling { units, .. } if cost > units => return Need::Never,
            Self::Paced {
                units,
                period,
                burst,
            } => paced(
                spent,
                [units, period * MILLI, burst].map(u128::from),
                cost,
                now,
            ),
            Self::Rolling { units, period } => rolling(spent, units, period * MILLI, cost, now),
        };
        match wait {
            0 => Need::Nothing,
            wait => Need::Nanos(wait),
        }
    }
}

/// A bucket that is filled drop by drop, with drops of a unit divided by the period.
fn paced(spent: &[(u64, u64)], [units, period, burst]: [u128; 3], cost: u64, now: u64) -> u64 {
    let full = burst * period;
    let (mut level, mut last) = (full, 0);
    for &(at, cost) in spent {
        level = (level + units * u128::from(at - last)).min(full) - u128::from(cost) * period;
        last = at;
    }
    level = (level + units * u128::from(now - last)).min(full);
    let missing = (u128::from(cost) * period).saturating_sub(level);
    u64::try_from(missing.div_ceil(units)).expect("the test's times are short")
}

/// Looks at every instant at which something leaves the window.
fn rolling(spent: &[(u64, u64)], units: u64, period: u64, cost: u64, now: u64) -> u64 {
    let fits = |at: u64| {
        let live = spent.iter().filter(|(then, _)| then + period > at);
        live.map(|(_, cost)| cost).sum::<u64>() + cost <= units
    };
    let leaves = spent.iter().map(|(then, _)| then + period);
    let mut instants: Vec<_> = leaves.filter(|at| *at > now).chain([now]).collect();
    instants.sort_unstable();
    let first = instants.into_iter().find(|at| fits(*at));
    first.expect("at the end the window is empty") - now
}
