//! When a call is cut off, and why. Pure: the time is a parameter.

use std::time::Duration;

use buttress_core::time::{Instant, later};
use buttress_core::{Now, Reason, Rejection, When};

/// How long a call may take. What is `None` is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The time from the call to the head of the response, or to the error that stands in its place.
    pub to_head: Option<Duration>,
    /// The time from the call to the end of the response's body.
    pub to_body_end: Option<Duration>,
    /// The time from the call after which the answer is worthless. Unlike the other two it is passed on
    /// as a deadline, and what a request brings along may only shorten it.
    pub deadline: Option<Duration>,
}

/// An instant at which something is cut off, and what is said then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until {
    at: Instant,
    by_deadline: bool,
}

/// Until when each part of a call may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Course {
    pub(crate) head: Option<Until>,
    pub(crate) body_end: Option<Until>,
}

impl Limits {
    /// The course of a call that begins now; `asked` is the deadline that came with the request. The clock
    /// is read only if there is a limit.
    ///
    /// # Errors
    ///
    /// A rejection if the deadline has come already: nothing starts at or after it.
    pub(crate) fn begin(&self, asked: Option<Instant>, now: &Now) -> Result<Course, Rejection> {
        let after = |limit: Option<Duration>| limit.map(|limit| later(now.get(), limit));
        let deadline = earlier(asked, after(self.deadline));
        if deadline.is_some_and(|deadline| deadline <= now.get()) {
            return Err(Rejection::new(Reason::Deadline, When::Unknown));
        }
        let body_end = Until::first(after(self.to_body_end), deadline);
        let head = after(self.to_head).map(Until::timeout);
        Ok(Course {
            head: Until::sooner(head, body_end),
            body_end,
        })
    }
}

impl Course {
    /// After which instant nobody waits any more for any part of the answer.
    pub(crate) fn end(&self) -> Option<Instant> {
        self.body_end.map(|until| until.at)
    }
}

impl Until {
    const fn timeout(at: Instant) -> Self {
        Self {
            at,
            by_deadline: false,
        }
    }

    /// Of a timeout and a deadline at the same instant, the timeout is said to have been it.
    fn first(timeout: Option<Instant>, deadline: Option<Instant>) -> Option<Self> {
        let deadline = deadline.map(|at| Self {
            at,
            by_deadline: true,
        });
        Self::sooner(timeout.map(Self::timeout), deadline)
    }

    fn sooner(first: Option<Self>, second: Option<Self>) -> Option<Self> {
        match (first, second) {
            (Some(first), Some(second)) if second.at < first.at => Some(second),
            (first, second) => first.or(second),
        }
    }

    /// The instant.
    #[must_use]
    pub const fn at(&self) -> Instant {
        self.at
    }

    /// What is said of a call that was cut off then.
    #[must_use]
    pub const fn rejection(&self) -> Rejection {
        match self.by_deadline {
            true => Rejection::past_deadline(),
            false => Rejection::timed_out(),
        }
    }

    /// Whether it has come. This reads the clock.
    pub(crate) fn has_come(&self) -> bool {
        buttress_core::time::now() >= self.at
    }
}

fn earlier(first: Option<Instant>, second: Option<Instant>) -> Option<Instant> {
    match (first, second) {
        (Some(first), Some(second)) => Some(first.min(second)),
        (first, second) => first.or(second),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn begin(
        limits: Limits,
        asked: Option<i32>,
        start: Instant,
    ) -> Result<[Option<(u32, bool)>; 2], Rejection> {
        let asked = asked.map(|seconds| match u32::try_from(seconds) {
            Ok(seconds) => start + SECOND * seconds,
            Err(_) => start - SECOND,
        });
        let told = |until: Option<Until>| {
            until.map(|until| {
                let seconds = (until.at - start).as_secs();
                (
                    u32::try_from(seconds).unwrap_or(u32::MAX),
                    until.by_deadline,
                )
            })
        };
        limits
            .begin(asked, &Now::at(start))
            .map(|course| [told(course.head), told(course.body_end)])
    }

    /// Limits in seconds; 0 is none.
    fn limits(to_head: u32, to_body_end: u32, deadline: u32) -> Limits {
        let limit = |seconds| (seconds > 0).then_some(SECOND * seconds);
        Limits {
            to_head: limit(to_head),
            to_body_end: limit(to_body_end),
            deadline: limit(deadline),
        }
    }

    #[test]
    fn the_first_of_the_limits_cuts_off() {
        let start = buttress_core::time::now() + SECOND;
        let refused = Rejection::new(Reason::Deadline, When::Unknown);
        for (limits, asked, expected) in [
            (limits(0, 0, 0), None, Ok([None, None])),
            (limits(3, 0, 0), None, Ok([Some((3, false)), None])),
            (
                limits(3, 5, 0),
                None,
                Ok([Some((3, false)), Some((5, false))]),
            ),
            (
                limits(5, 3, 0),
                None,
                Ok([Some((3, false)), Some((3, false))]),
            ),
            (
                limits(3, 0, 5),
                None,
                Ok([Some((3, false)), Some((5, true))]),
            ),
            (
                limits(5, 0, 3),
                None,
                Ok([Some((3, true)), Some((3, true))]),
            ),
            (
                limits(3, 3, 3),
                None,
                Ok([Some((3, false)), Some((3, false))]),
            ),
            (
                limits(3, 0, 3),
                None,
                Ok([Some((3, false)), Some((3, true))]),
            ),
            (
                limits(0, 0, 5),
                Some(3),
                Ok([Some((3, true)), Some((3, true))]),
            ),
            (
                limits(0, 0, 3),
                Some(5),
                Ok([Some((3, true)), Some((3, true))]),
            ),
            (
                limits(0, 0, 0),
                Some(5),
                Ok([Some((5, true)), Some((5, true))]),
            ),
            (limits(9, 9, 0), Some(0), Err(refused)),
            (limits(9, 9, 9), Some(-1), Err(refused)),
        ] {
            assert_eq!(
                begin(limits, asked, start),
                expected,
                "{limits:?}, {asked:?}"
            );
        }
    }

    #[test]
    fn without_a_limit_the_clock_is_not_read() {
        let now = Now::new();
        assert!(Limits::default().begin(None, &now).is_ok());
        assert_eq!(now.known(), None);
    }

    #[test]
    fn the_longest_durations_are_a_very_long_time() {
        let limits = Limits {
            to_head: Some(Duration::MAX),
            to_body_end: Some(Duration::MAX),
            deadline: Some(Duration::MAX),
        };
        let start = buttress_core::time::now();
        let course = limits.begin(None, &Now::at(start));
        assert!(course.is_ok_and(|course| course.head.is_some_and(|until| until.at > start)));
    }
}
