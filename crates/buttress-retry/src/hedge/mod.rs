//! A second attempt beside one that takes long.

mod delay;
mod future;
mod layer;
mod service;

pub use delay::Delay;
pub use future::HedgeFuture;
pub use layer::HedgeLayer;
pub use service::Hedge;
