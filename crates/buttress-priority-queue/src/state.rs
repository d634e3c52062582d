//! What is decided under a queue's lock: who has a place, who waits, and who is told what.

mod arrive;

use std::task::Waker;

use buttress_core::time::Instant;
use buttress_core::{LimitId, Now, Permit, Policy, Reason, Rejection, When};

use crate::blocked::Lines;
use crate::drain_rate::DrainRate;
use crate::gates::{Gates, Lack};
use crate::limit::Sample;
use crate::queue::{Queue, Stand};
use crate::settings::{Settings, nanos};

/// One who waits, as the queue knows it.
pub(crate) struct Waiter<G: Policy> {
    pub(crate) demand: Option<G::Demand>,
    pub(crate) partition: usize,
    pub(crate) waker: Option<Waker>,
    pub(crate) turn: Turn<G>,
}

/// How a wait came out, if it has.
pub(crate) enum Turn<G: Policy> {
    Waiting,
    Granted(Permit<G::Ticket>, Place),
    Refused(Rejection),
}

/// A place, taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) partition: usize,
    /// How many were in flight then, this one included.
    pub(crate) in_flight: u32,
    /// When it was taken, if somebody wants to know.
    pub(crate) since: Option<Instant>,
}

/// What somebody is held back by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Name {
    /// A limit of the gates, by the name that all who need it know.
    Limit(LimitId),
    /// A limit whose policy does not tell who needs it; it must be asked.
    Asked(LimitId),
    /// A refusal that names no limit: everybody is taken to need it.
    Unnamed,
    /// The places that are kept for the more urgent.
    Reserve,
    /// The share of a partition.
    Partition(usize),
}

/// Whether newcomers are taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    /// Those who wait still go.
    Draining,
    Closed,
}

/// How an arrival came out.
pub(crate) enum Arrived<G: Policy> {
    Granted(Permit<G::Ticket>, Place, Option<G::Demand>),
    Refused(Rejection),
    Waits(u32),
}

/// The time of a step, in nanoseconds of the queue's, read when first asked for.
pub(crate) struct Step<'a> {
    pub(crate) now: &'a Now,
    pub(crate) epoch: Instant,
}

impl Step<'_> {
    pub(crate) fn nanos(&self) -> u64 {
        self.at(self.now.get())
    }

    pub(crate) fn at(&self, instant: Instant) -> u64 {
        nanos(instant.saturating_duration_since(self.epoch))
    }
}

pub(crate) struct State<G: Policy> {
    pub(crate) settings: Settings,
    pub(crate) queue: Queue<Waiter<G>>,
    pub(crate) lines: Lines<Name>,
    /// The limits of lines whose policies must be asked who needs them.
    pub(crate) asked: Vec<LimitId>,
    /// What the one lacks that is being decided on.
    pub(crate) lacks: Vec<Lack>,
    pub(crate) limit: u32,
    pub(crate) in_flight: u32,
    pub(crate) by_partition: Vec<u32>,
    /// Whether nothing but their number decides as long as nobody waits.
    pub(crate) is_counting: bool,
    pub(crate) paused: bool,
    pub(crate) door: Door,
    /// The waiter that has the timer and hears the gates, and when its timer ends.
    pub(crate) attendant: Option<u32>,
    /// Whether the gates' notes go to somebody.
    pub(crate) is_heard: bool,
    pub(crate) armed: u64,
    pub(crate) drain_rate: DrainRate,
    pub(crate) wakers: Wakers,
    /// Who waits for the queue to be empty.
    pub(crate) drained: Vec<Waker>,
}

/// Those to wake once the lock is dropped; usually one.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    first: Option<Waker>,
    others: Vec<Waker>,
    /// Dropping a waker can drop a task, and with it a wait for this very queue.
    discarded: Vec<Waker>,
}

impl Wakers {
    /// All of them, if there are any.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Self> {
        let is_empty = self.first.is_none() && self.discarded.is_empty();
        (!is_empty).then(|| std::mem::take(self))
    }

    pub(crate) fn push(&mut self, waker: Waker) {
        match self.first {
            None => self.first = Some(waker),
            Some(_) => self.others.push(waker),
        }
    }

    pub(crate) fn discard(&mut self, waker: Option<Waker>) {
        self.discarded.extend(waker);
    }

    pub(crate) fn wake(self) {
        if let Some(waker) = self.first {
            waker.wake();
        }
        self.others.into_iter().for_each(Waker::wake);
    }
}

impl<G: Policy> State<G> {
    pub(crate) fn new(settings: Settings, gated: bool) -> Self {
        Self {
            queue: Queue::new(settings.rules()),
            lines: Lines::default(),
            asked: Vec::new(),
            lacks: Vec::new(),
            limit: settings.limit.get(),
            in_flight: 0,
            by_partition: vec![0; settings.partitions.len()],
            is_counting: settings.is_counting() && !gated,
            paused: false,
            door: Door::Open,
            attendant: None,
            is_heard: false,
            armed: u64::MAX,
            drain_rate: DrainRate::default(),
            wakers: Wakers::default(),
            drained: Vec::new(),
            settings,
        }
    }

    /// Whether places can be taken and given back without looking at anything but their number.
    #[inline]
    pub(crate) fn only_counts(&self) -> bool {
        let nobody_waits = self.queue.is_empty() && self.drained.is_empty();
        self.is_counting && nobody_waits && !self.paused && self.door == Door::Open
    }

    pub(crate) fn may_grant(&self) -> bool {
        self.in_flight < self.limit && !self.paused
    }

    /// Which places somebody lacks while others are free.
    #[inline]
    pub(crate) fn lacks_place(&self, level: u8, partition: usize) -> Option<Name> {
        if let Some((share, from)) = self.settings.reserve
            && level < from
            && self.in_flight >= self.limit - kept(self.limit, share)
        {
            return Some(Name::Reserve);
        }
        let partition = self.partition(partition)?;
        let most = most(self.limit, self.settings.partitions[partition]);
        (self.by_partition[partition] >= most).then_some(Name::Partition(partition))
    }

    fn partition(&self, partition: usize) -> Option<usize> {
        Some(partition.min(self.by_partition.len().checked_sub(1)?))
    }

    pub(crate) fn take_place(&mut self, partition: usize, step: &Step<'_>) -> Place {
        self.in_flight += 1;
        if let Some(partition) = self.partition(partition) {
            self.by_partition[partition] += 1;
        }
        Place {
            partition,
            in_flight: self.in_flight,
            since: self.settings.limit.is_adaptive().then(|| step.now.get()),
        }
    }

    /// A place is free again.
    pub(crate) fn give_back(&mut self, gates: &Gates<G>, place: Place, step: &Step<'_>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let partition = self.partition(place.partition);
        if let Some(partition) = partition {
            self.by_partition[partition] = self.by_partition[partition].saturating_sub(1);
        }
        if !self.lines.is_empty() {
            self.lines.may_be_free(Name::Reserve);
            if let Some(partition) = partition {
                self.lines.may_be_free(Name::Partition(partition));
            }
        }
        if !self.queue.is_empty() {
            self.advance(gates, step, false);
        }
        self.tell_if_drained();
    }

    pub(crate) fn tell_if_drained(&mut self) {
        if self.in_flight == 0 && self.queue.is_empty() && !self.drained.is_empty() {
            for waker in std::mem::take(&mut self.drained) {
                self.wakers.push(waker);
            }
        }
    }

    /// An adaptive limit learns of a call.
    pub(crate) fn sample(&mut self, gates: &Gates<G>, sample: &Sample, step: &Step<'_>) {
        self.settings.limit.sample(sample);
        self.set_limit(gates, self.settings.limit.get(), step);
    }

    pub(crate) fn set_limit(&mut self, gates: &Gates<G>, limit: u32, step: &Step<'_>) {
        if std::mem::replace(&mut self.limit, limit) < limit && !self.queue.is_empty() {
            self.places_may_be_free();
            self.advance(gates, step, false);
        }
    }

    pub(crate) fn places_may_be_free(&mut self) {
        self.lines.may_be_free(Name::Reserve);
        for partition in 0..self.by_partition.len() {
            self.lines.may_be_free(Name::Partition(partition));
        }
    }

    /// Somebody who waits is refused.
    pub(crate) fn refuse(&mut self, id: u32, rejection: Rejection) {
        self.withdraw(id);
        self.settle(id, Turn::Refused(rejection));
    }

    /// Somebody leaves the order; what is kept of it stays.
    pub(crate) fn withdraw(&mut self, id: u32) {
        self.leave_lines(id);
        self.queue.remove(id, false);
        self.after_leaving(id);
    }

    /// Whoever is held back stands in no line any more.
    pub(crate) fn leave_lines(&mut self, id: u32) {
        let stand = self.queue.get(id).map(|entry| entry.stand);
        if let Some(Stand::Held(key, line)) = stand {
            self.lines.leave(line, key, id);
        }
    }

    pub(crate) fn after_leaving(&mut self, id: u32) {
        if self.attendant == Some(id) {
            self.attendant = None;
        }
        if self.queue.is_empty() {
            self.drain_rate.idle();
        }
    }

    pub(crate) fn settle(&mut self, id: u32, turn: Turn<G>) {
        if let Some(entry) = self.queue.get_mut(id) {
            entry.value.turn = turn;
            if let Some(waker) = entry.value.waker.take() {
                self.wakers.push(waker);
            }
        }
    }

    /// Looks whether one's wait has come out; if not, tells when to look again.
    pub(crate) fn look(
        &mut self,
        gates: &Gates<G>,
        id: u32,
        waker: &Waker,
        timer_ended: bool,
        step: &Step<'_>,
    ) -> Result<Arrived<G>, u64> {
        if timer_ended || gates.notifier.is_changed() {
            self.advance(gates, step, timer_ended);
        }
        if let Some(arrived) = self.settled(id) {
            self.appoint(gates);
            return Ok(arrived);
        }
        if let Some(entry) = self.queue.get_mut(id) {
            let held = &mut entry.value.waker;
            if !held.as_ref().is_some_and(|held| held.will_wake(waker)) {
                let old = held.replace(waker.clone());
                self.wakers.discard(old);
            }
        }
        if !self.needs_attendant() {
            return Err(u64::MAX);
        }
        let due = self.next_due();
        let attends = self.attendant.is_none_or(|other| other == id);
        if !attends && due >= self.armed {
            return Err(u64::MAX);
        }
        self.attendant = Some(id);
        self.armed = due;
        self.hear(gates, Some(waker.clone()));
        Err(due)
    }

    pub(crate) fn hear(&mut self, gates: &Gates<G>, waker: Option<Waker>) {
        self.is_heard = waker.is_some();
        let old = gates.notifier.attend(waker);
        self.wakers.discard(old);
    }

    /// Takes a waiter out whose wait has come out.
    pub(crate) fn settled(&mut self, id: u32) -> Option<Arrived<G>> {
        if matches!(self.queue.get(id)?.value.turn, Turn::Waiting) {
            return None;
        }
        let waiter = self.queue.forget(id)?;
        match waiter.turn {
            Turn::Waiting => None,
            Turn::Granted(permit, place) => Some(Arrived::Granted(permit, place, waiter.demand)),
            Turn::Refused(rejection) => Some(Arrived::Refused(rejection)),
        }
    }
}

/// Whether waiting would not help: what can never be admitted, and whom a breaker refuses or somebody banned.
/// Used up quotas, budgets and places come back.
pub(crate) fn is_final(rejection: &Rejection) -> bool {
    let comes_back = matches!(
        rejection.reason(),
        Reason::RateLimit | Reason::TokenBudget | Reason::Overloaded
    );
    !comes_back || rejection.when() == When::Never
}

/// How many places a reserve keeps: its share, rounded up, but not all of them.
fn kept(limit: u32, share: f64) -> u32 {
    part(limit, share).min(limit.saturating_sub(1))
}

/// How many places a partition has at most: its share, rounded up.
fn most(limit: u32, share: f64) -> u32 {
    part(limit, share).max(1)
}

fn part(limit: u32, share: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share is between 0 and 1"
    )]
    let part = (f64::from(limit) * share - 1e-9).ceil() as u32;
    part
}
