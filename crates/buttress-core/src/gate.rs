//! What a queue asks before it hands out a place.

use crate::policy::Policy;

/// A policy together with how its demand is read from requests: what a queue's `after(..)` takes.
///
/// A layer that never waits is one, and so is a tuple of up to four: all admit, or none stays spent. A layer
/// that is a gate no longer stands in the stack itself. [`GateOf`] makes one of any policy.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a gate of a queue",
    note = "a gate is a layer that decides at once: without `.wait(..)`, and not another queue",
    note = "it measures nothing: say to the queue how its places settle (`.settling(..)`)",
    note = "`GateOf {{ ask, policy }}` makes one of a policy of your own"
)]
pub trait Gate {
    /// Reads the demand.
    type Ask;
    /// Decides on it.
    type Policy: Policy;

    /// Takes the two apart.
    fn into_parts(self) -> (Self::Ask, Self::Policy);
}

/// A gate of a policy and an [`Ask`](crate::Ask) that fits it.
#[derive(Clone, Copy, Debug)]
pub struct GateOf<Q, P> {
    /// Reads the demand.
    pub ask: Q,
    /// Decides on it.
    pub policy: P,
}

impl<Q, P: Policy> Gate for GateOf<Q, P> {
    type Ask = Q;
    type Policy = P;

    fn into_parts(self) -> (Q, P) {
        (self.ask, self.policy)
    }
}

macro_rules! tuple_gate {
    ($($name:ident)+) => {
        impl<$($name: Gate),+> Gate for ($($name,)+) {
            type Ask = ($($name::Ask,)+);
            type Policy = ($($name::Policy,)+);

            #[expect(non_snake_case, reason = "one name serves for the type and its value")]
            fn into_parts(self) -> (Self::Ask, Self::Policy) {
                let ($($name,)+) = self;
                $(let $name = $name.into_parts();)+
                (($($name.0,)+), ($($name.1,)+))
            }
        }
    };
}

tuple_gate!(A B);
tuple_gate!(A B C);
tuple_gate!(A B C D);
