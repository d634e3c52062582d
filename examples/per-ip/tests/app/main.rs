//! The app in process and in virtual time.

mod config;
mod grpc;
mod reload;
mod routes;
mod support;
