//! The layer and its builder.

use std::fmt;
use std::time::Duration;

use buttress_core::{
    Admit, AdmitLayer, AsBoxError, AsError, AtHead, Classify, Gate, Observe, Observed, Path,
    Rejection, With,
};
use buttress_quota::Quota;
use tower_layer::Layer;

use crate::ask::{AndBy, BudgetAsk, By};
use crate::budget::TokenBudget;
use crate::dimension::Dimension;
use crate::measure::Measured;
use crate::wait::Waiting;

/// Holds the requests to a service to a budget.
///
/// Before a request goes on, its estimate is reserved in all dimensions or in none; when it has ended, what it
/// really used takes its place. Every word adds to that:
///
/// - what the budget is kept by: [`by`](Self::by), [`and_by`](Self::and_by);
/// - what a request reserves, and which are none of the budget's business: [`estimate`](Self::estimate),
///   [`unless`](Self::unless);
/// - what was used: [`measure`](Self::measure), and with feature `http` `measure_head`, `measure_body` and
///   `measure_frames`, which also hold the reservation until the body ends;
/// - what becomes of what does not fit: [`wait`](Self::wait), [`soft`](Self::soft),
///   [`as_box_error`](Self::as_box_error), [`on_reject`](Self::on_reject), and with feature `http`
///   `respond_http` and its relatives;
/// - who hears of it: [`observe`](Self::observe).
///
/// How the call ended decides how the reservation settles: a success with what was measured, or else as it was
/// estimated; no response, or one that is none, gives all back, and so does a refusal further in; what broke
/// off, was cut off by a timeout or left by its caller settles by [`OnDrop`](crate::OnDrop).
///
/// The state lives in the layer: all services that it makes, and all its clones, share one budget.
#[derive(Clone)]
pub struct TokenBudgetLayer<Q = BudgetAsk, A = TokenBudget, C = AtHead, R = AsError> {
    pub(crate) budget: TokenBudget,
    pub(crate) ask: Q,
    pub(crate) admission: A,
    pub(crate) settle: C,
    pub(crate) on_reject: R,
}

/// A service held to a budget.
pub type TokenBudgetService<S, Q = BudgetAsk, A = TokenBudget, C = AtHead, R = AsError> =
    Admit<S, Q, A, C, R>;

/// A [`TokenBudgetLayer`] that is kept by one more key.
pub type ByFurtherKey<K, K2, E, X, D, A, C, R> =
    TokenBudgetLayer<BudgetAsk<AndBy<K, K2>, E, X, D>, A, C, R>;

impl TokenBudgetLayer {
    /// Limits one dimension. For more build a [`TokenBudget`] and say `TokenBudgetLayer::from(budget)`.
    #[must_use]
    pub fn new(dimension: Dimension, quota: Quota) -> Self {
        Self::from(TokenBudget::new(dimension, quota))
    }
}

/// A layer of a budget that was built elsewhere, or that others use too.
impl From<TokenBudget> for TokenBudgetLayer {
    fn from(budget: TokenBudget) -> Self {
        Self {
            ask: BudgetAsk::new(budget.clone()),
            admission: budget.clone(),
            budget,
            settle: AtHead::default(),
            on_reject: AsError,
        }
    }
}

impl<Q, A, C, R> TokenBudgetLayer<Q, A, C, R> {
    /// The budget, to inspect and change it while it works.
    #[must_use]
    pub fn budget(&self) -> &TokenBudget {
        &self.budget
    }

    /// Only reports: nothing is refused, and what does not fit is spent all the same.
    #[must_use]
    pub fn soft(self) -> Self {
        self.budget.set_soft(true);
        self
    }

    /// Answers a rejection with a boxed error, for stacks with tower's Buffer, Timeout or LoadShed.
    #[must_use]
    pub fn as_box_error(self) -> TokenBudgetLayer<Q, A, C, AsBoxError> {
        self.answer(AsBoxError)
    }

    /// Answers a rejection with what `f` makes of it: a response or an error of the inner service's types.
    #[must_use]
    pub fn on_reject<F, Res, E>(self, f: F) -> TokenBudgetLayer<Q, A, C, With<F>>
    where
        F: Fn(Rejection) -> Result<Res, E>,
    {
        self.answer(With(f))
    }

    /// Tells an observer what is admitted, refused, queued and settled.
    ///
    /// Say [`wait`](TokenBudgetLayer::wait) before.
    #[must_use]
    pub fn observe<O>(self, observer: O) -> TokenBudgetLayer<Q, Observed<A, O>, C, R>
    where
        O: Observe + Clone,
    {
        TokenBudgetLayer {
            budget: self.budget,
            ask: self.ask,
            admission: Observed::new(self.admission, observer),
            settle: self.settle,
            on_reject: self.on_reject,
        }
    }

    /// Settles at the head, with what `read` finds in the response (`|answer: &Answer| Some(Amounts::tokens(..))`);
    /// a usage that it does not find leaves the estimate as it is.
    #[must_use]
    pub fn measure<F>(self, read: F) -> TokenBudgetLayer<Q, A, Measured<F>, R> {
        self.settling(|_| Measured::new(read))
    }

    pub(crate) fn answer<R2>(self, on_reject: R2) -> TokenBudgetLayer<Q, A, C, R2> {
        TokenBudgetLayer {
            budget: self.budget,
            ask: self.ask,
            admission: self.admission,
            settle: self.settle,
            on_reject,
        }
    }

    pub(crate) fn settling<C2>(
        self,
        settle: impl FnOnce(C) -> C2,
    ) -> TokenBudgetLayer<Q, A, C2, R> {
        TokenBudgetLayer {
            budget: self.budget,
            ask: self.ask,
            admission: self.admission,
            settle: settle(self.settle),
            on_reject: self.on_reject,
        }
    }

    fn asking<Q2>(self, ask: impl FnOnce(Q) -> Q2) -> TokenBudgetLayer<Q2, A, C, R> {
        TokenBudgetLayer {
            budget: self.budget,
            ask: ask(self.ask),
            admission: self.admission,
            settle: self.settle,
            on_reject: self.on_reject,
        }
    }
}

impl<Q, A, B, R> TokenBudgetLayer<Q, A, AtHead<B>, R> {
    /// How a call ended, if not by whether it gave a response: by default all responses are successes.
    #[must_use]
    pub fn classify<C>(self, classify: C) -> TokenBudgetLayer<Q, A, AtHead<C>, R> {
        self.settling(|_| AtHead(classify))
    }
}

impl<Q, A, F, B, R> TokenBudgetLayer<Q, A, Measured<F, B>, R> {
    /// How a call ended, if not by whether it gave a response: by default all responses are successes.
    #[must_use]
    pub fn classify_measured<C, Res, E>(
        self,
        classify: C,
    ) -> TokenBudgetLayer<Q, A, Measured<F, C>, R>
    where
        C: Classify<Res, E>,
    {
        self.settling(|settle| Measured {
            read: settle.read,
            classify,
        })
    }
}

impl<K, E, X, D, A, C, R> TokenBudgetLayer<BudgetAsk<K, E, X, D>, A, C, R> {
    /// Keeps the plain limits per key: a closure (`|call: &Call| Some(call.tenant)`), a ready key, or a tuple
    /// of keys. A request without its key is refused, and the refusal says what is missing.
    #[must_use]
    pub fn by<K2>(self, key: K2) -> TokenBudgetLayer<BudgetAsk<By<K2>, E, X, D>, A, C, R> {
        self.asking(|ask| {
            ask.with(|_, estimate, exempt, deadline| (By(key), estimate, exempt, deadline))
        })
    }

    /// A further key, by which the budget keeps the limits of the next
    /// [`per`](crate::TokenBudgetBuilder::per). Say [`by`](Self::by) before.
    #[must_use]
    pub fn and_by<K2>(self, key: K2) -> ByFurtherKey<K, K2, E, X, D, A, C, R> {
        self.asking(|ask| {
            ask.with(|keys, estimate, exempt, deadline| {
                (AndBy(keys, key), estimate, exempt, deadline)
            })
        })
    }

    /// What a request reserves: a closure (`|call: &Call| Amounts::tokens(call.input, call.max_output)`) or
    /// fixed [`Amounts`](crate::Amounts); one request if not said. With `None` the budget is not asked.
    #[must_use]
    pub fn estimate<E2>(self, estimate: E2) -> TokenBudgetLayer<BudgetAsk<K, E2, X, D>, A, C, R> {
        self.asking(|ask| ask.with(|keys, _, exempt, deadline| (keys, estimate, exempt, deadline)))
    }

    /// Which requests the budget does not concern. They go straight to the inner service. Saying it again
    /// replaces what was said before.
    #[must_use]
    pub fn unless<X2>(self, exempt: X2) -> TokenBudgetLayer<BudgetAsk<K, E, X2, D>, A, C, R> {
        self.asking(|ask| {
            ask.with(|keys, estimate, _, deadline| (keys, estimate, exempt, deadline))
        })
    }

    /// From when on an answer is worthless: a closure that reads it from the request. A request that would
    /// wait past it is refused at once.
    #[must_use]
    pub fn deadline<D2>(self, deadline: D2) -> TokenBudgetLayer<BudgetAsk<K, E, X, D2>, A, C, R> {
        self.asking(|ask| ask.with(|keys, estimate, exempt, _| (keys, estimate, exempt, deadline)))
    }
}

impl<Q, C, R> TokenBudgetLayer<Q, TokenBudget, C, R> {
    /// Waits instead of refusing: what does not fit waits in order of arrival, for at most `max`. What would
    /// wait longer, or never fits, is refused at once.
    #[must_use]
    pub fn wait(self, max: Duration) -> TokenBudgetLayer<Q, Waiting, C, R> {
        TokenBudgetLayer {
            admission: Waiting::new(self.budget.clone(), max),
            budget: self.budget,
            ask: self.ask,
            settle: self.settle,
            on_reject: self.on_reject,
        }
    }
}

impl<S, Q, A, C, R> Layer<S> for TokenBudgetLayer<Q, A, C, R>
where
    Q: Clone,
    A: Clone,
    C: Clone,
    R: Clone,
{
    type Service = TokenBudgetService<S, Q, A, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        let path = Path {
            ask: self.ask.clone(),
            admission: self.admission.clone(),
            settle: self.settle.clone(),
            on_reject: self.on_reject.clone(),
        };
        AdmitLayer::from_path(path).layer(inner)
    }
}

/// A queue in front of the budget asks it before it hands out a place, and its places settle what was reserved
/// as they end. Therefore it is the queue that measures (`.settling(..)`), and a layer that does is no gate: its
/// measuring would be lost.
impl<Q, B, R> Gate for TokenBudgetLayer<Q, TokenBudget, AtHead<B>, R> {
    type Ask = Q;
    type Policy = TokenBudget;

    fn into_parts(self) -> (Q, TokenBudget) {
        (self.ask, self.budget)
    }
}

impl<Q, A, C, R> fmt::Debug for TokenBudgetLayer<Q, A, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBudgetLayer")
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
