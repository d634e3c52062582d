//! Deadlines that come with a request and go on with it.

use buttress_core::Now;
use buttress_core::time::Instant;

/// Reads from a request when its answer becomes worthless, and writes it into what is sent on.
///
/// A closure that reads is one; it passes nothing on.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell the deadline of a `{Req}`",
    note = "use a closure whose argument is annotated: `|request: &Request| request.deadline`",
    note = "after `pass_on()` the requests must be `http::Request`s"
)]
pub trait RequestDeadline<Req> {
    /// The deadline that came with the request, if there is one.
    fn received(&self, request: &Req, now: &Now) -> Option<Instant>;

    /// Tells those further in.
    fn pass_on(&self, request: &mut Req, deadline: Instant, now: &Now) {
        let _ = (request, deadline, now);
    }
}

/// None comes, and none is passed on.
impl<Req> RequestDeadline<Req> for () {
    #[inline]
    fn received(&self, _: &Req, _: &Now) -> Option<Instant> {
        None
    }
}

impl<Req, F: Fn(&Req) -> Option<Instant>> RequestDeadline<Req> for F {
    #[inline]
    fn received(&self, request: &Req, _: &Now) -> Option<Instant> {
        self(request)
    }
}

#[cfg(feature = "http")]
pub use of_http::PassOn;

#[cfg(feature = "http")]
mod of_http {
    use buttress_core::Now;
    use buttress_core::time::{Instant, later};
    use buttress_http::{CallDeadline, TimeoutField};
    use http::Request;

    use super::RequestDeadline;

    /// Deadlines as an extension of HTTP requests ([`CallDeadline`]), and as fields.
    ///
    /// The extension is taken from the layers further out, and always set for those further in. Fields are
    /// read only where they are trusted, and written only where that was asked for.
    #[derive(Clone, Debug, Default)]
    pub struct PassOn {
        pub(crate) trusted: Vec<TimeoutField>,
        pub(crate) sent: Vec<TimeoutField>,
    }

    impl<B> RequestDeadline<Request<B>> for PassOn {
        fn received(&self, request: &Request<B>, now: &Now) -> Option<Instant> {
            let said = self.trusted.iter().filter_map(|field| {
                let remaining = field.received(request.headers())?;
                Some(later(now.get(), remaining))
            });
            said.chain(CallDeadline::of(request)).min()
        }

        fn pass_on(&self, request: &mut Request<B>, deadline: Instant, now: &Now) {
            CallDeadline::tighten(request.extensions_mut(), deadline);
            if !self.sent.is_empty() {
                let remaining = deadline.saturating_duration_since(now.get());
                for field in &self.sent {
                    field.write(remaining, request.headers_mut());
                }
            }
        }
    }
}
