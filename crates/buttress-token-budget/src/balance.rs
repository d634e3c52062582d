//! What one key has reserved and used, in every dimension that its scope limits.
//!
//! Pure: no lock, no clock. A reservation is checked in all dimensions before it is spent in any; what a call
//! really used replaces it when the call ends. Less than reserved goes back to the moment of the reservation,
//! so that no later window gains by it; more is charged at the moment of settling, also below zero, and
//! nothing is admitted until that is repaid.

use buttress_quota::algorithm::{Account, Refusal, When};

use crate::dimension::Amounts;
use crate::limits::{DimensionRules, ScopeRules};

/// Why a scope does not admit a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) when: When,
    /// The number of the quota with the longest wait.
    pub(crate) quota: u8,
    /// All quotas that refuse, a bit each.
    pub(crate) violated: u16,
}

/// What one key has spent in one scope. The default is a key that never spent anything, and holds no memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Balance {
    /// One for each dimension of the scope's rules.
    pub(crate) accounts: Box<[Account]>,
    /// For every quota and threshold the instant until which it is not told of again.
    pub(crate) quiet: Box<[u64]>,
}

impl Balance {
    /// Whether all quotas admit the reservation, and nothing is below zero. Spends nothing.
    pub(crate) fn check(
        &self,
        rules: &ScopeRules,
        amounts: &Amounts,
        now: u64,
    ) -> Result<(), Refused> {
        let mut decisive: Option<Refused> = None;
        for (index, part) in rules.by_dimension.iter().enumerate() {
            let units = amounts.get(part.dimension);
            let Err(refusal) = self.check_one(index, part, units, now) else {
                continue;
            };
            let violated = self.violated(index, part, units, now)
                | decisive.map_or(0, |refused| refused.violated);
            let refused = match decisive {
                Some(held) if held.when >= refusal.when => held,
                _ => Refused {
                    when: refusal.when,
                    quota: u8::try_from(part.first + refusal.quota).unwrap_or(u8::MAX),
                    violated,
                },
            };
            decisive = Some(Refused {
                violated,
                ..refused
            });
        }
        decisive.map_or(Ok(()), Err)
    }

    /// Of all quotas that refuse, by number, when each of them would admit.
    pub(crate) fn refusals(
        &self,
        rules: &ScopeRules,
        amounts: &Amounts,
        now: u64,
        each: &mut impl FnMut(usize, When),
    ) {
        let fresh = Account::default();
        for (index, part) in rules.by_dimension.iter().enumerate() {
            let account = self.accounts.get(index).unwrap_or(&fresh);
            let mut tell = |refusal: Refusal| each(part.first + refusal.quota, refusal.when);
            match amounts.get(part.dimension) {
                0 => account.unrepaid(&part.rules, now).for_each(&mut tell),
                units => account
                    .refusals(&part.rules, units, now)
                    .for_each(&mut tell),
            }
        }
    }

    #[inline]
    fn check_one(
        &self,
        index: usize,
        part: &DimensionRules,
        units: u64,
        now: u64,
    ) -> Result<(), Refusal> {
        match self.accounts.get(index) {
            Some(account) if units == 0 => account.check_repaid(&part.rules, now),
            Some(account) => account.check(&part.rules, units, now),
            None if units == 0 => Ok(()),
            None => Account::default().check(&part.rules, units, now),
        }
    }

    fn violated(&self, index: usize, part: &DimensionRules, units: u64, now: u64) -> u16 {
        let fresh = Account::default();
        let account = self.accounts.get(index).unwrap_or(&fresh);
        let bit = |quota: usize| {
            let number = u32::try_from(part.first + quota).unwrap_or(u32::MAX);
            1_u16.unbounded_shl(number)
        };
        if units == 0 {
            let below = account.overdrawn(&part.rules, now).enumerate();
            return below
                .filter(|(_, units)| *units > 0)
                .fold(0, |mask, (quota, _)| mask | bit(quota));
        }
        let quotas = account.violated(&part.rules, units, now);
        quotas.fold(0, |mask, quota| mask | bit(quota))
    }

    /// Spends the reservation, whether it fits or not.
    #[inline]
    pub(crate) fn spend(&mut self, rules: &ScopeRules, amounts: &Amounts, now: u64) {
        for (account, part) in self.accounts(rules).iter_mut().zip(&rules.by_dimension) {
            account.spend(&part.rules, amounts.get(part.dimension), now);
        }
    }

    /// Puts what was used in the place of what was reserved at `at`.
    #[inline]
    pub(crate) fn settle(
        &mut self,
        rules: &ScopeRules,
        reserved: &Amounts,
        used: &Amounts,
        at: u64,
        now: u64,
    ) {
        for (account, part) in self.accounts(rules).iter_mut().zip(&rules.by_dimension) {
            let (reserved, used) = (reserved.get(part.dimension), used.get(part.dimension));
            if used < reserved {
                account.refund_at(&part.rules, reserved - used, at, now);
            } else if used > reserved {
                account.spend(&part.rules, used - reserved, now);
            }
        }
    }

    /// When the reservation fits if nothing else happens; now if it never does.
    pub(crate) fn earliest(&self, rules: &ScopeRules, amounts: &Amounts, now: u64) -> u64 {
        match self.check(rules, amounts, now) {
            Err(Refused {
                when: When::After(wait),
                ..
            }) => now.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)),
            _ => now,
        }
    }

    /// Whether nothing is spent: the balance is then as good as the default.
    pub(crate) fn is_idle(&self, rules: &ScopeRules, now: u64) -> bool {
        let mut parts = self.accounts.iter().zip(&rules.by_dimension);
        parts.all(|(account, part)| account.is_idle(&part.rules, now))
    }

    /// How long until it is idle, in nanoseconds: what forgetting its key would forgive.
    pub(crate) fn debt(&self, rules: &ScopeRules, now: u64) -> u64 {
        let parts = self.accounts.iter().zip(&rules.by_dimension);
        let debts = parts.map(|(account, part)| account.debt(&part.rules, now));
        debts.max().unwrap_or(0)
    }

    /// Takes the balance along to other limits. What was spent stays spent, in units, where the dimension is
    /// still limited.
    pub(crate) fn convert(&mut self, old: &ScopeRules, new: &ScopeRules, now: u64) {
        self.quiet = Box::default();
        if self.accounts.is_empty() {
            return;
        }
        let mut held = std::mem::take(&mut self.accounts).into_vec();
        let convert = |part: &DimensionRules| {
            let before = old.by_dimension.iter();
            let index = before
                .clone()
                .position(|old| old.dimension == part.dimension);
            let Some((account, old)) = index.and_then(|index| {
                Some((
                    std::mem::take(held.get_mut(index)?),
                    before.as_slice().get(index)?,
                ))
            }) else {
                return Account::default();
            };
            let mut account = account;
            account.convert(&old.rules, &part.rules, now);
            account
        };
        self.accounts = new.by_dimension.iter().map(convert).collect();
    }

    fn accounts(&mut self, rules: &ScopeRules) -> &mut [Account] {
        if self.accounts.len() != rules.by_dimension.len() {
            self.accounts = rules
                .by_dimension
                .iter()
                .map(|_| Account::default())
                .collect();
        }
        &mut self.accounts
    }
}
