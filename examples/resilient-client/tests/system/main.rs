//! The program under a real Prometheus and a real browser.

mod browser;
mod http;
mod page;
mod process;
mod prometheus;
mod zoo;
