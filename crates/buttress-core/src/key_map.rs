//! Maps whose keys are hashed already.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::key::KeyHash;

/// A map by hashed keys that does not hash them again: whoever aims at its buckets needs the
/// [`Seed`](crate::Seed) that they were made with.
pub type KeyMap<V> = HashMap<KeyHash, V, BuildHasherDefault<AlreadyHashed>>;

/// Passes a [`KeyHash`] on as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    /// Nothing that derives from a key's hash comes this way; what does is folded in, byte by byte.
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0.rotate_left(8) ^ u64::from(byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
