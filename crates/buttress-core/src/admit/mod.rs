//! The one service that walks the path.

mod future;
mod layer;
mod leave;
mod parked;
mod service;

pub use future::ResponseFuture;
pub use layer::{AdmitLayer, Path};
pub use leave::note_sent;
pub use service::Admit;
