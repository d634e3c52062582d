//! Other limits while a budget works.

use std::sync::Arc;

use buttress_core::Now;

use crate::budget::TokenBudget;
use crate::builder::check;
use crate::limits::{Limit, LimitsError, ScopeRules};

impl TokenBudget {
    /// The limits in force, scope by scope: the plain ones, those of every `per`, the global ones.
    #[must_use]
    pub fn limits(&self) -> Vec<Vec<Limit>> {
        self.shared
            .scopes
            .iter()
            .map(|scope| scope.limits())
            .collect()
    }

    /// Puts other limits of a scope in force for every decision from now on. What was spent stays spent, in
    /// units, of every dimension that is still limited.
    ///
    /// # Errors
    ///
    /// Limits that cannot be enforced, or a scope that there is not; then nothing changes.
    pub fn set_limits(
        &self,
        scope: usize,
        limits: impl IntoIterator<Item = Limit>,
    ) -> Result<(), LimitsError> {
        self.change_limits(|all| {
            let held = all.get_mut(scope).ok_or(LimitsError::NoSuchScope(scope))?;
            *held = limits.into_iter().collect();
            Ok(())
        })
    }

    /// As [`set_limits`](Self::set_limits), for all scopes in one step.
    ///
    /// # Errors
    ///
    /// Limits that cannot be enforced, or another number of scopes than there are; then nothing changes.
    pub fn set_all_limits(&self, limits: Vec<Vec<Limit>>) -> Result<(), LimitsError> {
        self.change_limits(|all| match all.len() == limits.len() {
            true => {
                *all = limits;
                Ok(())
            }
            false => Err(LimitsError::NoSuchScope(limits.len())),
        })
    }

    fn change_limits(
        &self,
        change: impl FnOnce(&mut Vec<Vec<Limit>>) -> Result<(), LimitsError>,
    ) -> Result<(), LimitsError> {
        let shared = &self.shared;
        let now = shared.nanos(&Now::new());
        shared.in_room(|room| {
            let held = self.limits();
            let mut all = held.clone();
            change(&mut all)?;
            let overrides = shared.scopes[0].overrides();
            check(&all, overrides.iter().map(|(_, limits)| limits))?;
            let scopes = shared.scopes.iter().enumerate();
            for ((index, scope), (limits, held)) in scopes.zip(all.iter().zip(&held)) {
                if limits == held {
                    continue;
                }
                let mut rules = ScopeRules::new(limits, &shared.civil);
                if index == 0 {
                    rules.overrides = ScopeRules::by_key(&overrides, &shared.civil);
                }
                scope.change(&Arc::new(rules), now);
            }
            room.changed(&mut &**shared, None, now);
            room.wake_all();
            Ok(())
        })?;
        shared.wake_subscribers();
        Ok(())
    }
}
