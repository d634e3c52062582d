use std::any::type_name;
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

use buttress_core::{Key, KeyHasher, MissingKey};
use http::Request;

/// The value of an extension. [`extension`] makes it.
pub struct ExtensionKey<T>(PhantomData<fn() -> T>);

/// Keeps a limit by a value that an earlier layer puts into the request's extensions, such as the
/// user that authentication found.
///
/// ```
/// #[derive(Clone, Hash)]
/// struct UserId(u64);
///
/// let key = buttress_http::extension::<UserId>();
/// # let _ = key;
/// ```
#[must_use]
pub const fn extension<T: Hash + Send + Sync + 'static>() -> ExtensionKey<T> {
    ExtensionKey(PhantomData)
}

impl<B, T: Hash + Send + Sync + 'static> Key<Request<B>> for ExtensionKey<T> {
    fn hash_key(&self, request: &Request<B>, hasher: &mut KeyHasher<'_>) -> bool {
        match request.extensions().get::<T>() {
            Some(value) => {
                value.hash(hasher);
                true
            }
            None => false,
        }
    }

    fn missing(&self) -> MissingKey {
        MissingKey::new(format!(
            "The request has no extension `{}` to limit it by: put the layer that inserts it \
             outside of this one.",
            type_name::<T>()
        ))
    }
}

// Derived, these would make demands of `T`.
impl<T> Clone for ExtensionKey<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ExtensionKey<T> {}

impl<T> fmt::Debug for ExtensionKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExtensionKey")
            .field(&type_name::<T>())
            .finish()
    }
}
