use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::service::Admit;
use crate::on_reject::AsError;
use crate::settle::AtHead;

/// The four things that a request meets on its way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path<Q, A, C, R> {
    /// Reads what the request asks for: an [`Ask`](crate::Ask).
    pub ask: Q,
    /// Decides: an [`Admission`](crate::Admission).
    pub admission: A,
    /// Ends the permit: a [`Settle`](crate::Settle). Every running request keeps a clone.
    pub settle: C,
    /// Answers rejections: an [`OnReject`](crate::OnReject). Every refused request keeps a clone.
    pub on_reject: R,
}

/// Puts an admission in front of a service.
///
/// Layer crates build one of these; use it directly for a policy of your own. The state lives in the
/// layer: every service it makes and all clones share it.
pub struct AdmitLayer<Q, A, C = AtHead, R = AsError> {
    path: Arc<Path<Q, A, C, R>>,
}

impl<A> AdmitLayer<(), A> {
    /// An admission that needs nothing of the request, settles at the head, and rejects with an
    /// [`Error`](crate::Error).
    pub fn new(admission: A) -> Self {
        Self::from_path(Path {
            ask: (),
            admission,
            settle: AtHead::default(),
            on_reject: AsError,
        })
    }
}

impl<Q, A, C, R> AdmitLayer<Q, A, C, R> {
    /// A layer of the given parts.
    pub fn from_path(path: Path<Q, A, C, R>) -> Self {
        Self {
            path: Arc::new(path),
        }
    }

    /// The admission, to inspect it.
    #[must_use]
    pub fn admission(&self) -> &A {
        &self.path.admission
    }
}

// Derived, these would demand `Clone` of what is behind the `Arc`.
impl<Q, A, C, R> Clone for AdmitLayer<Q, A, C, R> {
    fn clone(&self) -> Self {
        Self {
            path: Arc::clone(&self.path),
        }
    }
}

impl<Q, A: fmt::Debug, C, R> fmt::Debug for AdmitLayer<Q, A, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmitLayer")
            .field("admission", &self.path.admission)
            .finish_non_exhaustive()
    }
}

impl<S, Q, A, C, R> Layer<S> for AdmitLayer<Q, A, C, R> {
    type Service = Admit<S, Q, A, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Admit::new(inner, Arc::clone(&self.path))
    }
}
