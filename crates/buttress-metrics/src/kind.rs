//! What a measured service speaks: which names its metrics have, and what tells its requests apart.

use metrics::Label;

use crate::names::{self, Family};

/// What a service speaks, and on which side of it we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Calls,
    #[cfg(feature = "http")]
    Http(Side),
    #[cfg(feature = "http")]
    Grpc(Side),
}

#[cfg(feature = "http")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

/// The code of a response that has none: it never came.
pub(crate) const NO_CODE: u8 = 0;

/// The classes of statuses, by the hundreds; the last is for what HTTP does not define.
#[cfg(feature = "http")]
const CLASSES: [&str; 7] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx", "other"];

/// The codes of gRPC, by one more than their number; the last is for what gRPC does not define.
#[cfg(feature = "http")]
const CODES: [&str; 19] = [
    "none",
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
    "other",
];

impl Kind {
    pub(crate) const fn family(self) -> &'static Family {
        match self {
            Self::Calls => &names::CALLS,
            #[cfg(feature = "http")]
            Self::Http(Side::Server) => &names::HTTP_SERVER,
            #[cfg(feature = "http")]
            Self::Http(Side::Client) => &names::HTTP_CLIENT,
            #[cfg(feature = "http")]
            Self::Grpc(Side::Server) => &names::RPC_SERVER,
            #[cfg(feature = "http")]
            Self::Grpc(Side::Client) => &names::RPC_CLIENT,
        }
    }

    /// What a response's code is told as, by the code.
    pub(crate) const fn codes(self) -> &'static [&'static str] {
        match self {
            Self::Calls => &["none"],
            #[cfg(feature = "http")]
            Self::Http(_) => &CLASSES,
            #[cfg(feature = "http")]
            Self::Grpc(_) => &CODES,
        }
    }

    /// The labels that tell requests apart: method and route, or service and method.
    pub(crate) fn request_labels(self, (first, second): (&str, &str)) -> Vec<Label> {
        match self {
            Self::Calls => {
                let _ = (first, second);
                Vec::new()
            }
            #[cfg(feature = "http")]
            Self::Http(_) => vec![
                label("http.request.method", first),
                label("http.route", second),
            ],
            #[cfg(feature = "http")]
            Self::Grpc(_) => vec![label("rpc.service", first), label("rpc.method", second)],
        }
    }

    /// The label of a response's code.
    pub(crate) fn code_label(self, code: u8) -> Option<Label> {
        let key = self.code_key()?;
        let value = self.codes().get(usize::from(code))?;
        Some(Label::from_static_parts(key, value))
    }

    const fn code_key(self) -> Option<&'static str> {
        match self {
            Self::Calls => None,
            #[cfg(feature = "http")]
            Self::Http(_) => Some("http.response.status_class"),
            #[cfg(feature = "http")]
            Self::Grpc(_) => Some("rpc.response.status_code"),
        }
    }
}

#[cfg(feature = "http")]
fn label(key: &'static str, value: &str) -> Label {
    Label::new(key, value.to_owned())
}

/// The class of a status.
#[cfg(feature = "http")]
pub(crate) fn class_of(status: http::StatusCode) -> u8 {
    u8::try_from(status.as_u16() / 100).unwrap_or(6).min(6)
}

/// The code of gRPC among headers or trailers, if there is one.
#[cfg(feature = "http")]
pub(crate) fn grpc_code(headers: &http::HeaderMap) -> Option<u8> {
    let code = headers.get(buttress_http::GRPC_STATUS)?.as_bytes();
    let digits = |code: &[u8]| std::str::from_utf8(code).ok()?.parse::<u8>().ok();
    Some(
        digits(code)
            .filter(|code| *code <= 16)
            .map_or(18, |code| code + 1),
    )
}
