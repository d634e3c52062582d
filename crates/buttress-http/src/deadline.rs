//! Deadlines that travel with a request: as an extension inside a process, as a field between two.

use std::time::Duration;

use buttress_core::time::Instant;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Extensions, Request};

use crate::fields::visible_ascii;

/// `grpc-timeout`: how long the client still waits ("gRPC over HTTP2").
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// More digits than this a `grpc-timeout` does not have.
const MOST_DIGITS: usize = 8;

/// The units of a `grpc-timeout`, finest first, and their length in nanoseconds.
const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];

/// From when on the answer to a request is worthless: an extension of the request, for the services
/// further in.
///
/// A timeout or a retry puts it there; [`CallDeadline::of`] is what a layer's `deadline(..)` takes to
/// read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallDeadline(
    /// The deadline.
    pub Instant,
);

impl CallDeadline {
    /// The deadline of a request, if it has one.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Option<Instant> {
        request
            .extensions()
            .get::<Self>()
            .map(|deadline| deadline.0)
    }

    /// Puts a deadline into a request's extensions. One that is there already is never moved to a later
    /// time.
    pub fn tighten(extensions: &mut Extensions, deadline: Instant) {
        match extensions.get_mut::<Self>() {
            Some(present) => present.0 = present.0.min(deadline),
            None => {
                extensions.insert(Self(deadline));
            }
        }
    }
}

/// A request field that tells how long the client still waits.
///
/// It is relative, as the clocks of two machines need not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeoutField {
    name: HeaderName,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Grpc,
    Integer { nanos_per_unit: u128 },
}

impl TimeoutField {
    /// `grpc-timeout`, in gRPC's own form.
    #[must_use]
    pub const fn grpc() -> Self {
        Self {
            name: GRPC_TIMEOUT,
            form: Form::Grpc,
        }
    }

    /// A field that is a whole number of milliseconds, such as Envoy's
    /// `x-envoy-expected-rq-timeout-ms`.
    #[must_use]
    pub const fn millis(name: HeaderName) -> Self {
        Self {
            name,
            form: Form::Integer {
                nanos_per_unit: 1_000_000,
            },
        }
    }

    /// A field that is a whole number of seconds.
    #[must_use]
    pub const fn seconds(name: HeaderName) -> Self {
        Self {
            name,
            form: Form::Integer {
                nanos_per_unit: 1_000_000_000,
            },
        }
    }

    /// What the field says; `None` if it is missing, malformed, or there more than once. Zero means that
    /// nobody waits any more. A number that is too large to be represented is a very long time.
    #[must_use]
    pub fn received(&self, headers: &HeaderMap) -> Option<Duration> {
        let mut values = headers.get_all(&self.name).iter();
        let text = values.next()?.as_bytes();
        match (values.next(), self.form) {
            (Some(_), _) => None,
            (None, Form::Grpc) => {
                let (unit, digits) = text.split_last()?;
                let (_, nanos) = UNITS.iter().find(|(letter, _)| letter == unit)?;
                let fits = digits.len() <= MOST_DIGITS;
                fits.then(|| duration(digits, *nanos)).flatten()
            }
            (None, Form::Integer { nanos_per_unit }) => duration(text.trim_ascii(), nanos_per_unit),
        }
    }

    /// Writes the field: rounded down, so that the upstream gives up no later than we do, and at least
    /// one unit, as many read zero as no timeout at all. A field that is there already and says less
    /// stays.
    pub fn write(&self, remaining: Duration, headers: &mut HeaderMap) {
        if self.received(headers).is_some_and(|said| said <= remaining) {
            return;
        }
        let value = match self.form {
            Form::Grpc => grpc_timeout(remaining),
            Form::Integer { nanos_per_unit } => {
                let count = (remaining.as_nanos() / nanos_per_unit).max(1);
                HeaderValue::from(u64::try_from(count).unwrap_or(u64::MAX))
            }
        };
        headers.insert(self.name.clone(), value);
    }
}

/// The value of a `grpc-timeout`: the finest unit in which it has at most eight digits, rounded down,
/// and never zero, which gRPC does not allow.
#[must_use]
pub fn grpc_timeout(remaining: Duration) -> HeaderValue {
    let most = 10_u128.pow(8) - 1;
    let counted = UNITS
        .iter()
        .map(|&(letter, nanos)| (letter, remaining.as_nanos() / nanos));
    let fitting = counted.clone().find(|(_, count)| *count <= most);
    let (letter, count) = fitting.unwrap_or((b'H', most));
    let mut text = count.max(1).to_string().into_bytes();
    text.push(letter);
    visible_ascii(text)
}

/// Digits alone, and at least one of them.
fn duration(digits: &[u8], nanos_per_unit: u128) -> Option<Duration> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let text = std::str::from_utf8(digits).ok()?;
    // Digits alone fail only by being too many.
    let nanos = text.parse::<u64>().map_or(u128::MAX, |count| {
        u128::from(count).saturating_mul(nanos_per_unit)
    });
    let seconds = u64::try_from(nanos / 1_000_000_000);
    let rest = u32::try_from(nanos % 1_000_000_000).unwrap_or(0);
    Some(seconds.map_or(Duration::MAX, |seconds| Duration::new(seconds, rest)))
}
