//! A calendar quota for those who count nanoseconds from an epoch of their own.

use std::time::Duration;

use buttress_core::wall::CivilTime;

use crate::calendar::{Calendar, Moment, Periods, Used};
use crate::civil::Unit;
use crate::gcra::Verdict;
use crate::zone::Zone;

/// A calendar quota, and what civil time it is.
#[derive(Clone, Debug)]
pub struct ByCalendar {
    periods: Periods,
    civil: CivilTime,
}

impl ByCalendar {
    pub(crate) fn new(units: u64, unit: Unit, zone: Zone, civil: &CivilTime) -> Self {
        Self {
            periods: Periods::new(Calendar::new(units, unit, zone)),
            civil: civil.clone(),
        }
    }

    pub(crate) const fn capacity(&self) -> u64 {
        self.periods.calendar().capacity()
    }

    pub(crate) fn check(&self, used: Used, cost: u64, now: u64) -> Verdict {
        self.periods.calendar().check(used, cost, self.moment(now))
    }

    pub(crate) fn spend(&self, used: Used, cost: u64, now: u64) -> Used {
        self.periods.calendar().spend(used, cost, self.moment(now))
    }

    pub(crate) fn refund(&self, used: Used, cost: u64, spent_at: Option<u64>, now: u64) -> Used {
        let (calendar, at) = (self.periods.calendar(), self.moment(now));
        match spent_at {
            Some(spent_at) => calendar.refund_at(used, cost, self.civil.at(spent_at), at),
            None => calendar.refund(used, cost, at),
        }
    }

    pub(crate) fn spent(&self, used: Used, now: u64) -> u64 {
        self.periods.calendar().spent(used, self.moment(now))
    }

    pub(crate) fn remaining(&self, used: Used, now: u64) -> u64 {
        self.periods.calendar().remaining(used, self.moment(now))
    }

    pub(crate) fn overdrawn(&self, used: Used, now: u64) -> u64 {
        self.periods.calendar().overdrawn(used, self.moment(now))
    }

    pub(crate) fn until_more(&self, used: Used, now: u64) -> Option<Duration> {
        self.periods.calendar().until_more(used, self.moment(now))
    }

    pub(crate) fn debt(&self, used: Used, now: u64) -> u64 {
        self.periods.calendar().debt(used, self.moment(now))
    }

    pub(crate) fn is_idle(&self, used: Used, now: u64) -> bool {
        self.periods.calendar().is_idle(used, self.moment(now))
    }

    pub(crate) fn owing(&self, units: u64, now: u64) -> Used {
        self.periods.calendar().owing(units, self.moment(now))
    }

    pub(crate) fn convert(&self, from: &Self, used: Used, now: u64) -> Used {
        let (calendar, old) = (self.periods.calendar(), from.periods.calendar());
        calendar.convert(old, used, from.moment(now), self.moment(now))
    }

    pub(crate) fn by_clock(&self, used: Used, now: u64) -> Used {
        let calendar = self.periods.calendar();
        calendar.by_clock(used, self.moment(now))
    }

    #[inline]
    fn moment(&self, now: u64) -> Moment {
        self.periods.moment(self.civil.at(now))
    }
}
