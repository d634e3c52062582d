//! Reading from a request whose circuit it needs.

use std::sync::{Arc, OnceLock};

use buttress_core::{Ask, Exempt, Key, KeyHash, MissingKey, Now, Reason, Rejection, Seed, When};

use crate::breaker::CircuitDemand;

/// Reads a [`CircuitDemand`] from a request: the [`Ask`] of a circuit breaker.
#[derive(Clone, Debug)]
pub struct CircuitAsk<K = (), X = ()> {
    seed: Seed,
    key: K,
    exempt: X,
    missing: Missing,
}

/// What the first request lacked that had no key. What a key is called is known only together with the
/// request's type, and must be told where that type is not.
pub(crate) type Missing = Arc<OnceLock<MissingKey>>;

impl CircuitAsk {
    /// One circuit for everybody.
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            seed,
            key: (),
            exempt: (),
            missing: Missing::default(),
        }
    }
}

impl<K, X> CircuitAsk<K, X> {
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "only an answer tells it")
    )]
    pub(crate) fn missing(&self) -> Missing {
        Arc::clone(&self.missing)
    }

    pub(crate) fn with_key<K2>(self, key: K2) -> CircuitAsk<K2, X> {
        CircuitAsk {
            seed: self.seed,
            key,
            exempt: self.exempt,
            missing: self.missing,
        }
    }

    pub(crate) fn with_exempt<X2>(self, exempt: X2) -> CircuitAsk<K, X2> {
        CircuitAsk {
            seed: self.seed,
            key: self.key,
            exempt,
            missing: self.missing,
        }
    }
}

impl<Req, K, X> Ask<Req> for CircuitAsk<K, X>
where
    K: Key<Req>,
    X: Exempt<Req>,
{
    type Demand = CircuitDemand;

    #[inline]
    fn ask(&self, request: &Req, _: &Now) -> Result<Option<CircuitDemand>, Rejection> {
        if self.exempt.exempts(request) {
            return Ok(None);
        }
        if self.key.is_everyone() {
            let key = KeyHash::EVERYONE;
            return Ok(Some(CircuitDemand { key }));
        }
        let mut hasher = self.seed.hasher();
        if !self.key.hash_key(request, &mut hasher) {
            self.missing.get_or_init(|| self.key.missing());
            return Err(Rejection::new(Reason::MissingKey, When::Never));
        }
        let key = hasher.finish();
        Ok(Some(CircuitDemand { key }))
    }
}
