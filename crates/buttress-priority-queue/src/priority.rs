//! How urgent a request is.

use std::fmt;
use std::sync::Arc;

/// How many levels of urgency a queue can have.
pub const MAX_LEVELS: u8 = 64;

/// The usual priorities. The greater one is the more urgent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// What can wait: batches, backfills.
    Low,
    /// What nothing was said about.
    #[default]
    Medium,
    /// What somebody waits for.
    High,
    /// What everything else depends on: health checks, payments.
    Critical,
}

impl Priority {
    /// All of them, the least urgent first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name that configurations and fields write.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The priority of that name, in any case of letters.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|priority| priority.as_str().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that says how urgent a request is: a [`Priority`], or the number of a level.
pub trait Urgency {
    /// The level, from 0. The greater one is the more urgent; one above the queue's highest is the highest.
    fn level(&self) -> u8;
}

impl Urgency for Priority {
    #[inline]
    fn level(&self) -> u8 {
        match self {
            Self::Low => 0,
            Self::Medium => 1,
            Self::High => 2,
            Self::Critical => 3,
        }
    }
}

impl Urgency for u8 {
    #[inline]
    fn level(&self) -> u8 {
        *self
    }
}

/// Reads from a request how urgent it is.
///
/// A closure that returns a [`Priority`] or a number is one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell how urgent a `{Req}` is",
    note = "use a closure whose argument is annotated: `|request: &Request| request.priority`, and returns a `Priority` or a `u8`",
    note = "for another type that is `Ord` say `by_order([..], |request: &Request| request.tier)`"
)]
pub trait PriorityOf<Req> {
    /// The level, from 0.
    fn level_of(&self, request: &Req) -> u8;
}

impl<Req, F, P> PriorityOf<Req> for F
where
    F: Fn(&Req) -> P,
    P: Urgency,
{
    #[inline]
    fn level_of(&self, request: &Req) -> u8 {
        self(request).level()
    }
}

/// Values of any ordered type as levels: the greater one is the more urgent. A value between two that were
/// given has the lower one's level.
#[derive(Clone, Debug)]
pub struct InOrder<P, F> {
    values: Arc<[P]>,
    read: F,
}

impl<P: Ord, F> InOrder<P, F> {
    pub(crate) fn new(values: impl IntoIterator<Item = P>, read: F) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort();
        values.dedup();
        Self {
            values: values.into(),
            read,
        }
    }

    pub(crate) fn levels(&self) -> usize {
        self.values.len()
    }
}

impl<Req, P: Ord, F: Fn(&Req) -> P> PriorityOf<Req> for InOrder<P, F> {
    fn level_of(&self, request: &Req) -> u8 {
        let value = (self.read)(request);
        let above = self.values.partition_point(|known| *known <= value);
        u8::try_from(above.saturating_sub(1)).unwrap_or(u8::MAX)
    }
}
