//! Why a penalty is none, and what its parts must be.

use std::fmt;
use std::time::Duration;

use buttress_quota::Quota;

use crate::duration::format_duration;
use crate::penalty::Penalty;

/// Why a penalty is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PenaltyError {
    field: &'static str,
    found: String,
    fix: &'static str,
}

impl PenaltyError {
    pub(crate) const fn new(field: &'static str, found: String, fix: &'static str) -> Self {
        Self { field, found, fix }
    }
}

impl fmt::Display for PenaltyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, found, fix } = self;
        write!(f, "`{field}` of a penalty cannot be {found}; {fix}")
    }
}

impl std::error::Error for PenaltyError {}

pub(crate) fn or_panic(result: Result<Penalty, PenaltyError>) -> Penalty {
    match result {
        Ok(penalty) => penalty,
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn count(field: &'static str, refusals: u32) -> Result<u32, PenaltyError> {
    match refusals {
        0 => Err(PenaltyError::new(
            field,
            "0 refusals".into(),
            "write at least 1",
        )),
        _ => Ok(refusals),
    }
}

pub(crate) fn nanos(field: &'static str, duration: Duration) -> Result<u64, PenaltyError> {
    let longest = Quota::MAX_PERIOD.as_nanos();
    match u64::try_from(duration.as_nanos()) {
        Ok(nanos) if nanos >= 1 && u128::from(nanos) <= longest => Ok(nanos),
        _ => Err(PenaltyError::new(
            field,
            format_duration(duration),
            "write a duration longer than zero and at most 2^63 nanoseconds (292 years)",
        )),
    }
}
