//! The rolling quota: a log of what was spent and when.
//!
//! A cost is admitted if what was spent in `(t - d, t]` and the cost are together at most `n`: a unit spent at
//! `t0` is back at exactly `t0 + d`. Up to [`EXACT_ENTRIES`] live entries nothing is approximated.
//!
//! Beyond that an entry may join the youngest group, as long as the group spans at most `d / 4096` from its
//! first member; the group then counts as spent at the instant of its last. So a unit is never back too
//! early, and late by at most `d / 4096`.
//!
//! **Memory.** At most [`MAX_ENTRIES`] entries. Write `s` for `d / 4096` rounded down, so that `d < 4096 (s + 1)`.
//! After the last entry that was added while fewer than `EXACT_ENTRIES` were live, there are at most
//! `EXACT_ENTRIES`. Every entry added later begins more than `s`, so at least `s + 1`, after the beginning of
//! its predecessor. If `m` of these are alive together with an entry older than them, all their beginnings lie
//! in the last `d`, and `(m - 1) (s + 1) < d` gives `m <= 4096`. If none older is alive, the first may have
//! begun up to `s` earlier, and `(m - 1) (s + 1) < d + s` gives `m <= 4097`. A change of the quota leaves at
//! most 4,097 entries (see [`Rolling::convert`]) in place of the first 4,096. A refund only removes entries,
//! and what is added after it is later than what was removed, hence as far from what is left.

use std::collections::VecDeque;
use std::time::Duration;

use crate::gcra::Verdict;
use crate::quota::{Quota, Window};
use buttress_core::duration::from_nanos;

/// The live entries up to which a log is exact.
pub const EXACT_ENTRIES: usize = 4_096;

/// The most entries that a log ever holds.
pub const MAX_ENTRIES: usize = 2 * EXACT_ENTRIES + 1;

/// A group may span the period divided by this.
const SLICES: u64 = 4_096;

/// What was spent at one instant, or by one group at most until it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) time: u64,
    /// All units spent from the beginning of the log up to and including this entry, wrapping: differences
    /// are exact, and a binary search finds when a given number of units is back.
    pub(crate) total: u64,
}

/// What one key has spent under a rolling quota.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// In order of time; totals strictly grow.
    pub(crate) entries: VecDeque<Entry>,
    /// The total before the first entry.
    base: u64,
    /// The first instant of the youngest group, if it is known.
    pub(crate) youngest_since: Option<u64>,
    /// The entries later than this are no groups.
    grouped_until: u64,
}

impl Log {
    /// A log in which nothing was ever spent. It holds no memory.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            base: 0,
            youngest_since: None,
            grouped_until: 0,
        }
    }

    /// The entries held, those included that have expired since the last spending.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// The total before the entry at `index`.
    pub(crate) fn total_before(&self, index: usize) -> u64 {
        match index
            .checked_sub(1)
            .and_then(|index| self.entries.get(index))
        {
            Some(entry) => entry.total,
            None => self.base,
        }
    }

    /// The total after the last entry.
    fn total(&self) -> u64 {
        self.entries.back().map_or(self.base, |entry| entry.total)
    }

    pub(crate) fn push(&mut self, time: u64, total: u64) {
        if self.entries.len() == self.entries.capacity() {
            // Doubling would hold twice the memory of a log at its bound.
            let held = self.entries.len();
            let more = held.max(4).min(MAX_ENTRIES.saturating_sub(held).max(1));
            self.entries.reserve_exact(more);
        }
        self.entries.push_back(Entry { time, total });
        self.youngest_since = Some(time);
    }
}

/// A rolling quota made ready for arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rolling {
    units: u64,
    /// In nanoseconds.
    period: u64,
}

impl Rolling {
    /// The parameters of a quota, if it is a rolling one.
    #[must_use]
    pub fn from_quota(quota: &Quota) -> Option<Self> {
        match *quota.window() {
            Window::Rolling => Some(Self::new(quota.units(), quota.period_nanos())),
            _ => None,
        }
    }

    /// The parameters are those of a [`Quota`], so none of them is zero.
    pub(crate) const fn new(units: u64, period: u64) -> Self {
        Self { units, period }
    }

    /// The most units in any stretch of one period.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.units
    }

    /// Whether `cost` fits. Nothing is spent here.
    ///
    /// A cost of 0 always fits. Takes a time logarithmic in the entries.
    #[must_use]
    pub fn check(&self, log: &Log, cost: u64, now: u64) -> Verdict {
        if cost == 0 {
            return Verdict::Fits(());
        }
        if cost > self.units {
            return Verdict::Never;
        }
        let spent = self.spent(log, now);
        let room = self.units - cost;
        if spent <= room {
            return Verdict::Fits(());
        }
        Verdict::After(self.until_back(log, spent - room, now))
    }

    /// Spends `cost` whether it fits or not. Forgets what has expired.
    pub fn spend(&self, log: &mut Log, cost: u64, now: u64) {
        self.expire(log, now);
        // A log never owes more than its totals can tell apart.
        let cost = cost.min(u64::MAX - log.total().wrapping_sub(log.base));
        if cost == 0 {
            return;
        }
        let total = log.total().wrapping_add(cost);
        let full = log.entries.len() >= EXACT_ENTRIES;
        let slack = self.slack();
        let joins = log
            .youngest_since
            .is_some_and(|since| full && now.saturating_sub(since) <= slack);
        match log.entries.back_mut() {
            // At one instant, or at an earlier one if a clock went back: later is the safe direction.
            Some(youngest) if now <= youngest.time => youngest.total = total,
            Some(youngest) if joins => {
                *youngest = Entry { time: now, total };
                log.grouped_until = now;
            }
            _ => log.push(now, total),
        }
    }

    /// The units spent in the last period; those of a group count until its last is back.
    #[must_use]
    pub fn spent(&self, log: &Log, now: u64) -> u64 {
        log.total()
            .wrapping_sub(log.total_before(self.first_live(log, now)))
    }

    /// The units that can be spent now.
    #[must_use]
    pub fn remaining(&self, log: &Log, now: u64) -> u64 {
        self.units.saturating_sub(self.spent(log, now))
    }

    /// How long until [`remaining`](Rolling::remaining) next grows; `None` if nothing is spent.
    #[must_use]
    pub fn until_more(&self, log: &Log, now: u64) -> Option<Duration> {
        let spent = self.spent(log, now);
        // After a change of the quota more can be spent than it allows; that has to come back first.
        let missing = spent.saturating_sub(self.units).saturating_add(1);
        (spent > 0).then(|| self.until_back(log, missing, now))
    }

    /// The units below zero: what was spent unasked and has not come back.
    #[must_use]
    pub fn overdrawn(&self, log: &Log, now: u64) -> u64 {
        self.spent(log, now).saturating_sub(self.units)
    }

    /// How long until nothing is [`overdrawn`](Rolling::overdrawn); `None` if nothing is.
    #[must_use]
    pub fn until_repaid(&self, log: &Log, now: u64) -> Option<Duration> {
        let below = self.overdrawn(log, now);
        (below > 0).then(|| self.until_back(log, below, now))
    }

    /// Takes `cost` out again, from the youngest entries.
    ///
    /// Right for what was spent last. What was spent earlier is better given back by
    /// [`refund_at`](Rolling::refund_at): here its own entry stays, and expires earlier than the one that
    /// went in its place would have.
    pub fn refund(&self, log: &mut Log, cost: u64, now: u64) {
        self.expire(log, now);
        let total = log.total();
        let left = total.wrapping_sub(log.base).saturating_sub(cost);
        let kept = log
            .entries
            .partition_point(|entry| entry.total.wrapping_sub(log.base) <= left);
        // The entry at `kept` loses a part, unless the entries before it add up to what is left.
        let target = log.base.wrapping_add(left);
        let split = log.total_before(kept) != target;
        if kept + usize::from(split) < log.entries.len() {
            log.entries.truncate(kept + usize::from(split));
            log.youngest_since = None;
        }
        if split && let Some(youngest) = log.entries.back_mut() {
            youngest.total = target;
        }
    }

    /// Takes `cost` out of what was spent at the instant `spent_at`; nothing if that has left the window, and
    /// never more than was spent then.
    pub fn refund_at(&self, log: &mut Log, cost: u64, spent_at: u64, now: u64) {
        self.expire(log, now);
        if cost == 0 || now.saturating_sub(spent_at) >= self.period {
            return;
        }
        // A group carries the instant of its last member, so it is the first entry that is not earlier.
        let index = log.entries.partition_point(|entry| entry.time < spent_at);
        let Some(entry) = log.entries.get(index) else {
            return;
        };
        let is_group = entry.time <= log.grouped_until && entry.time - spent_at <= self.slack();
        if entry.time != spent_at && !is_group {
            return;
        }
        let held = entry.total.wrapping_sub(log.total_before(index));
        let taken = cost.min(held);
        for entry in log.entries.range_mut(index..) {
            entry.total = entry.total.wrapping_sub(taken);
        }
        if taken == held {
            log.entries.remove(index);
            if index == log.entries.len() {
                log.youngest_since = None;
            }
        }
    }

    /// How long until nothing is spent, in nanoseconds.
    #[must_use]
    pub fn debt(&self, log: &Log, now: u64) -> u64 {
        log.entries
            .back()
            .map_or(0, |youngest| self.until_expired(youngest, now))
    }

    /// Whether nothing is spent: the log is then as good as [`Log::new`].
    #[must_use]
    pub fn is_idle(&self, log: &Log, now: u64) -> bool {
        self.debt(log, now) == 0
    }

    /// A log in which `units` are spent now.
    #[must_use]
    pub fn owing(&self, units: u64, now: u64) -> Log {
        let mut log = Log::new();
        self.spend(&mut log, units, now);
        log
    }

    /// Makes a log that was kept under another rolling quota one of this: the same units at the same instants.
    ///
    /// What had come back under the old period stays back. Of a log beyond [`EXACT_ENTRIES`], neighbours
    /// within `d / 4096` of each other merge into the youngest, so that a sequence of changes cannot make it
    /// grow; they may then be late by the `d / 4096` of both quotas together.
    pub fn convert(&self, from: &Rolling, log: &mut Log, now: u64) {
        from.expire(log, now);
        if self.period == from.period {
            return;
        }
        self.expire(log, now);
        log.youngest_since = None;
        if log.entries.len() <= EXACT_ENTRIES {
            return;
        }
        let mut merged = VecDeque::with_capacity(EXACT_ENTRIES);
        let mut since = 0;
        for entry in log.entries.drain(..) {
            match merged.back_mut() {
                Some(group) if entry.time - since <= self.slack() => {
                    *group = entry;
                    log.grouped_until = log.grouped_until.max(entry.time);
                }
                _ => {
                    since = entry.time;
                    merged.push_back(entry);
                }
            }
        }
        log.entries = merged;
        log.youngest_since = Some(since);
    }

    /// Forgets what is older than the period: every entry once, whenever that is.
    pub(crate) fn expire(&self, log: &mut Log, now: u64) {
        while let Some(oldest) = log.entries.front()
            && self.until_expired(oldest, now) == 0
        {
            log.base = oldest.total;
            log.entries.pop_front();
        }
        if log.entries.is_empty() {
            log.youngest_since = None;
        }
    }

    /// How far a group may span.
    const fn slack(&self) -> u64 {
        self.period / SLICES
    }

    /// The index of the oldest entry that has not expired.
    pub(crate) fn first_live(&self, log: &Log, now: u64) -> usize {
        match log.entries.front() {
            Some(oldest) if self.until_expired(oldest, now) == 0 => log
                .entries
                .partition_point(|entry| self.until_expired(entry, now) == 0),
            _ => 0,
        }
    }

    /// How long until an entry is back, in nanoseconds.
    fn until_expired(&self, entry: &Entry, now: u64) -> u64 {
        if now >= entry.time {
            self.period.saturating_sub(now - entry.time)
        } else {
            self.period.saturating_add(entry.time - now)
        }
    }

    /// How long until `units` of those spent now are back; at most all of them are asked for.
    fn until_back(&self, log: &Log, units: u64, now: u64) -> Duration {
        let live = self.first_live(log, now);
        let before = log.total_before(live);
        let index = match log.entries.get(live) {
            Some(oldest) if oldest.total.wrapping_sub(before) >= units => live,
            // Expired entries hold totals below `before`; counted from the base the order is strict.
            _ => {
                let wanted = before.wrapping_sub(log.base).saturating_add(units);
                log.entries
                    .partition_point(|entry| entry.total.wrapping_sub(log.base) < wanted)
            }
        };
        let wait = log
            .entries
            .get(index)
            .map_or(0, |entry| self.until_expired(entry, now));
        from_nanos(u128::from(wait))
    }
}
