//! Priority, deadline and tenant as HTTP and gRPC requests carry them.
//!
//! What a header field says is believed only of peers that are trusted: whoever can name its own priority is
//! always the most urgent.

use std::hash::Hash;

use buttress_core::time::{Instant, later};
use buttress_core::{Key, KeyHasher, Now};
use buttress_http::{CallDeadline, ClientIp, Networks, RequestHead, TimeoutField};
use http::Request;
use http::header::HeaderName;

use crate::ask::DeadlineOf;
use crate::priority::{Priority, PriorityOf, Urgency};

/// Whose word is taken.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    kind: Kind,
}

#[derive(Clone, Debug, Default)]
enum Kind {
    #[default]
    Nobody,
    Peers(Networks),
    Everybody,
}

impl Trust {
    /// That of peers in these networks: the other ends of connections, whatever their requests say of other
    /// addresses. How a server tells the peer: [`ClientIp::peer`].
    #[must_use]
    pub const fn peers(networks: Networks) -> Self {
        Self {
            kind: Kind::Peers(networks),
        }
    }

    /// Everybody's: for a client, and for a server that only friends can reach.
    #[must_use]
    pub const fn everybody() -> Self {
        Self {
            kind: Kind::Everybody,
        }
    }

    fn trusts<B>(&self, request: &Request<B>) -> bool {
        match &self.kind {
            Kind::Nobody => false,
            Kind::Everybody => true,
            Kind::Peers(networks) => {
                let peer = ClientIp::peer().address(RequestHead::from(request));
                peer.is_some_and(|peer| networks.contains(peer))
            }
        }
    }
}

/// The priority that a field names (`critical`, `high`, `medium`, `low`, or the number of a level), if the
/// peer is trusted; else, and if it says nothing that can be understood, `medium` or what was given instead.
#[derive(Clone, Debug)]
pub struct PriorityField {
    name: HeaderName,
    trust: Trust,
    otherwise: u8,
}

impl PriorityField {
    /// Reads this field from those who are trusted.
    #[must_use]
    pub fn new(name: HeaderName, trust: Trust) -> Self {
        Self {
            name,
            trust,
            otherwise: Priority::default().level(),
        }
    }

    /// How urgent those are whose field is missing, malformed, or not believed.
    #[must_use]
    pub fn otherwise(mut self, urgency: impl Urgency) -> Self {
        self.otherwise = urgency.level();
        self
    }
}

impl<B> PriorityOf<Request<B>> for PriorityField {
    fn level_of(&self, request: &Request<B>) -> u8 {
        let mut values = request.headers().get_all(&self.name).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return self.otherwise;
        };
        let text = value.to_str().unwrap_or_default().trim();
        let named = Priority::from_name(text).map(|priority| priority.level());
        let said = named.or_else(|| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| digits)
        });
        match said {
            Some(level) if self.trust.trusts(request) => level,
            _ => self.otherwise,
        }
    }
}

/// The deadline of a request: the extension [`CallDeadline`], which only layers of this process can set, and
/// of those who are trusted the given fields, such as `grpc-timeout`. The earliest counts.
#[derive(Clone, Debug, Default)]
pub struct DeadlineFields {
    fields: Vec<TimeoutField>,
    trust: Trust,
}

impl DeadlineFields {
    /// The extension alone.
    #[must_use]
    pub fn extension() -> Self {
        Self::default()
    }

    /// The extension, and these fields of those who are trusted: [`TimeoutField::grpc`],
    /// [`TimeoutField::millis`] with a name of your choice.
    #[must_use]
    pub fn new(fields: impl IntoIterator<Item = TimeoutField>, trust: Trust) -> Self {
        Self {
            fields: fields.into_iter().collect(),
            trust,
        }
    }
}

impl<B> DeadlineOf<Request<B>> for DeadlineFields {
    fn deadline_of(&self, request: &Request<B>, now: &Now) -> Option<Instant> {
        let said = self.fields.iter().filter_map(|field| {
            let remaining = field.received(request.headers())?;
            let trusted = self.trust.trusts(request);
            trusted.then(|| later(now.get(), remaining))
        });
        said.chain(CallDeadline::of(request)).min()
    }
}

/// The tenant that a field names, if the peer is trusted; all others are one tenant together.
#[derive(Clone, Debug)]
pub struct TenantField {
    name: HeaderName,
    trust: Trust,
}

impl TenantField {
    /// Reads this field from those who are trusted.
    #[must_use]
    pub const fn new(name: HeaderName, trust: Trust) -> Self {
        Self { name, trust }
    }
}

impl<B> Key<Request<B>> for TenantField {
    fn hash_key(&self, request: &Request<B>, hasher: &mut KeyHasher<'_>) -> bool {
        match request.headers().get(&self.name) {
            Some(value) if self.trust.trusts(request) => {
                value.as_bytes().hash(hasher);
                true
            }
            _ => false,
        }
    }
}
