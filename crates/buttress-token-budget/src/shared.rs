//! What all clones of a budget share: balances and those who wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use buttress_core::time::Instant;
use buttress_core::wall::CivilTime;
use buttress_core::{KeyHash, LimitId, Now, PolicyId, Reason, Rejection, Seed, When};

use crate::alerts::Alerts;
use crate::demand::{BudgetDemand, Keys};
use crate::dimension::{Amounts, Dimension};
use crate::errors::SettleErrors;
use crate::forecast::Forecast;
use crate::learned::Learned;
use crate::limits::MAX_LIMITS;
use crate::lines::Reserve;
use crate::mode::{Mode, Modes};
use crate::room::{Arrival, Ledger, Room, Turn};
use crate::step::{Refused, Step};
use crate::sync::{AtomicUsize, Mutex};
use crate::table::Scope;
use crate::ticket::{OnDrop, Reserved};

pub(crate) struct Shared {
    pub(crate) id: PolicyId,
    pub(crate) epoch: Instant,
    pub(crate) civil: CivilTime,
    pub(crate) seed: Seed,
    /// In the order in which their balances are locked. Locks are taken in this order: room, making,
    /// current, balances.
    pub(crate) scopes: Box<[Scope]>,
    pub(crate) modes: Modes,
    pub(crate) on_drop: OnDrop,
    pub(crate) most_waiters: usize,
    pub(crate) room: Mutex<Room>,
    waiting: AtomicUsize,
    pub(crate) subscribers: Mutex<Vec<Waker>>,
    pub(crate) alerts: Option<Alerts>,
    pub(crate) learned: Option<Learned>,
    pub(crate) errors: SettleErrors,
}

/// What a budget is made of, beside what it starts with.
pub(crate) struct Parts {
    pub(crate) epoch: Instant,
    pub(crate) civil: CivilTime,
    pub(crate) seed: Seed,
    pub(crate) scopes: Box<[Scope]>,
    pub(crate) mode: Mode,
    pub(crate) on_drop: OnDrop,
    pub(crate) most_waiters: usize,
    pub(crate) alerts: Option<Alerts>,
    pub(crate) learned: Option<Learned>,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            id: PolicyId::unique(),
            epoch: parts.epoch,
            civil: parts.civil,
            seed: parts.seed,
            scopes: parts.scopes,
            modes: Modes::new(parts.mode),
            on_drop: parts.on_drop,
            most_waiters: parts.most_waiters,
            room: Mutex::new(Room::default()),
            waiting: AtomicUsize::new(0),
            subscribers: Mutex::new(Vec::new()),
            alerts: parts.alerts,
            learned: parts.learned,
            errors: SettleErrors::default(),
        }
    }

    /// Nanoseconds since the epoch.
    #[inline]
    pub(crate) fn nanos(&self, now: &Now) -> u64 {
        self.nanos_at(now.get())
    }

    pub(crate) fn nanos_at(&self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.epoch);
        let seconds = since.as_secs().saturating_mul(1_000_000_000);
        seconds.saturating_add(u64::from(since.subsec_nanos()))
    }

    /// Whether anything is refused.
    pub(crate) fn is_hard(&self) -> bool {
        self.modes.mode() == Mode::Hard
    }

    /// Whether somebody waits, behind whom others must queue up.
    pub(crate) fn has_waiters(&self) -> bool {
        self.waiting.load(Ordering::Acquire) != 0
    }

    /// The refusal of a budget that was closed.
    pub(crate) fn refused_closed(&self) -> Result<(), Rejection> {
        match self.modes.is_closed() {
            true => Err(Rejection::new(Reason::Overloaded, When::Never)),
            false => Ok(()),
        }
    }

    /// Reserves at once or refuses, with the waiting first.
    pub(crate) fn try_reserve(
        self: &Arc<Self>,
        demand: &BudgetDemand,
        now: u64,
    ) -> Result<Reserved, Rejection> {
        self.refused_closed()?;
        let mode = self.modes.mode();
        let result = match self.has_waiters() && mode == Mode::Hard {
            false => self.reserve(demand, now, true),
            true => self.reserve_after_waiters(demand, now),
        };
        let reserved = |at| Reserved::new(Arc::clone(self), demand, at);
        match (result, mode) {
            (Ok(at), _) => Ok(reserved(at)),
            (Err(_), Mode::Soft) => Ok(reserved(self.force(demand, now)).shadowed()),
            (Err(_), Mode::Shadow) => Ok(reserved(now).shadowed().spending_nothing()),
            (Err(refused), Mode::Hard) => {
                Err(self.rejection(demand, Reason::TokenBudget, &refused))
            }
        }
    }

    #[cold]
    fn reserve_after_waiters(&self, demand: &BudgetDemand, now: u64) -> Result<u64, Refused> {
        let arrival = Arrival {
            demand: *demand,
            wait: 0,
            deadline: u64::MAX,
        };
        match self.in_room(|room| room.arrive(&mut &*self, arrival, usize::MAX, now)) {
            Turn::Granted { at } => Ok(at),
            Turn::Refused(_, refused) => {
                self.count_refusal(demand, now);
                Err(refused)
            }
            // Nobody waits for no time at all: what is not granted is refused above.
            Turn::At { ticket, .. } => {
                self.in_room(|room| room.leave(&mut &*self, ticket, now));
                self.reserve(demand, now, true)
            }
        }
    }

    /// Works in the waiting room, and wakes whoever is to be woken after its lock is dropped.
    pub(crate) fn in_room<R>(&self, f: impl FnOnce(&mut Room) -> R) -> R {
        let mut room = self.room.lock();
        // Before a newcomer looks at balances, so that whoever changes them afterwards sees that it waits.
        self.waiting.store(room.len() + 1, Ordering::Release);
        let result = f(&mut room);
        self.waiting.store(room.len(), Ordering::Release);
        let wakers = room.take_wakers();
        drop(room);
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// The one decision. The instant of the reservation is not before `now`.
    #[inline]
    pub(crate) fn reserve(
        &self,
        demand: &BudgetDemand,
        now: u64,
        count_refusal: bool,
    ) -> Result<u64, Refused> {
        let mut step = Step::lock(&self.scopes, &demand.keys, now);
        if let Err(refused) = step.check(&demand.amounts) {
            if count_refusal {
                step.count_refusal();
            }
            return Err(refused);
        }
        step.spend(&demand.amounts);
        Ok(self.unlock(step, &demand.keys))
    }

    /// Reserves whether it fits or not.
    fn force(&self, demand: &BudgetDemand, now: u64) -> u64 {
        let mut step = Step::lock(&self.scopes, &demand.keys, now);
        step.spend(&demand.amounts);
        self.unlock(step, &demand.keys)
    }

    pub(crate) fn check(&self, demand: &BudgetDemand, now: u64) -> Result<(), Refused> {
        Step::lock(&self.scopes, &demand.keys, now).check(&demand.amounts)
    }

    /// For every quota that refuses, counted through all scopes, when it would admit.
    pub(crate) fn refusals(&self, demand: &BudgetDemand, now: u64) -> [Option<When>; MAX_LIMITS] {
        Step::lock(&self.scopes, &demand.keys, now).refusals(&demand.amounts)
    }

    /// Replaces what was reserved at `at` by what was used, and lets those go that this makes room for.
    pub(crate) fn settle(
        &self,
        keys: &Keys,
        reserved: &Amounts,
        used: &Amounts,
        at: u64,
        now: u64,
    ) {
        let mut step = Step::lock(&self.scopes, keys, now);
        step.settle(reserved, used, at);
        let now = self.unlock(step, keys);
        match used == reserved {
            // There is no more room than before, so whose wait falls due now is not served early.
            true => self.wake_subscribers(),
            false => self.announce(Some(keys[0]), now),
        }
    }

    /// Ends a step, and tells outside its locks what it led to.
    fn unlock(&self, mut step: Step<'_>, keys: &Keys) -> u64 {
        let now = step.now;
        if let Some(alerts) = &self.alerts {
            let crossed = step.crossed(&alerts.thresholds, keys);
            drop(step);
            crossed.tell(alerts, self.id);
        }
        now
    }

    pub(crate) fn count_refusal(&self, demand: &BudgetDemand, now: u64) {
        Step::lock(&self.scopes, &demand.keys, now).count_refusal();
    }

    /// Tells those who wait that room may have become free.
    pub(crate) fn announce(&self, key: Option<KeyHash>, now: u64) {
        if self.has_waiters() {
            self.in_room(|room| room.changed(&mut &*self, key, now));
        }
        self.wake_subscribers();
    }

    pub(crate) fn wake_subscribers(&self) {
        let subscribers = std::mem::take(&mut *self.subscribers.lock());
        subscribers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn rejection(
        &self,
        demand: &BudgetDemand,
        reason: Reason,
        refused: &Refused,
    ) -> Rejection {
        let rejection = Rejection::new(reason, refused.when);
        if refused.violated == 0 {
            return rejection;
        }
        let limit = LimitId {
            policy: self.id,
            key: demand.keys[0],
            quota: refused.quota,
        };
        rejection.by(limit).violating(refused.violated)
    }

    /// The scope that a quota belongs to by which a key was refused, and what it counts.
    pub(crate) fn scope_of(&self, quota: usize, key: KeyHash) -> Option<(usize, Dimension)> {
        let mut number = quota;
        for (index, scope) in self.scopes.iter().enumerate() {
            let rules = scope.rules();
            let limits = &rules
                .of(if index == 0 { key } else { KeyHash::EVERYONE })
                .limits;
            if let Some(limit) = limits.get(number) {
                return Some((index, limit.dimension));
            }
            number -= limits.len();
        }
        None
    }
}

impl Reserve for &Shared {
    fn reserve(&mut self, demand: &BudgetDemand, now: u64) -> Result<u64, Refused> {
        // Alerts of waiters are told when they settle: the room's lock is held here.
        let mut step = Step::lock(&self.scopes, &demand.keys, now);
        step.check(&demand.amounts)?;
        step.spend(&demand.amounts);
        Ok(step.now)
    }

    fn is_global(&self, scope: usize) -> bool {
        Shared::is_global(self, scope)
    }

    fn room_for_all(&mut self, amounts: &Amounts, now: u64) -> u64 {
        let Some(all) = self.scopes.last().filter(|scope| scope.global) else {
            return now;
        };
        let bucket = all.lock(KeyHash::EVERYONE);
        let now = now.max(bucket.latest);
        match bucket.look(bucket.find(KeyHash::EVERYONE)) {
            (rules, Some(balance)) => balance.earliest(rules, amounts, now),
            (_, None) => now,
        }
    }
}

impl Ledger for &Shared {
    fn give_back(&self, demand: &BudgetDemand, at: u64, now: u64) {
        let mut step = Step::lock(&self.scopes, &demand.keys, now);
        step.settle(&demand.amounts, &Amounts::NOTHING, at);
    }

    fn has_one_scope(&self) -> bool {
        self.scopes.len() == 1
    }

    fn forecast(&self, now: u64) -> Forecast<'_> {
        let global = self.scopes.iter().map(|scope| scope.global).collect();
        Forecast::new(global, move |scope, key: KeyHash| {
            let mut bucket = self.scopes[scope].lock(key);
            bucket.latest = bucket.latest.max(now);
            let slot = bucket.find(key);
            let balance = bucket.look(slot).1.cloned().unwrap_or_default();
            (Arc::clone(&bucket.rules), balance)
        })
    }
}
