use std::hash::{Hash, Hasher};

use buttress_core::{Key, KeyHasher, MissingKey};

/// The key that all requests without one share under [`or_anonymous`].
///
/// It is `Hash`, so that the shared limit can be looked up by hand like any other key's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anonymous;

// Derived, this would hash nothing. No other key of this crate begins with these bytes: a text ends
// with 0xff, an address begins with its kind.
impl Hash for Anonymous {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(b"buttress_http::Anonymous");
        state.write_u8(0xfc);
    }
}

/// A key whose absence is no error. [`or_anonymous`] makes it.
#[derive(Clone, Copy, Debug)]
pub struct OrAnonymous<K>(K);

/// Lets all requests without the key share one limit, that of [`Anonymous`], instead of being refused.
///
/// Anybody can use up the shared limit for all others who send no key.
///
/// ```
/// use buttress_http::{ApiKey, or_anonymous};
///
/// let key = or_anonymous(ApiKey::header("x-api-key"));
/// # let _ = key;
/// ```
#[must_use]
pub const fn or_anonymous<K>(key: K) -> OrAnonymous<K> {
    OrAnonymous(key)
}

impl<Req, K: Key<Req>> Key<Req> for OrAnonymous<K> {
    fn hash_key(&self, request: &Req, hasher: &mut KeyHasher<'_>) -> bool {
        // A key of several parts may have fed some of them to the hasher before it found one missing.
        let mut attempt = hasher.clone();
        if self.0.hash_key(request, &mut attempt) {
            *hasher = attempt;
        } else {
            Anonymous.hash(hasher);
        }
        true
    }

    fn missing(&self) -> MissingKey {
        self.0.missing()
    }

    fn is_everyone(&self) -> bool {
        self.0.is_everyone()
    }
}
