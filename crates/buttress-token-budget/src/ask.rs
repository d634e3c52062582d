//! Reading from a request what a budget must know.

use std::sync::{Arc, OnceLock};

use buttress_core::time::Instant;
use buttress_core::{Ask, Exempt, Key, KeyHash, MissingKey, Now, Reason, Rejection, Seed, When};

use crate::budget::TokenBudget;
use crate::demand::BudgetDemand;
use crate::dimension::Amounts;
use crate::limits::MAX_SCOPES;

/// Reads how much a request will use, as far as can be told before.
///
/// A closure is one that returns [`Amounts`], or an `Option` of them: with none the budget is not asked.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot estimate what a `{Req}` will use",
    note = "an estimate is a closure whose argument is annotated: `|request: &Request| Amounts::tokens(request.input, request.max_output)`"
)]
pub trait Estimate<Req> {
    /// The estimate, if the budget concerns the request.
    fn estimate(&self, request: &Req) -> Option<Amounts>;
}

/// One request.
impl<Req> Estimate<Req> for () {
    fn estimate(&self, _: &Req) -> Option<Amounts> {
        Some(Amounts::request())
    }
}

impl<Req> Estimate<Req> for Amounts {
    fn estimate(&self, _: &Req) -> Option<Amounts> {
        Some(*self)
    }
}

impl<Req, F, A> Estimate<Req> for F
where
    F: Fn(&Req) -> A,
    A: Into<Option<Amounts>>,
{
    fn estimate(&self, request: &Req) -> Option<Amounts> {
        self(request).into()
    }
}

/// Reads from when on an answer to a request is worthless.
///
/// A closure is one.
pub trait Deadline<Req> {
    /// The deadline, if the request has one.
    fn deadline(&self, request: &Req) -> Option<Instant>;
}

/// There is none.
impl<Req> Deadline<Req> for () {
    fn deadline(&self, _: &Req) -> Option<Instant> {
        None
    }
}

impl<Req, F: Fn(&Req) -> Option<Instant>> Deadline<Req> for F {
    fn deadline(&self, request: &Req) -> Option<Instant> {
        self(request)
    }
}

/// Reads the keys of a request, one for each scope that a budget is kept by.
pub trait Keys<Req> {
    /// Fills the hashes in, from the first; else what the request lacks.
    ///
    /// # Errors
    ///
    /// One sentence that names the missing key and the fix.
    fn read(&self, request: &Req, seed: &Seed, keys: &mut [KeyHash]) -> Result<(), MissingKey>;

    /// How many they are.
    fn count(&self) -> usize;
}

/// What the plain limits are kept by.
#[derive(Clone, Copy, Debug, Default)]
pub struct By<K>(pub(crate) K);

/// Keys, and one more.
#[derive(Clone, Copy, Debug)]
pub struct AndBy<A, K>(pub(crate) A, pub(crate) K);

impl<Req, K: Key<Req>> Keys<Req> for By<K> {
    #[inline]
    fn read(&self, request: &Req, seed: &Seed, keys: &mut [KeyHash]) -> Result<(), MissingKey> {
        read(&self.0, request, seed, keys.first_mut())
    }

    fn count(&self) -> usize {
        1
    }
}

impl<Req, A: Keys<Req>, K: Key<Req>> Keys<Req> for AndBy<A, K> {
    fn read(&self, request: &Req, seed: &Seed, keys: &mut [KeyHash]) -> Result<(), MissingKey> {
        self.0.read(request, seed, keys)?;
        read(&self.1, request, seed, keys.get_mut(self.0.count()))
    }

    fn count(&self) -> usize {
        self.0.count() + 1
    }
}

#[inline]
fn read<Req>(
    key: &impl Key<Req>,
    request: &Req,
    seed: &Seed,
    slot: Option<&mut KeyHash>,
) -> Result<(), MissingKey> {
    if key.is_everyone() {
        return Ok(());
    }
    let mut hasher = seed.hasher();
    if !key.hash_key(request, &mut hasher) {
        return Err(key.missing());
    }
    if let Some(slot) = slot {
        *slot = hasher.finish();
    }
    Ok(())
}

/// What the first request lacked that had no key.
pub(crate) type Missing = Arc<OnceLock<MissingKey>>;

/// Reads a [`BudgetDemand`] from a request: the [`Ask`] of a budget.
#[derive(Clone, Debug)]
pub struct BudgetAsk<K = By<()>, E = (), X = (), D = ()> {
    pub(crate) budget: TokenBudget,
    pub(crate) keys: K,
    pub(crate) estimate: E,
    pub(crate) exempt: X,
    pub(crate) deadline: D,
    pub(crate) missing: Missing,
}

impl BudgetAsk {
    pub(crate) fn new(budget: TokenBudget) -> Self {
        Self {
            budget,
            keys: By(()),
            estimate: (),
            exempt: (),
            deadline: (),
            missing: Missing::default(),
        }
    }
}

impl<K, E, X, D> BudgetAsk<K, E, X, D> {
    pub(crate) fn with<K2, E2, X2, D2>(
        self,
        change: impl FnOnce(K, E, X, D) -> (K2, E2, X2, D2),
    ) -> BudgetAsk<K2, E2, X2, D2> {
        let (keys, estimate, exempt, deadline) =
            change(self.keys, self.estimate, self.exempt, self.deadline);
        BudgetAsk {
            budget: self.budget,
            keys,
            estimate,
            exempt,
            deadline,
            missing: self.missing,
        }
    }
}

impl<Req, K, E, X, D> Ask<Req> for BudgetAsk<K, E, X, D>
where
    K: Keys<Req>,
    E: Estimate<Req>,
    X: Exempt<Req>,
    D: Deadline<Req>,
{
    type Demand = BudgetDemand;

    #[inline]
    fn ask(&self, request: &Req, _: &Now) -> Result<Option<BudgetDemand>, Rejection> {
        if self.exempt.exempts(request) {
            return Ok(None);
        }
        let Some(estimate) = self.estimate.estimate(request) else {
            return Ok(None);
        };
        let mut keys = [KeyHash::EVERYONE; MAX_SCOPES];
        if let Err(missing) = self.keys.read(request, self.budget.seed(), &mut keys) {
            self.missing.get_or_init(|| missing);
            return Err(Rejection::new(Reason::MissingKey, When::Never));
        }
        let demand = self.budget.demand(&keys, estimate);
        Ok(Some(demand.deadline(self.deadline.deadline(request))))
    }
}
