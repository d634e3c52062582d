//! The app in process and in virtual time.

mod config;
mod reload;
mod routes;
mod support;
