//! The status: what it tells, how it is served, and who may command.
#![cfg(feature = "axum")]

mod counted;
mod document;
mod handles;
mod page;
mod route;
mod support;
