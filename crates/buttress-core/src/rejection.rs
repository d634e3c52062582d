//! Why a request was refused, and how to say so.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::key::{KeyHash, MissingKey};
use crate::outcome::Outcome;
use crate::time::Now;

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// A rate limit's quota is used up.
    RateLimit,
    /// A token budget is used up.
    TokenBudget,
    /// A circuit breaker is open, or half-open with all its probes out.
    CircuitOpen,
    /// A queue has no room.
    QueueFull,
    /// A request waited in a queue for as long as it may.
    QueueTimeout,
    /// The answer would come too late to be of use.
    Deadline,
    /// An attempt took longer than it may.
    AttemptTimeout,
    /// There is no capacity: a concurrency limit, or a policy of the user's own.
    Overloaded,
    /// The request does not have the key that the limit is kept by. This is a mistake in the stack or
    /// in the request, not a limit; the details are in [`Describe::missing_key`].
    MissingKey,
    /// The key was refused so often that it is refused for a time, whatever its quotas say; or somebody
    /// banned it by hand.
    Banned,
}

impl Reason {
    /// The name used in logs, metrics and `buttress-replay`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RateLimit => "rate_limit",
            Self::TokenBudget => "token_budget",
            Self::CircuitOpen => "circuit_open",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::Deadline => "deadline",
            Self::AttemptTimeout => "attempt_timeout",
            Self::Overloaded => "overloaded",
            Self::MissingKey => "missing_key",
            Self::Banned => "banned",
        }
    }
}

/// When it is worth asking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum When {
    /// The same request can never be admitted.
    Never,
    /// It depends on others.
    Unknown,
    /// After this long, if nothing else comes; exact, rounded up to a nanosecond.
    After(Duration),
}

/// Tells the policies of a process apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyId(NonZeroU32);

impl PolicyId {
    /// A number that no other policy of this process has (until four billion were made).
    #[must_use]
    pub fn unique() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Self(NonZeroU32::new(NEXT.fetch_add(1, Ordering::Relaxed)).unwrap_or(NonZeroU32::MIN))
    }
}

/// Which limit said no: a quota of a policy, for a key.
///
/// A queue that asks other policies holds back exactly those waiters that need the same limit, and
/// finds them by this ([`Policy::touches`](crate::Policy::touches)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LimitId {
    /// The policy.
    pub policy: PolicyId,
    /// The key of the refused request, also if the quota is kept for all keys together.
    pub key: KeyHash,
    /// Which of the policy's quotas, in the order in which they were given; [`NO_QUOTA`](Self::NO_QUOTA)
    /// if what said no is none of them.
    pub quota: u8,
}

impl LimitId {
    /// The limit is a ban, or something else of the policy that is no quota: it violates none.
    pub const NO_QUOTA: u8 = u8::MAX;
}

/// Why a request was refused, when to come back, and which limit said so.
///
/// It is small and `Copy` because it travels through every layer's future. Names and numbers are
/// looked up through [`Describe`] only when somebody renders it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    when: When,
    // The parts of a `LimitId`, kept apart so that the whole fits into 32 bytes.
    key: KeyHash,
    policy: Option<PolicyId>,
    violated: u16,
    quota: u8,
    why: Why,
}

/// Why a call was refused, or what cut it off while it ran. It fits into the byte of a [`Reason`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Refused(Reason),
    CutOffByTimeout,
    CutOffByDeadline,
}

impl Rejection {
    /// A rejection that names no limit. Nothing was sent.
    #[must_use]
    pub const fn new(reason: Reason, when: When) -> Self {
        Self {
            when,
            key: KeyHash::EVERYONE,
            policy: None,
            violated: 0,
            quota: 0,
            why: Why::Refused(reason),
        }
    }

    /// An attempt that took longer than it may, and was cut off while it ran.
    #[must_use]
    pub const fn timed_out() -> Self {
        let mut rejection = Self::new(Reason::AttemptTimeout, When::Unknown);
        rejection.why = Why::CutOffByTimeout;
        rejection
    }

    /// A call whose deadline came while it ran, and that was cut off.
    #[must_use]
    pub const fn past_deadline() -> Self {
        let mut rejection = Self::new(Reason::Deadline, When::Unknown);
        rejection.why = Why::CutOffByDeadline;
        rejection
    }

    /// Names the limit that decided.
    #[must_use]
    pub const fn by(mut self, limit: LimitId) -> Self {
        self.policy = Some(limit.policy);
        self.key = limit.key;
        self.quota = limit.quota;
        self.violated |= 1_u16.unbounded_shl(limit.quota as u32);
        self
    }

    /// Names all quotas of the policy that refuse: bit `n` stands for the `n`-th.
    #[must_use]
    pub const fn violating(mut self, quotas: u16) -> Self {
        self.violated |= quotas;
        self
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self.why {
            Why::Refused(reason) => reason,
            Why::CutOffByTimeout => Reason::AttemptTimeout,
            Why::CutOffByDeadline => Reason::Deadline,
        }
    }

    /// How the call ended for those further out: what was cut off while it ran
    /// ([`timed_out`](Self::timed_out), [`past_deadline`](Self::past_deadline)) tells of the upstream,
    /// every other rejection does not.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self.why {
            Why::Refused(_) => Outcome::Refused,
            Why::CutOffByTimeout | Why::CutOffByDeadline => Outcome::TimedOut,
        }
    }

    /// When it is worth asking again.
    #[must_use]
    pub const fn when(&self) -> When {
        self.when
    }

    /// How long to wait before asking again, if that is known.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self.when {
            When::After(duration) => Some(duration),
            When::Never | When::Unknown => None,
        }
    }

    /// The limit that decided, if the policy names one.
    #[must_use]
    pub fn limit(&self) -> Option<LimitId> {
        self.policy.map(|policy| LimitId {
            policy,
            key: self.key,
            quota: self.quota,
        })
    }

    /// Whether the `n`-th quota of the policy is one of those that refuse.
    #[must_use]
    pub const fn violates(&self, quota: u8) -> bool {
        self.violated & 1_u16.unbounded_shl(quota as u32) != 0
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("reason", &self.reason())
            .field("when", &self.when)
            .field("limit", &self.limit())
            .finish()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.reason() {
            Reason::RateLimit => "the rate limit is used up",
            Reason::TokenBudget => "the token budget is used up",
            Reason::CircuitOpen => "the circuit breaker is open",
            Reason::QueueFull => "the queue is full",
            Reason::QueueTimeout => "the request waited too long in the queue",
            Reason::Deadline => "the deadline cannot be met",
            Reason::AttemptTimeout => "the attempt took too long",
            Reason::Overloaded => "there is no capacity",
            Reason::MissingKey => "the request has no key to limit it by",
            Reason::Banned => "the key is banned for a time",
        };
        f.write_str(text)?;
        match self.when {
            When::Never if self.reason() != Reason::MissingKey => {
                f.write_str("; it can never be admitted as it is")
            }
            When::After(duration) => write!(f, "; it could be admitted in {duration:?}"),
            When::Never | When::Unknown => Ok(()),
        }
    }
}

impl std::error::Error for Rejection {}

/// Where one quota of a policy stands for one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing<'a> {
    /// Which of the policy's quotas, in the order in which they were given.
    pub quota: u8,
    /// The name of the quota.
    pub name: &'a str,
    /// How many units it holds at most.
    pub capacity: u64,
    /// In how long all of them come back.
    pub window: Duration,
    /// How many whole units are left.
    pub remaining: u64,
    /// In how long `remaining` next grows if nothing else comes; none if it is full.
    pub until_more: Option<Duration>,
}

/// What a policy knows of its limits, for whoever renders a rejection, a response field or a status.
pub trait Describe {
    /// Calls `each` for every quota that concerns `key`, in the order in which they were given.
    ///
    /// It is called outside every lock.
    fn standings(&self, key: KeyHash, now: &Now, each: &mut dyn FnMut(Standing<'_>));

    /// What a request lacks that was refused with [`Reason::MissingKey`].
    fn missing_key(&self) -> MissingKey {
        MissingKey::default()
    }
}

/// There are no limits to tell of.
impl Describe for () {
    fn standings(&self, _: KeyHash, _: &Now, _: &mut dyn FnMut(Standing<'_>)) {}
}
