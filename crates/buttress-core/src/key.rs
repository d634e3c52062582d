//! What limits are kept by.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::SharedSeed;
use foldhash::quality::{FoldHasher, RandomState, SeedableRandomState};

/// A key, hashed. Policies keep this and never the key itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash(u64);

impl KeyHash {
    /// The key of a limit that is kept for all requests together.
    pub const EVERYONE: Self = Self(0);

    /// The hash as a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The hash that [`Display`](std::fmt::Display) wrote: one to sixteen hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let hash = u64::from_str_radix(text, 16).ok();
        hash.filter(|_| digits).map(Self)
    }
}

/// Sixteen hexadecimal digits, for logs and for lists that people act upon: the key itself is not kept.
impl std::fmt::Display for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The seed that a policy hashes its keys with.
///
/// Without knowing it, nobody can aim keys at one place of a table.
#[derive(Clone)]
pub struct Seed(SeedableRandomState);

impl Seed {
    /// A seed of the operating system's randomness.
    #[must_use]
    pub fn random() -> Self {
        let per_policy = RandomState::default().hash_one(0_u64);
        Self(SeedableRandomState::with_seed(
            per_policy,
            SharedSeed::global_random(),
        ))
    }

    /// A fixed seed: the same keys give the same hashes in every run. For tests and replays.
    #[must_use]
    pub fn fixed(seed: u64) -> Self {
        Self(SeedableRandomState::with_seed(
            seed,
            SharedSeed::global_fixed(),
        ))
    }

    /// Hashes a key.
    #[inline]
    pub fn hash(&self, key: impl Hash) -> KeyHash {
        let mut hasher = self.hasher();
        key.hash(&mut hasher);
        hasher.finish()
    }

    /// A hasher for a key that comes in parts.
    #[inline]
    #[must_use]
    pub fn hasher(&self) -> KeyHasher<'_> {
        KeyHasher(self.0.build_hasher())
    }
}

impl Default for Seed {
    fn default() -> Self {
        Self::random()
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A seed that shows up in a log can be aimed at.
        f.write_str("Seed(..)")
    }
}

/// Takes the parts of a key.
#[derive(Clone)]
pub struct KeyHasher<'a>(FoldHasher<'a>);

impl KeyHasher<'_> {
    /// The hash of all parts.
    #[inline]
    #[must_use]
    pub fn finish(&self) -> KeyHash {
        match self.0.finish() {
            // Zero is `EVERYONE`.
            0 => KeyHash(1),
            hash => KeyHash(hash),
        }
    }
}

impl std::fmt::Debug for KeyHasher<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHasher(..)")
    }
}

impl Hasher for KeyHasher<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    #[inline]
    fn write_u8(&mut self, i: u8) {
        self.0.write_u8(i);
    }

    #[inline]
    fn write_u32(&mut self, i: u32) {
        self.0.write_u32(i);
    }

    #[inline]
    fn write_u64(&mut self, i: u64) {
        self.0.write_u64(i);
    }

    #[inline]
    fn write_u128(&mut self, i: u128) {
        self.0.write_u128(i);
    }

    #[inline]
    fn finish(&self) -> u64 {
        KeyHasher::finish(self).0
    }
}

/// What a request lacks, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MissingKey(Cow<'static, str>);

impl MissingKey {
    /// One sentence that names the missing piece and the fix.
    pub fn new(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self(sentence.into())
    }

    /// The sentence.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for MissingKey {
    fn default() -> Self {
        Self::new("The request has no key to limit it by.")
    }
}

/// Reads what a limit is kept by from a request.
///
/// A key is hashed as it is read, so it may borrow from the request and nothing is allocated. A
/// closure that returns `Some` of anything `Hash` is a key (`None`: the request has none), and so is a
/// tuple of keys.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a key of a `{Req}`",
    note = "a closure is a key if its argument is annotated and it returns an owned `Option` of a `Hash` value: `|request: &Request| Some(request.user_id)`",
    note = "for HTTP requests of any body type use `buttress_http::by_head(|head| ..)` or a ready key such as `ClientIp::peer()`"
)]
pub trait Key<Req> {
    /// Feeds the key of `request` to `hasher`; false if the request has none.
    fn hash_key(&self, request: &Req, hasher: &mut KeyHasher<'_>) -> bool;

    /// What a request lacks that has no key.
    fn missing(&self) -> MissingKey {
        MissingKey::default()
    }

    /// Whether all requests have the same key, [`KeyHash::EVERYONE`], so that nothing need be hashed.
    fn is_everyone(&self) -> bool {
        false
    }
}

impl<Req, F, K> Key<Req> for F
where
    F: Fn(&Req) -> Option<K>,
    K: Hash,
{
    fn hash_key(&self, request: &Req, hasher: &mut KeyHasher<'_>) -> bool {
        match self(request) {
            Some(key) => {
                key.hash(hasher);
                true
            }
            None => false,
        }
    }
}

/// One limit for all requests together.
impl<Req> Key<Req> for () {
    #[inline]
    fn hash_key(&self, _: &Req, _: &mut KeyHasher<'_>) -> bool {
        true
    }

    fn is_everyone(&self) -> bool {
        true
    }
}

macro_rules! tuple_key {
    ($($name:ident)+) => {
        impl<Req, $($name: Key<Req>),+> Key<Req> for ($($name,)+) {
            #[expect(non_snake_case, reason = "one name serves for the type and its value")]
            fn hash_key(&self, request: &Req, hasher: &mut KeyHasher<'_>) -> bool {
                let ($($name,)+) = self;
                // The length of a part is not part of its hash, so the parts are kept apart here.
                $($name.hash_key(request, hasher) && { hasher.write_u8(0xfe); true })&&+
            }

            #[expect(non_snake_case, reason = "one name serves for the type and its value")]
            fn missing(&self) -> MissingKey {
                let ($($name,)+) = self;
                let sentences = [$($name.missing().0),+];
                MissingKey::new(sentences.join(" "))
            }
        }
    };
}

tuple_key!(A B);
tuple_key!(A B C);
tuple_key!(A B C D);
