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
    /// Whether one more may go now.
    pub(crate) fn has_place(&self, settings: &Settings, now: u64) -> Result<(), Refused> {
        let refused = match self.has_room(settings) {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        let Some(timeout) = settings.probe_timeout else {
            return Err(refused);
        };
        let given_up = timeout.as_nanos() + u128::from(self.last);
        match given_up.checked_sub(now.into()) {
            None | Some(0) => Ok(()),
            wait => Err(Refused { wait }),
        }
    }

    pub(crate) fn has_room(&self, settings: &Settings) -> Result<(), Refused> {
        let has_room = match settings.recovery {
            Recovery::Probes { at_once, .. } => self.out < at_once,
            Recovery::Trial { calls } => u64::from(self.out) + self.trial.calls < calls.into(),
            Recovery::Swept { .. } => true,
        };
        if has_room {
            Ok(())
        } else {
            Err(Refused { wait: None })
        }
    }
}
