//! How often, how long, and for how long.

use std::time::Duration;

use crate::backoff::{Backoff, LONGEST};
use crate::setting::SettingError;

/// How often a call is attempted and how long it may take: a value that cannot be wrong once it exists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    pub(crate) attempts: u32,
    pub(crate) backoff: Backoff,
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) max_retry_after: Duration,
    pub(crate) hints_restart: bool,
    pub(crate) repeats_refused: bool,
}

impl Default for RetryPolicy {
    /// Three attempts, the default [`Backoff`], hints of up to a minute, no limits of time.
    fn default() -> Self {
        Self {
            attempts: 3,
            backoff: Backoff::default(),
            attempt_timeout: None,
            deadline: None,
            max_retry_after: Duration::from_secs(60),
            hints_restart: false,
            repeats_refused: false,
        }
    }
}

impl RetryPolicy {
    /// How many attempts there are at most, the first included.
    ///
    /// # Errors
    ///
    /// If there are none.
    pub fn with_attempts(self, attempts: u32) -> Result<Self, SettingError> {
        match attempts {
            0 => Err(SettingError::new(
                "attempts",
                attempts,
                "at least 1, the first attempt included",
            )),
            _ => Ok(Self { attempts, ..self }),
        }
    }

    /// How long attempts wait for each other.
    #[must_use]
    pub const fn with_backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// How long one attempt may take, from its entry into the inner service to the head of the response.
    ///
    /// # Errors
    ///
    /// If it is zero or above 10^10 s.
    pub fn with_attempt_timeout(self, timeout: Duration) -> Result<Self, SettingError> {
        Ok(Self {
            attempt_timeout: Some(some_time("attempt_timeout", timeout)?),
            ..self
        })
    }

    /// How long a call may take in all, from its arrival to the head of the response.
    ///
    /// # Errors
    ///
    /// If it is zero or above 10^10 s.
    pub fn with_deadline(self, deadline: Duration) -> Result<Self, SettingError> {
        Ok(Self {
            deadline: Some(some_time("deadline", deadline)?),
            ..self
        })
    }

    /// Up to how long to wait because the upstream said so. If it said more, there is no retry.
    ///
    /// # Errors
    ///
    /// If it is above 10^10 s.
    pub fn with_max_retry_after(self, max: Duration) -> Result<Self, SettingError> {
        match max > LONGEST {
            true => Err(SettingError::new(
                "max_retry_after",
                max,
                "at most 10000000000s",
            )),
            false => Ok(Self {
                max_retry_after: max,
                ..self
            }),
        }
    }

    /// How many attempts there are at most, the first included.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How long attempts wait for each other.
    #[must_use]
    pub const fn backoff(&self) -> Backoff {
        self.backoff
    }

    /// How long one attempt may take.
    #[must_use]
    pub const fn attempt_timeout(&self) -> Option<Duration> {
        self.attempt_timeout
    }

    /// How long a call may take in all.
    #[must_use]
    pub const fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Up to how long to wait because the upstream said so.
    #[must_use]
    pub const fn max_retry_after(&self) -> Duration {
        self.max_retry_after
    }
}

pub(crate) fn some_time(field: &'static str, duration: Duration) -> Result<Duration, SettingError> {
    match duration.is_zero() || duration > LONGEST {
        true => Err(SettingError::new(
            field,
            duration,
            "a duration above zero and at most 10000000000s",
        )),
        false => Ok(duration),
    }
}
