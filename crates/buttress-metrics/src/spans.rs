//! A span for every request, on demand.

use crate::shared::{Ended, Shared};

#[cfg(feature = "tracing")]
pub(crate) use on::CallSpan;

/// There are none without the feature `tracing`.
#[cfg(not(feature = "tracing"))]
#[derive(Debug)]
pub(crate) struct CallSpan;

#[cfg(not(feature = "tracing"))]
impl CallSpan {
    #[inline]
    pub(crate) fn within<R>(&self, f: impl FnOnce() -> R) -> R {
        f()
    }

    #[inline]
    pub(crate) fn end(&self, _: &Shared, _: &Ended<'_>) {}
}

#[cfg(feature = "tracing")]
mod on {
    use tracing::Span;
    use tracing::field::Empty;

    use super::{Ended, Shared};
    use crate::shared::Place;

    /// The span of a request, if there is to be one.
    #[derive(Debug)]
    pub(crate) struct CallSpan(Option<Span>);

    impl CallSpan {
        #[inline]
        pub(crate) fn new(is_wanted: bool, shared: &Shared) -> Self {
            Self(is_wanted.then(|| begin(shared)))
        }

        /// Runs `f` inside the span.
        #[inline]
        pub(crate) fn within<R>(&self, f: impl FnOnce() -> R) -> R {
            match &self.0 {
                Some(span) => span.in_scope(f),
                None => f(),
            }
        }

        #[inline]
        pub(crate) fn end(&self, shared: &Shared, ended: &Ended<'_>) {
            if let Some(span) = &self.0 {
                record(span, shared, ended);
            }
        }
    }

    fn begin(shared: &Shared) -> Span {
        tracing::info_span!(
            target: "buttress_metrics",
            "request",
            layer = &*shared.context.layer,
            first = Empty,
            second = Empty,
            code = Empty,
            outcome = Empty,
            seconds = Empty,
            admitted_by = Empty,
            refused_by = Empty,
            refused = Empty,
            waited = Empty,
            retries = Empty,
        )
    }

    fn record(span: &Span, shared: &Shared, ended: &Ended<'_>) {
        if !matches!(ended.place, Place::Other) {
            let (first, second) = shared.names(ended.place);
            span.record("first", first).record("second", second);
        }
        let codes = shared.context.kind.codes();
        if let Some(code) = codes.get(usize::from(ended.code)) {
            span.record("code", *code);
        }
        span.record("outcome", ended.ending.as_str());
        span.record("seconds", ended.took.as_secs_f64());
    }
}
