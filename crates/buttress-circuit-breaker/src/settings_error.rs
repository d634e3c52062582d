//! Why settings make no sense.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::settings::Threshold;

/// The longest duration of a setting: 10^10 s.
const LONGEST: Duration = buttress_core::duration::LONGEST_SETTING;

pub(crate) fn counted(
    name: &'static str,
    count: Option<u32>,
    most: u32,
) -> Result<(), SettingsError> {
    match count {
        Some(count) if count == 0 || count > most => Err(SettingsError::new(
            name,
            format!("is {count}; give a number from 1 to {most}"),
        )),
        _ => Ok(()),
    }
}

pub(crate) fn timed(name: &'static str, time: Option<Duration>) -> Result<(), SettingsError> {
    match time {
        Some(time) if time.is_zero() || time > LONGEST => Err(SettingsError::new(
            name,
            format!(
                "is {time:?}; give a time above zero, at most {}s",
                LONGEST.as_secs()
            ),
        )),
        _ => Ok(()),
    }
}

pub(crate) fn rate(name: &'static str, threshold: Option<Threshold>) -> Result<(), SettingsError> {
    match threshold {
        // A number that is none compares false with everything.
        Some(threshold) if !(threshold.rate > 0.0 && threshold.rate <= 1.0) => {
            let problem = format!(
                "is {}; give a share above 0 and at most 1, such as 0.5",
                threshold.rate
            );
            Err(SettingsError::new(name, problem))
        }
        _ => Ok(()),
    }
}

/// Why settings make no sense: which one, what is wrong with it, and what it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    setting: &'static str,
    problem: Box<str>,
}

impl SettingsError {
    pub(crate) fn new(setting: &'static str, problem: impl Into<Box<str>>) -> Self {
        Self {
            setting,
            problem: problem.into(),
        }
    }

    /// The name of the setting, as configurations write it.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        self.setting
    }

    /// What is wrong with it, and the fix.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.setting, self.problem)
    }
}

impl Error for SettingsError {}
