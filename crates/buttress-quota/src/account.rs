//! Several quotas as one decision.
//!
//! [`Rules`] are quotas made ready for arithmetic, shared by all keys; an [`Account`] is what one key has spent
//! under them. A cost is admitted by all quotas or spends nothing at all. Because asking
//! ([`check`](Account::check)) and spending ([`spend`](Account::spend)) are two calls, two accounts, such as a
//! key's and the one for all keys, can be one decision too: ask both, then spend on both.
//!
//! An account belongs to the rules that it was last spent under; when they change,
//! [`convert`](Account::convert) takes it along. With other rules nothing panics, but what was spent under a
//! quota of another kind is not seen.

use crate::gcra::Tat;
use crate::rule::{Rule, State, View};
use crate::rules::{Rules, Standing, When};

/// Why a cost is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When all quotas will admit it.
    pub when: When,
    /// The quota that decides it: the one with the longest wait, of equals the first.
    pub quota: usize,
}

/// What one key has spent. The default is a key that never spent anything.
#[derive(Clone, Debug, Default)]
pub struct Account(Held);

#[derive(Clone, Debug, Default)]
enum Held {
    #[default]
    Nothing,
    /// One paced quota, which is the usual case and needs no memory of its own.
    Paced(Tat),
    Several(Box<[State]>),
}

// === impl Account ===

impl Account {
    /// The account of one paced quota.
    #[doc(hidden)]
    #[must_use]
    pub const fn paced(tat: Tat) -> Self {
        Self(Held::Paced(tat))
    }

    /// Whether all quotas admit `cost`. Spends nothing.
    ///
    /// A cost of 0 is always admitted.
    ///
    /// # Errors
    ///
    /// When one does not: the quota with the longest wait, and that wait.
    #[inline]
    pub fn check(&self, rules: &Rules, cost: u64, now: u64) -> Result<(), Refusal> {
        match &rules.only {
            Some(pace) => match When::of(pace.check(self.tat(), cost, now)) {
                Ok(_) => Ok(()),
                Err(when) => Err(Refusal { when, quota: 0 }),
            },
            None => self.check_all(rules, cost, now),
        }
    }

    /// Spends `cost` under all quotas if all admit it, else under none.
    ///
    /// # Errors
    ///
    /// As [`check`](Account::check).
    #[inline]
    pub fn admit(&mut self, rules: &Rules, cost: u64, now: u64) -> Result<(), Refusal> {
        match &rules.only {
            Some(pace) => match When::of(pace.check(self.tat(), cost, now)) {
                Ok(tat) => {
                    self.0 = Held::Paced(tat);
                    Ok(())
                }
                Err(when) => Err(Refusal { when, quota: 0 }),
            },
            None => {
                if let Err(refusal) = self.check_all(rules, cost, now) {
                    self.keep_to_clock(rules, now);
                    return Err(refusal);
                }
                self.spend_all(rules, cost, now);
                Ok(())
            }
        }
    }

    /// Whether nothing is below zero, under any quota: what was spent unasked
    /// ([`spend`](Account::spend)) has come back.
    ///
    /// Every cost above 0 that [`check`](Account::check) admits passes here too; a cost of 0 may not.
    ///
    /// # Errors
    ///
    /// When all is repaid, and the quota for which that takes longest.
    #[inline]
    pub fn check_repaid(&self, rules: &Rules, now: u64) -> Result<(), Refusal> {
        if let Some(pace) = &rules.only {
            return match pace.until_repaid(self.tat(), now) {
                None => Ok(()),
                Some(wait) => Err(Refusal {
                    when: When::After(wait),
                    quota: 0,
                }),
            };
        }
        latest_of(
            self.views(rules)
                .map(|(rule, view)| rule.until_repaid(view, now)),
        )
    }

    /// The units below zero, of every quota in order.
    pub fn overdrawn<'a>(&'a self, rules: &'a Rules, now: u64) -> impl Iterator<Item = u64> + 'a {
        self.views(rules)
            .map(move |(rule, view)| rule.overdrawn(view, now))
    }

    /// What refuses is written anew by the clock that is now: a count of a period far ahead, from a clock that
    /// was badly wrong, would else refuse in every period until then.
    pub fn keep_to_clock(&mut self, rules: &Rules, now: u64) {
        if let Held::Several(states) = &mut self.0 {
            for (rule, state) in rules.rules.iter().zip(states) {
                rule.by_clock(state, now);
            }
        }
    }

    /// Spends `cost` under all quotas, whether they admit it or not.
    ///
    /// The second half of a decision over two accounts: under the same lock and with the same `now` as the
    /// [`check`](Account::check) it spends what was admitted. What was not becomes debt.
    #[inline]
    pub fn spend(&mut self, rules: &Rules, cost: u64, now: u64) {
        match &rules.only {
            Some(pace) => self.0 = Held::Paced(pace.spend(self.tat(), cost, now)),
            None => self.spend_all(rules, cost, now),
        }
    }

    /// The indices of all quotas that refuse `cost` now, in order.
    pub fn violated<'a>(
        &'a self,
        rules: &'a Rules,
        cost: u64,
        now: u64,
    ) -> impl Iterator<Item = usize> + 'a {
        self.refusals(rules, cost, now).map(|refusal| refusal.quota)
    }

    /// Of all quotas that refuse `cost` now, in order, when each of them would admit it.
    pub fn refusals<'a>(
        &'a self,
        rules: &'a Rules,
        cost: u64,
        now: u64,
    ) -> impl Iterator<Item = Refusal> + 'a {
        let views = self.views(rules).enumerate();
        views.filter_map(move |(quota, (rule, view))| {
            let when = rule.refusal(view, cost, now)?;
            Some(Refusal { when, quota })
        })
    }

    /// Of all quotas that are below zero, in order, when each of them is repaid.
    pub fn unrepaid<'a>(
        &'a self,
        rules: &'a Rules,
        now: u64,
    ) -> impl Iterator<Item = Refusal> + 'a {
        let views = self.views(rules).enumerate();
        views.filter_map(move |(quota, (rule, view))| {
            let when = rule.until_repaid(view, now)?;
            Some(Refusal { when, quota })
        })
    }

    /// How every quota stands, in order.
    pub fn standings<'a>(
        &'a self,
        rules: &'a Rules,
        now: u64,
    ) -> impl Iterator<Item = Standing> + 'a {
        self.views(rules)
            .enumerate()
            .map(move |(index, (rule, view))| rule.standing(index, view, now))
    }

    /// How the quota with the fewest whole units left stands, of equals the first; `None` without quotas.
    #[must_use]
    pub fn scarcest(&self, rules: &Rules, now: u64) -> Option<Standing> {
        let remaining = |(_, (rule, view)): &(usize, (&Rule, View<'_>))| rule.remaining(*view, now);
        let (index, (rule, view)) = self.views(rules).enumerate().min_by_key(remaining)?;
        Some(rule.standing(index, view, now))
    }

    /// The first instant at which `cost` fits if nothing else is spent; `None` if never.
    ///
    /// At that instant [`check`](Account::check) admits it, and not a nanosecond before. An instant beyond
    /// the end of `u64` is `u64::MAX`.
    #[must_use]
    pub fn earliest(&self, rules: &Rules, cost: u64, now: u64) -> Option<u64> {
        match self.check(rules, cost, now) {
            Ok(()) => Some(now),
            Err(Refusal {
                when: When::After(wait),
                ..
            }) => Some(
                u64::try_from(wait.as_nanos()).map_or(u64::MAX, |wait| now.saturating_add(wait)),
            ),
            Err(Refusal {
                when: When::Never, ..
            }) => None,
        }
    }

    /// Gives `cost` back under all quotas, never above a capacity.
    ///
    /// A paced quota has it at once; a rolling log loses what was spent last. What was not spent last is
    /// better given back with [`refund_at`](Account::refund_at).
    pub fn refund(&mut self, rules: &Rules, cost: u64, now: u64) {
        self.refund_all(rules, cost, None, now);
    }

    /// Gives back `cost` that was spent at the instant `spent_at`, never above a capacity.
    ///
    /// A paced quota has it at once; a rolling log loses it at that instant, and nothing if that has left the
    /// window.
    pub fn refund_at(&mut self, rules: &Rules, cost: u64, spent_at: u64, now: u64) {
        self.refund_all(rules, cost, Some(spent_at), now);
    }

    /// Takes the account along to other rules. What was spent stays spent, in units.
    ///
    /// A quota takes over from an equal one, else from one of the same kind and period, else from the next
    /// that is left, in order; one without a predecessor starts fresh. Between kinds, what is spent counts
    /// as spent now, rounded up to a unit.
    pub fn convert(&mut self, old: &Rules, new: &Rules, now: u64) {
        if let (Some(from), Some(to)) = (&old.only, &new.only) {
            if let Held::Paced(tat) = self.0 {
                self.0 = Held::Paced(to.convert(from, tat, now));
            }
            return;
        }
        if self.is_idle(old, now) {
            self.0 = Held::Nothing;
            return;
        }
        let mut states: Vec<Option<State>> = match std::mem::take(&mut self.0) {
            Held::Nothing => Vec::new(),
            Held::Paced(tat) => vec![Some(State::Paced(tat))],
            Held::Several(states) => states.into_iter().map(Some).collect(),
        };
        let converted = new
            .rules
            .iter()
            .zip(new.predecessors(old))
            .map(|(rule, predecessor)| {
                let taken = predecessor.and_then(|index| {
                    Some((old.rules.get(index)?, states.get_mut(index)?.take()?))
                });
                match taken {
                    Some((old, state)) => rule.convert(old, state, now),
                    None => rule.fresh(),
                }
            });
        let converted: Box<[State]> = converted.collect();
        *self = Self::of(new, converted);
    }

    /// The account of a state per rule.
    #[doc(hidden)]
    #[must_use]
    pub fn of(rules: &Rules, states: Box<[State]>) -> Self {
        Self(match (&rules.only, &*states) {
            (Some(_), [State::Paced(tat)]) => Held::Paced(*tat),
            _ => Held::Several(states),
        })
    }

    /// Whether nothing is spent under any quota: the account is then as good as the default.
    #[inline]
    #[must_use]
    pub fn is_idle(&self, rules: &Rules, now: u64) -> bool {
        match &rules.only {
            Some(pace) => pace.is_idle(self.tat(), now),
            None => self
                .views(rules)
                .all(|(rule, view)| rule.is_idle(view, now)),
        }
    }

    /// How long until the account is idle, in nanoseconds: what forgetting its key would forgive.
    #[must_use]
    pub fn debt(&self, rules: &Rules, now: u64) -> u64 {
        self.views(rules)
            .map(|(rule, view)| rule.debt(view, now))
            .max()
            .unwrap_or(0)
    }

    // Apart, so that the usual case of one paced quota stays small enough to be inlined.
    #[inline(never)]
    fn check_all(&self, rules: &Rules, cost: u64, now: u64) -> Result<(), Refusal> {
        latest_of(
            self.views(rules)
                .map(|(rule, view)| rule.refusal(view, cost, now)),
        )
    }

    #[inline(never)]
    fn spend_all(&mut self, rules: &Rules, cost: u64, now: u64) {
        if cost == 0 || rules.is_empty() {
            return;
        }
        let states = self.states(rules);
        for (rule, state) in rules.rules.iter().zip(states) {
            rule.spend(state, cost, now);
        }
    }

    fn refund_all(&mut self, rules: &Rules, cost: u64, spent_at: Option<u64>, now: u64) {
        match (&rules.only, &mut self.0) {
            (_, Held::Nothing) => {}
            (Some(pace), held) => {
                if let Held::Paced(tat) = held {
                    *tat = pace.refund(*tat, cost, now);
                }
            }
            (None, Held::Paced(_)) => {}
            (None, Held::Several(states)) => {
                for (rule, state) in rules.rules.iter().zip(states) {
                    rule.refund(state, cost, spent_at, now);
                }
            }
        }
    }

    /// The theoretical arrival time under one paced quota.
    #[doc(hidden)]
    #[inline]
    #[must_use]
    pub fn tat(&self) -> Tat {
        match self.0 {
            Held::Paced(tat) => tat,
            _ => Tat::FRESH,
        }
    }

    /// Every rule with what is spent under it.
    fn views<'a>(&'a self, rules: &'a Rules) -> impl Iterator<Item = (&'a Rule, View<'a>)> {
        rules
            .rules
            .iter()
            .enumerate()
            .map(|(index, rule)| (rule, self.view(index)))
    }

    /// What is spent under the quota at `index`.
    #[doc(hidden)]
    #[must_use]
    pub fn view(&self, index: usize) -> View<'_> {
        match &self.0 {
            Held::Nothing => View::Nothing,
            Held::Paced(tat) => View::Paced(*tat),
            Held::Several(states) => states.get(index).map_or(View::Nothing, State::view),
        }
    }

    /// One state per rule, made if there were none.
    fn states(&mut self, rules: &Rules) -> &mut [State] {
        let fits = matches!(&self.0, Held::Several(states) if states.len() == rules.len());
        if !fits {
            self.0 = Held::Several(rules.rules.iter().map(Rule::fresh).collect());
        }
        match &mut self.0 {
            Held::Several(states) => states,
            _ => &mut [],
        }
    }
}

/// The refusal with the longest wait, of equals the first.
fn latest_of(refusals: impl Iterator<Item = Option<When>>) -> Result<(), Refusal> {
    let mut decisive: Option<Refusal> = None;
    for (quota, when) in refusals.enumerate() {
        if let Some(when) = when
            && decisive.is_none_or(|refusal| when > refusal.when)
        {
            decisive = Some(Refusal { when, quota });
        }
    }
    decisive.map_or(Ok(()), Err)
}
