//! Rate limits in front of real servers, asked by real clients.

mod answers;
mod bodies;
mod client;
mod concurrency;
mod exemptions;
mod nested;
mod support;
mod timeouts;
