//! The probes of a half-open circuit.

use crate::call::Refused;
use crate::settings::{Recovery, Settings};
use crate::window::Tally;

/// The probes of a half-open circuit. They are kept apart from the window, which ages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Probes {
    pub(crate) out: u32,
    pub(crate) good: u32,
    pub(crate) trial: Tally,
    /// When the last one was let through.
    pub(crate) last: u64,
}

impl Probes {
    /// Whether another may go now: beside those that are out, or because they are given up.
    pub(crate) fn have_place(&self, settings: &Settings, now: u64) -> Result<(), Refused> {
        if self.have_room(settings) {
            return Ok(());
        }
        let Some(timeout) = settings.probe_timeout else {
            return Err(Refused { wait: None });
        };
        let given_up = timeout.as_nanos() + u128::from(self.last);
        match given_up.checked_sub(now.into()) {
            None | Some(0) => Ok(()),
            wait => Err(Refused { wait }),
        }
    }

    /// Whether another may go beside those that are out.
    pub(crate) fn have_room(&self, settings: &Settings) -> bool {
        match settings.recovery {
            Recovery::Probes { at_once, .. } => self.out < at_once,
            Recovery::Trial { calls } => u64::from(self.out) + self.trial.calls < calls.into(),
            Recovery::Swept { .. } => true,
        }
    }
}
