//! Rate limits in front of real servers, asked by real clients.

mod answers;
mod bodies;
mod browser;
mod client;
mod concurrency;
mod exemptions;
mod layered;
mod logins;
mod memory;
mod nested;
mod plans;
mod support;
mod timeouts;
