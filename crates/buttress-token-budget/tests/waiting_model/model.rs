//! What waiting means, in the plainest way: everything that was spent in lists, everybody who waits in another.

use buttress_core::Reason;

use crate::{GLOBAL, KEYED, KEYS, Request};

/// One rolling quota: when, by which request, how much.
#[derive(Clone, Debug)]
pub(crate) struct Rolling {
    pub(crate) capacity: u64,
    pub(crate) period: u64,
    pub(crate) spent: Vec<(u64, usize, u64)>,
}

impl Rolling {
    pub(crate) fn new((capacity, period): (u64, u64)) -> Self {
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

    pub(crate) fn due(&self, cost: u64, now: u64) -> Option<u64> {
        (now..=now + self.period).find(|at| self.fits(cost, *at))
    }

    pub(crate) fn settle(&mut self, id: usize, used: u64, now: u64) {
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
pub(crate) struct Model {
    pub(crate) id: usize,
    pub(crate) request: Request,
    pub(crate) arrived: u64,
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
pub(crate) enum Fate {
    Granted,
    Refused(Reason),
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) keyed: Vec<Rolling>,
    pub(crate) global: Option<Rolling>,
    pub(crate) line: Vec<Model>,
    pub(crate) fates: Vec<(usize, Fate)>,
}

/// What stands between somebody and its units: when they are there, and whether all need them.
pub(crate) type Refusal = (Option<u64>, bool);

impl World {
    pub(crate) fn new(global: bool) -> Self {
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

    pub(crate) fn spend(&mut self, id: usize, request: &Request, now: u64) {
        self.keyed[request.key].spent.push((now, id, request.cost));
        if let Some(all) = &mut self.global {
            all.spent.push((now, id, request.cost));
        }
    }

    /// Everybody is looked at, and after everyone who goes all are looked at anew.
    pub(crate) fn look(&mut self, now: u64) {
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
    pub(crate) fn due(&self, newcomer: Request, now: u64) -> Option<u64> {
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
