//! What limits are kept by.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

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

    /// A hash that was kept as a number. It means a key only with the [`Seed`] that it was made with.
    #[must_use]
    pub const fn from_number(hash: u64) -> Self {
        Self(hash)
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
pub struct Seed {
    state: SeedableRandomState,
    kept: Option<u64>,
}

impl Seed {
    /// A seed of the operating system's randomness.
    #[must_use]
    pub fn random() -> Self {
        let per_policy = RandomState::default().hash_one(0_u64);
        Self::new(per_policy, SharedSeed::global_random(), None)
    }

    /// A fixed seed: the same keys give the same hashes in every run. For tests and replays.
    #[must_use]
    pub fn fixed(seed: u64) -> Self {
        Self::new(seed, SharedSeed::global_fixed(), None)
    }

    /// A seed that is all in one number, so that it can be kept: another process that makes a seed of this
    /// number gets the same hashes, if it was built with the same hash function ([`proof`](Self::proof)).
    ///
    /// The number is a secret: who knows it can aim keys at one place of a table, who does not has 2^64 to
    /// guess. A [`random`](Self::random) seed is several times longer and leaves the process in no form, so
    /// it is the better one for whoever need not keep it. The first seed of each number takes some 50 bytes
    /// that are never given back.
    #[must_use]
    pub fn kept(number: u64) -> Self {
        Self::new(number, shared_seed_of(number), Some(number))
    }

    /// A number of the operating system's randomness, for a seed that is to be [`kept`](Self::kept).
    #[must_use]
    pub fn random_number() -> u64 {
        std::hash::RandomState::new().hash_one(0_u64)
    }

    /// The number of a seed that is [`kept`](Self::kept), `None` for any other.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.kept
    }

    /// What some keys hash to: two seeds that agree in this give the same hashes.
    ///
    /// The hash function is the same on one machine with one build. Another release of it, or a machine of
    /// another word size, may hash otherwise, and then no kept hash means what it meant.
    #[must_use]
    pub fn proof(&self) -> u64 {
        const LONG: &str =
            "a key that is longer than what the hash function takes in at once: 0123456789";
        let address = std::net::Ipv4Addr::new(192, 0, 2, 1);
        let keys = (
            "key",
            LONG,
            1_u8,
            1_u32,
            1_u64,
            1_u128,
            [1_u8, 2].as_slice(),
        );
        self.hash((keys, std::net::IpAddr::from(address))).get()
    }

    fn new(per_policy: u64, shared: &'static SharedSeed, kept: Option<u64>) -> Self {
        Self {
            state: SeedableRandomState::with_seed(per_policy, shared),
            kept,
        }
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
        KeyHasher(self.state.build_hasher())
    }
}

/// The longer part of a kept seed. With the one that all programs share, whoever can read the hash function's
/// source could find keys that collide under every number.
fn shared_seed_of(number: u64) -> &'static SharedSeed {
    static MADE: Mutex<Vec<(u64, &SharedSeed)>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, shared)) = made.iter().find(|(held, _)| *held == number) {
        return shared;
    }
    let shared = Box::leak(Box::new(SharedSeed::from_u64(number)));
    made.push((number, shared));
    shared
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
