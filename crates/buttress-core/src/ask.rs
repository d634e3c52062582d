//! Reading from a request what it asks for.

use crate::rejection::Rejection;
use crate::time::Now;

/// Reads from a request what a policy must know to decide: its key, its cost, its deadline.
///
/// A policy is built before the type of the request is known, and a request that waits must not be
/// read again; so reading is a trait of its own, and its result, the demand, is all that an admission
/// sees.
///
/// A tuple of asks is the ask of a tuple of policies.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot read what a `{Req}` asks for",
    note = "the key, the cost and the other readers of this layer must all accept this request type"
)]
pub trait Ask<Req> {
    /// What the request asks for.
    type Demand;

    /// Reads it once; `None` exempts the request: it goes straight to the inner service.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] with [`Reason::MissingKey`](crate::Reason::MissingKey) if the request lacks
    /// what the limit is kept by.
    fn ask(&self, request: &Req, now: &Now) -> Result<Option<Self::Demand>, Rejection>;
}

/// Every request asks for the same: its place, or to be let through.
impl<Req> Ask<Req> for () {
    type Demand = ();

    #[inline]
    fn ask(&self, _: &Req, _: &Now) -> Result<Option<()>, Rejection> {
        Ok(Some(()))
    }
}

/// The ask of a policy that may be absent: without it every request is exempt.
impl<Req, A: Ask<Req>> Ask<Req> for Option<A> {
    type Demand = A::Demand;

    fn ask(&self, request: &Req, now: &Now) -> Result<Option<A::Demand>, Rejection> {
        match self {
            Some(ask) => ask.ask(request, now),
            None => Ok(None),
        }
    }
}

/// Tells which requests a limit does not concern.
///
/// A closure that returns true for them is one, and so is a tuple, which exempts what any of its parts
/// exempts.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell which `{Req}`s are exempt",
    note = "use a closure whose argument is annotated: `|request: &Request| request.is_health_check()`",
    note = "for HTTP requests of any body type use `buttress_http::by_head(|head| ..)`"
)]
pub trait Exempt<Req> {
    /// Whether the request goes straight to the inner service.
    fn exempts(&self, request: &Req) -> bool;
}

/// Nobody is exempt.
impl<Req> Exempt<Req> for () {
    #[inline]
    fn exempts(&self, _: &Req) -> bool {
        false
    }
}

impl<Req, F: Fn(&Req) -> bool> Exempt<Req> for F {
    fn exempts(&self, request: &Req) -> bool {
        self(request)
    }
}

macro_rules! tuple_exempt {
    ($($name:ident $index:tt),+) => {
        impl<Req, $($name: Exempt<Req>),+> Exempt<Req> for ($($name,)+) {
            fn exempts(&self, request: &Req) -> bool {
                $(self.$index.exempts(request))||+
            }
        }
    };
}

tuple_exempt!(A 0, B 1);
tuple_exempt!(A 0, B 1, C 2);
tuple_exempt!(A 0, B 1, C 2, D 3);

macro_rules! tuple_ask {
    ($($name:ident)+) => {
        impl<Req, $($name: Ask<Req>),+> Ask<Req> for ($($name,)+) {
            type Demand = ($(Option<$name::Demand>,)+);

            #[expect(non_snake_case, reason = "one name serves for the type and its value")]
            fn ask(&self, request: &Req, now: &Now) -> Result<Option<Self::Demand>, Rejection> {
                let ($($name,)+) = self;
                Ok(Some(($($name.ask(request, now)?,)+)))
            }
        }
    };
}

tuple_ask!(A B);
tuple_ask!(A B C);
tuple_ask!(A B C D);
