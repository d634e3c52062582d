//! What limits are kept by.

mod anonymous;
mod client_ip;
mod extension;
mod header;
mod route;
mod upstream;

pub use anonymous::{Anonymous, OrAnonymous, or_anonymous};
pub use client_ip::{ClientIp, PeerAddr};
pub use extension::{ExtensionKey, extension};
pub use header::{ApiKey, HeaderKey, header};
pub use route::{MatchedRoute, Route};
pub use upstream::Upstream;
