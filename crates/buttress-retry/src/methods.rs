//! Which methods may be repeated.

use std::fmt;
use std::sync::Arc;

use crate::setting::SettingError;

/// Those that RFC 9110, section 9.2.2, calls idempotent, but for what other specifications add.
const IDEMPOTENT: [&str; 6] = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];

/// The methods of HTTP that may be sent again after any failure. The default: `GET`, `HEAD`, `OPTIONS`,
/// `TRACE`, `PUT` and `DELETE`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Methods(Kind);

#[derive(Clone, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Idempotent,
    Any,
    These(Arc<[Box<str>]>),
}

impl Methods {
    /// Every method.
    #[must_use]
    pub const fn any() -> Self {
        Self(Kind::Any)
    }

    /// These and no others. `*` stands for every method.
    ///
    /// # Errors
    ///
    /// If one is no name of a method: letters, digits and some marks (RFC 9110, section 5.6.2).
    pub fn of(
        methods: impl IntoIterator<Item = impl Into<Box<str>>>,
    ) -> Result<Self, SettingError> {
        let methods: Vec<Box<str>> = methods.into_iter().map(Into::into).collect();
        if methods.iter().any(|method| &**method == "*") {
            return Ok(Self::any());
        }
        match methods.iter().find(|method| !is_token(method)) {
            Some(method) => Err(SettingError::new(
                "methods",
                method,
                "names of methods in capitals, such as \"GET\", or \"*\" for all",
            )),
            None => Ok(Self::these(methods)),
        }
    }

    /// Methods that are known to be methods.
    pub(crate) fn these(methods: impl IntoIterator<Item = Box<str>>) -> Self {
        Self(Kind::These(methods.into_iter().collect()))
    }

    /// Whether a method is among them. Methods are case-sensitive.
    #[must_use]
    pub fn allow(&self, method: &str) -> bool {
        match &self.0 {
            Kind::Any => true,
            Kind::Idempotent => IDEMPOTENT.contains(&method),
            Kind::These(methods) => methods.iter().any(|name| &**name == method),
        }
    }
}

/// A method in lower case is no mistake of the protocol's, but always one of whoever writes it.
fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
    };
    !text.is_empty() && text.bytes().all(allowed)
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Any => f.write_str("[\"*\"]"),
            Kind::Idempotent => IDEMPOTENT.fmt(f),
            Kind::These(methods) => methods.fmt(f),
        }
    }
}
