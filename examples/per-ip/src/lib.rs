//! An axum app whose routes are limited: `POST /chat` per client address, `GET /search` per API key with
//! tiers, `GET /health` not at all. `GET /status` shows where the limits stand, and a configuration file
//! changes them while the app runs. `per_ip.Chat` over gRPC shares the limit of `/chat`.

mod app;
mod config;
mod grpc;
mod reload;

pub use app::{Limiters, app};
pub use config::{Config, ConfigError};
pub use grpc::serve_grpc;
pub use reload::Reload;
