//! An axum app whose routes are limited: `POST /chat` per client address, with a ban for those who go on,
//! `GET /search` per API key with tiers, `GET /health` not at all. `GET /status` shows where the limits stand,
//! as a page or as JSON, `GET /metrics` is for Prometheus, `GET /bans` shows who is banned, and a configuration
//! file changes the limits while the app runs. `per_ip.Chat` over gRPC
//! shares the limit of `/chat`. Counts can survive a restart.

mod admin;
mod app;
mod config;
mod grpc;
mod limiters;
mod operations;
mod reload;

pub use admin::admin;
pub use app::app;
pub use config::{Config, ConfigError};
pub use grpc::serve_grpc;
pub use limiters::Limiters;
pub use operations::Operations;
pub use reload::Reload;
