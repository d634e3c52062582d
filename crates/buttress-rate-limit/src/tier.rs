//! Tiers, for those who name them: which tier a request is in, and a handle to each.

use std::fmt;
use std::hash::Hash;

use buttress_core::{KeyHash, Now, Policy, Rejection};

use crate::ask::{RateAsk, RateDemand};
use crate::layer::RateLimitLayer;
use crate::limiter::RateLimiter;
use crate::limits::LimitsError;
use crate::live::QuotaStanding;
use crate::tiers::in_no_tier;
use buttress_quota::Quota;

/// Reads from a request in which tier its key is, by the tier's name.
///
/// A closure is one; for HTTP requests of any body type `buttress_http::by_head(|head| ..)` is too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell the tier of a `{Req}`",
    note = "use a closure whose argument is annotated and that returns an owned `Option` of a name: `|call: &Call| call.is_paid.then_some(\"paid\")`",
    note = "for HTTP requests of any body type use `buttress_http::by_head(|head| ..)`"
)]
pub trait QuotaFor<Req> {
    /// A tier's name: a `&'static str`, a `String`, an `Arc<str>`.
    type Name: AsRef<str>;

    /// The tier, or none for the quotas that are in no tier.
    fn tier(&self, request: &Req) -> Option<Self::Name>;
}

impl<Req, F, N> QuotaFor<Req> for F
where
    F: Fn(&Req) -> Option<N>,
    N: AsRef<str>,
{
    type Name = N;

    fn tier(&self, request: &Req) -> Option<N> {
        self(request)
    }
}

#[cfg(feature = "http")]
impl<B, F, N> QuotaFor<http::Request<B>> for buttress_http::ByHead<F>
where
    F: Fn(buttress_http::RequestHead<'_>) -> Option<N>,
    N: AsRef<str>,
{
    type Name = N;

    fn tier(&self, request: &http::Request<B>) -> Option<N> {
        self.read(request)
    }
}

/// Puts the key of a request into its tier: what [`quota_for`](RateLimitLayer::quota_for) leaves in a layer.
pub trait PutInTier<Req> {
    /// The key's hash in its tier, for one in none.
    fn put_in_tier(&self, request: &Req, key: KeyHash) -> KeyHash;
}

/// There are no tiers.
impl<Req> PutInTier<Req> for () {
    #[inline]
    fn put_in_tier(&self, _: &Req, key: KeyHash) -> KeyHash {
        key
    }
}

/// Puts keys into the tiers of a limiter as a function says.
#[derive(Clone)]
pub struct ByTier<F> {
    function: F,
    limiter: RateLimiter,
}

/// A [`RateAsk`] that puts keys into tiers.
pub type TieredAsk<K, C, X, D, F> = RateAsk<K, C, X, D, ByTier<F>>;

impl<Req, F: QuotaFor<Req>> PutInTier<Req> for ByTier<F> {
    fn put_in_tier(&self, request: &Req, key: KeyHash) -> KeyHash {
        let Some(name) = self.function.tier(request) else {
            return key;
        };
        let tiers = &self.limiter.shared.tiers;
        tiers.hash_in(name.as_ref(), key).unwrap_or_else(|| {
            tiers.note_unknown(name.as_ref());
            key
        })
    }
}

// A closure has no `Debug`, and need not be asked for one.
impl<F> fmt::Debug for ByTier<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByTier").finish_non_exhaustive()
    }
}

impl<Q, A, C, R> RateLimitLayer<Q, A, C, R> {
    /// Adds a tier: quotas under a name, which the keys have instead of the others that
    /// [`quota_for`](RateLimitLayer::quota_for) puts into it.
    ///
    /// What is kept for all keys ([`global`](Self::global)) holds for the keys of all tiers together, and
    /// quotas of a single key win over its tier. Every tier keeps accounts of its own: a key that changes its
    /// tier starts fresh in the other, and a tier takes the memory of a table of its own
    /// ([`RateLimiterBuilder::keys`](crate::RateLimiterBuilder::keys)) when its first key comes.
    ///
    /// # Panics
    ///
    /// If the name is empty, longer than 64 characters or not printable ASCII, there is no quota, more than
    /// sixteen concern one request, or the limiter has had 63 tiers already.
    #[must_use]
    pub fn tier(self, name: &str, quotas: impl IntoIterator<Item = Quota>) -> Self {
        let quotas: Vec<_> = quotas.into_iter().collect();
        self.change(|limits| {
            limits.tiers.insert(name.to_owned(), quotas);
        })
    }
}

impl<K, U, X, D, T, A, C, R> RateLimitLayer<RateAsk<K, U, X, D, T>, A, C, R> {
    /// Which tier a request's key is in: a closure that names it, `None` for the quotas that are in no tier.
    ///
    /// ```
    /// use buttress_rate_limit::{Quota, RateLimitLayer};
    ///
    /// # #[derive(Clone)]
    /// struct Call {
    ///     tenant: u32,
    ///     paid: bool,
    /// }
    ///
    /// let layer = RateLimitLayer::new(Quota::per_minute(5))
    ///     .tier("paid", [Quota::per_minute(100), Quota::per_day(10_000)])
    ///     .by(|call: &Call| Some(call.tenant))
    ///     .quota_for(|call: &Call| call.paid.then_some("paid"));
    /// # let _ = layer;
    /// ```
    ///
    /// Over HTTP it reads like the key:
    /// `.by(ApiKey::header("x-api-key")).quota_for(by_head(|head| plan_of(head.headers)))`.
    ///
    /// A name that no tier has gives the quotas that are in no tier; it is counted, and
    /// [`RateLimiter::unknown_tier`] tells it. What decides who gets more must not be the caller's own word:
    /// look the key up, and do not read the tier from a header of his.
    #[must_use]
    pub fn quota_for<F>(self, function: F) -> RateLimitLayer<TieredAsk<K, U, X, D, F>, A, C, R> {
        let limiter = self.limiter.clone();
        self.asking(|ask| ask.with_tier(ByTier { function, limiter }))
    }
}

/// One tier of a [`RateLimiter`]: as the limiter, for the keys that are in it. [`RateLimiter::tier`] gives it.
///
/// ```
/// use buttress_rate_limit::{Quota, RateLimiter};
///
/// let limiter = RateLimiter::builder()
///     .quota(Quota::per_minute(1))
///     .tier("pro", [Quota::per_minute(100)])
///     .build()?;
/// let pro = limiter.tier("pro")?;
/// assert!(pro.check("alice", 60).is_ok());
/// assert_eq!(pro.peek("alice")[0].remaining, 40);
/// assert_eq!(limiter.peek("alice")[0].remaining, 1, "in no tier");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Tier {
    limiter: RateLimiter,
    name: Box<str>,
    /// The hash of everyone in this tier.
    bits: KeyHash,
}

impl Tier {
    /// The tier's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hash that the limiter keeps a key by that is in this tier.
    pub fn hash(&self, key: impl Hash) -> KeyHash {
        let key = self.limiter.hash(key);
        KeyHash::from_number(key.get() | self.bits.get())
    }

    /// As [`RateLimiter::check`].
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::check`].
    pub fn check(&self, key: impl Hash, cost: u64) -> Result<(), Rejection> {
        let demand = RateDemand::new(self.hash(key), cost);
        self.limiter.try_admit(&demand, &Now::new()).map(|_| ())
    }

    /// As [`RateLimiter::would_admit`].
    ///
    /// # Errors
    ///
    /// As [`RateLimiter::would_admit`].
    pub fn would_admit(&self, key: impl Hash, cost: u64) -> Result<(), Rejection> {
        let demand = RateDemand::new(self.hash(key), cost);
        Policy::would_admit(&self.limiter, &demand, &Now::new())
    }

    /// Where the quotas stand that concern a key in this tier, those kept for all keys last.
    pub fn peek(&self, key: impl Hash) -> Vec<QuotaStanding> {
        self.limiter.peek_hash(self.hash(key))
    }

    /// Gives units back to a key, as [`RateLimiter::refund`].
    pub fn refund(&self, key: impl Hash, cost: u64) {
        self.limiter.refund_hash(self.hash(key), cost);
    }

    /// Forgets what a key has spent, as [`RateLimiter::reset`].
    pub fn reset(&self, key: impl Hash) {
        self.limiter.reset_hash(self.hash(key));
    }

    /// The quotas in force; none if the tier was taken away.
    #[must_use]
    pub fn quotas(&self) -> Vec<Quota> {
        let mut tiers = self.limiter.limits().tiers;
        tiers.remove(&*self.name).unwrap_or_default()
    }

    /// Puts one quota in force in place of all of the tier. What was spent stays spent.
    pub fn set_quota(&self, quota: Quota) {
        // Global quotas that fitted beside another quota fit beside this one.
        let _ = self.limiter.set_tier(&self.name, [quota]);
    }
}

impl fmt::Debug for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tier")
            .field("name", &self.name)
            .field("quotas", &self.quotas())
            .finish_non_exhaustive()
    }
}

impl RateLimiter {
    /// The tier of this name, to look at and to change.
    ///
    /// # Errors
    ///
    /// If there is none; the error tells which there are.
    pub fn tier(&self, name: &str) -> Result<Tier, UnknownTier> {
        let tiers = &self.shared.tiers;
        match tiers.hash_in(name, KeyHash::EVERYONE) {
            Some(bits) => Ok(Tier {
                limiter: self.clone(),
                name: name.into(),
                bits,
            }),
            None => Err(self.unknown(name, 1)),
        }
    }

    /// Puts quotas in force for a tier, which is made if there is none of this name; with none it is taken
    /// away, and its keys have the quotas that are in no tier. What was spent stays spent, also in a tier
    /// that was taken away and comes back.
    ///
    /// # Errors
    ///
    /// If the name is empty, longer than 64 characters or not printable ASCII, more than sixteen quotas would
    /// concern one request, or the limiter has had 63 tiers already; then nothing changes.
    pub fn set_tier(
        &self,
        name: &str,
        quotas: impl IntoIterator<Item = Quota>,
    ) -> Result<(), LimitsError> {
        let quotas: Vec<_> = quotas.into_iter().collect();
        self.change_limits(|limits| {
            match quotas.is_empty() {
                true => limits.tiers.remove(name),
                false => limits.tiers.insert(name.to_owned(), quotas),
            };
        })
    }

    /// The first name that [`quota_for`](RateLimitLayer::quota_for) gave and no tier had, and how many
    /// requests were given such names; none if all went well. It is a mistake in the function or a tier that
    /// was forgotten, so look at it where you would look for errors.
    #[must_use]
    pub fn unknown_tier(&self) -> Option<UnknownTier> {
        let tiers = &self.shared.tiers;
        let name = tiers.first_unknown()?;
        Some(self.unknown(name, tiers.unknown()))
    }

    fn unknown(&self, name: &str, times: u64) -> UnknownTier {
        let names = self.shared.tiers.names();
        UnknownTier {
            name: name.into(),
            known: names.map(ToString::to_string).collect(),
            times,
        }
    }

    /// Hashes a key that is in no tier.
    #[inline]
    pub(crate) fn hash_in_no_tier(&self, key: impl Hash) -> KeyHash {
        in_no_tier(self.shared.seed.hash(key))
    }
}

/// A name that no tier has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownTier {
    /// The name, or its first 64 characters.
    pub name: String,
    /// The tiers that there are.
    pub known: Vec<String>,
    /// How often such a name was given.
    pub times: u64,
}

impl fmt::Display for UnknownTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no tier `{}`", self.name.escape_debug())?;
        match &*self.known {
            [] => f.write_str(": there are no tiers at all; add it with `tier` or `set_tier`"),
            known => write!(f, "; there are: `{}`", known.join("`, `")),
        }
    }
}

impl std::error::Error for UnknownTier {}
