//! The app in process and in virtual time.

mod bans;
mod config;
mod grpc;
mod reload;
mod routes;
mod support;
mod tiers;
